"""Every evaluation on made-up test parts, through the shipped models; and what is absent."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from realtime_er.cli import app
from realtime_er.cli.evaluate import Name
from realtime_er.encoders.bundle import load_card
from realtime_er.errors import ConfigError, CorpusError, ModelError
from realtime_er.resources import resource_dir
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.evaluate import NAMES, fusions, run
from realtime_er.training.evaluate.faces import DISTURBANCES
from realtime_er.training.evaluate.texts import spoken
from realtime_er.training.fusion import scores as fusion_scores
from realtime_er.training.fusion.scores import abstention_gain
from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.folds import FILE, add_fold, speakers_done, without
from realtime_er.training.speech.speakers import sex_of
from realtime_er.training.text.noise import bare
from tests.training.evaluate.conftest import soundfile, write_ferplus

SHIPPED = resource_dir("assets") / "models"


@pytest.fixture
def few_triples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusions, "TRIPLES", 70)
    monkeypatch.setattr(fusion_scores, "DRAWS", 3)


def test_face_on_a_test_part(test_parts: Path, tmp_path: Path) -> None:
    (report,) = run("face", test_parts, "test", tmp_path)
    rows = {(row.on, row.measure): row for row in report.rows}
    head = rows["FER+ test, majority", "accuracy"]
    assert head.n == 21
    assert head.goal == ">= 0.87"
    for name in DISTURBANCES:
        assert ("FER+ test, majority, " + name, "UAR") in rows
    assert any(
        note.startswith("Nobody knows which of them stand in train") for note in report.notes
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "face-test.md", "face-test.json", "face-test-confusion.png", "face-test-reliability.png",
    }  # fmt: skip


def test_faces_that_stand_in_train_are_counted(tmp_path: Path) -> None:
    write_ferplus(tmp_path, "test", 2, 1)
    with np.load(tmp_path / "ferplus" / "test.npz") as archive:
        images, votes = archive["images"], archive["votes"]
    np.savez(tmp_path / "ferplus" / "train.npz", images=images[:5], votes=votes[:5])
    (report,) = run("face", tmp_path, "test", tmp_path / "out")
    rows = {row.on: row for row in report.rows if row.measure == "accuracy"}
    assert rows["FER+ test, majority, no picture twice or in train"].n == 9
    assert any(note.startswith("5 of 14 pictures") for note in report.notes)


@pytest.mark.parametrize("name", list(DISTURBANCES))
def test_disturbances_keep_the_shape_and_repeat_themselves(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48), dtype=np.uint8)
    changed = DISTURBANCES[name](images)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert (changed != images).any()
    np.testing.assert_array_equal(changed, DISTURBANCES[name](images))


def test_speech_on_a_test_part(test_parts: Path, tmp_path: Path) -> None:
    (report,) = run("speech", test_parts, "test", tmp_path)
    rows = {(row.on, row.measure): row for row in report.rows}
    on = "ravdess (English), 2 unheard speakers"
    assert rows[on, "UAR, 8 classes"].n == 16
    assert rows[f"{on}, women", "UAR"].n == 8
    gap = rows["same sound in blocks of uneven lengths and at once", "largest difference"]
    assert gap.met is True
    assert rows["one second of sound", "ms of compute"].value > 0


def test_clips_that_cannot_be_heard_are_counted_and_who_is_absent_is_said(
    test_parts: Path, tmp_path: Path
) -> None:
    """WAV in place of FLAC; one clip of another rate, one that is no sound, one too short."""
    home = tmp_path / "ravdess_speech" / "Actor_21"
    home.mkdir(parents=True)
    names = sorted((test_parts / "ravdess_speech" / "Actor_21").glob("*.flac"))
    for path in names[:4]:
        soundfile.write(home / f"{path.stem}.wav", soundfile.read(path)[0], 16_000)
    (home / f"{names[4].stem}.wav").write_bytes(b"no sound")
    soundfile.write(home / f"{names[5].stem}.wav", np.zeros(48_000), 48_000)
    soundfile.write(home / f"{names[6].stem}.wav", np.zeros(100), 16_000)
    (home / f"._{names[0].stem}.wav").write_bytes(b"left by an archive")
    (report,) = run("speech", tmp_path, "test", tmp_path / "out")
    assert next(row for row in report.rows if row.measure == "UAR, 8 classes").n == 4
    assert any(note.startswith("3 clips left out") for note in report.notes)
    assert any("ravdess-22, ravdess-23" in note and "emodb-16" in note for note in report.notes)
    for path in home.iterdir():
        path.write_bytes(b"no sound")
    with pytest.raises(CorpusError, match="none of 7 clips"):
        run("speech", tmp_path, "test", tmp_path / "out")


def test_one_text_corpus_is_enough_and_the_others_are_named(
    test_parts: Path, tmp_path: Path
) -> None:
    shutil.copytree(test_parts / "goemotions", tmp_path / "goemotions")
    (tmp_path / "meld").mkdir()
    (tmp_path / "meld" / "test_sent_emo.csv").write_bytes(b"caf\xe9")
    (report,) = run("text", tmp_path, "test", tmp_path / "out")
    rows = {(row.on, row.measure): row for row in report.rows}
    assert rows["goemotions test", "macro F1"].n == 28
    assert rows["one text of goemotions", "ms of compute, median"].n == 28
    absent = [note for note in report.notes if note.startswith("Not measured: ")]
    assert len(absent) == 2
    assert "UTF-8" in absent[0]
    assert "emorynlp_test_final.csv is missing" in absent[1]


def test_text_on_a_test_part(test_parts: Path, tmp_path: Path) -> None:
    (report,) = run("text", test_parts, "test", tmp_path)
    rows = {(row.on, row.measure): row for row in report.rows}
    assert rows["goemotions test", "macro F1"].n == 28
    assert rows["meld test", "weighted F1"].n == 7
    lost = rows["goemotions test, lower case, no punctuation", "macro F1 lost"]
    assert lost.goal == "<= 0.03"
    assert rows["model folder", "MB"].met is True


@pytest.mark.usefixtures("few_triples")
def test_fusion_and_calibration_on_test_parts(test_parts: Path, tmp_path: Path) -> None:
    (fusion,) = run("fusion", test_parts, "test", tmp_path)
    rows = {(row.on, row.measure): row for row in fusion.rows}
    assert sum(measure == "UAR" for _, measure in rows) == 7
    assert rows["each of the seven subsets", "share answered"].value == 1.0
    assert rows["other values where a modality is absent", "largest change"].value == 0.0
    (calibration,) = run("calibration", test_parts, "test", tmp_path)
    errors = [row for row in calibration.rows if row.measure == "expected calibration error"]
    assert sum("frequencies" not in row.on for row in errors) == 7
    assert all(0.0 <= row.value <= 1.0 and row.goal == "<= 0.03" for row in errors)
    reach = [row for row in calibration.rows if row.measure.startswith("share of faultless heads")]
    assert len(reach) == 6
    assert all(0.0 <= row.value <= 1.0 and row.goal == "" for row in reach)


@pytest.mark.usefixtures("few_triples")
def test_what_the_training_saved_of_its_folds_is_read(tmp_path: Path) -> None:
    (report,) = run("fusion", tmp_path, "valid", tmp_path / "out")
    told = load_card(SHIPPED / "compact-fusion").raw["metrics"]
    rows = {(row.on, row.measure): row for row in report.rows}
    for name in ("face", "audio+text", "face+audio+text"):
        assert rows[name, "UAR"].value == pytest.approx(told[f"{name}.uar"]["value"], abs=2e-3)
    (tmp_path / "compact-fusion").mkdir()
    for path in (SHIPPED / "compact-fusion").iterdir():
        if path.name != "folds.npz":
            shutil.copy(path, tmp_path / "compact-fusion")
    with pytest.raises(CorpusError, match=r"folds\.npz: missing; make it with"):
        run("calibration", tmp_path, "valid", tmp_path / "out", models_dir=tmp_path)


@pytest.mark.usefixtures("few_triples")
def test_all_says_what_it_could_not_measure(tmp_path: Path) -> None:
    write_ferplus(tmp_path, "test", 2, 1)
    told: list[str] = []
    reports = run(
        "all", tmp_path, "test", tmp_path / "out", done=lambda report: told.append(report.name)
    )
    assert told == list(NAMES[:-1])
    assert [report.name for report in reports] == list(NAMES[:-1])
    assert reports[0].rows
    for report in reports[1:]:
        assert not report.rows
        assert report.notes[0].startswith("Not measured: ")
    record = json.loads((tmp_path / "out" / "text-test.json").read_text(encoding="utf-8"))
    assert record["rows"] == []
    table = (tmp_path / "out" / "text-test.md").read_text(encoding="utf-8")
    assert table.splitlines()[2].startswith("- Not measured: ")


def test_all_measures_the_others_before_it_names_a_broken_model(tmp_path: Path) -> None:
    write_ferplus(tmp_path, "test", 2, 1)
    shutil.copytree(SHIPPED / "compact-face", tmp_path / "models" / "compact-face")
    told: dict[str, int] = {}
    with pytest.raises(ModelError, match=r"compact-text: no card\.json"):
        run(
            "all", tmp_path, "test", tmp_path / "out", models_dir=tmp_path / "models",
            done=lambda report: told.update({report.name: len(report.rows)}),
        )  # fmt: skip
    assert told["face"] > 0
    assert told["calibration"] == 0


def test_pictures_without_a_majority_are_no_test(tmp_path: Path) -> None:
    (tmp_path / "ferplus").mkdir()
    votes = np.zeros((2, 10), np.uint8)
    votes[:, :2] = 5
    images = np.zeros((2, 48, 48), np.uint8)
    np.savez(tmp_path / "ferplus" / "test.npz", images=images, votes=votes)
    with pytest.raises(CorpusError, match="most of the votes"):
        run("face", tmp_path, "test", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("face", "ferplus/test.npz"),
        ("speech", "ravdess_speech"),
        ("text", "goemotions"),
        ("fusion", "ferplus/test.npz"),
        ("detector", "clips"),
        ("all", "ferplus/test.npz"),
    ],
)
def test_absent_parts_are_named(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=said):
        run(name, tmp_path, "test", tmp_path / "out")


def test_a_test_part_without_its_actors_is_named(data_dir: Path, tmp_path: Path) -> None:
    if (data_dir / "ravdess_speech" / "Actor_21").is_dir():
        pytest.skip("the test actors are here")
    with pytest.raises(CorpusError, match="ravdess-21"):
        run("speech", data_dir, "test", tmp_path)


def test_folds_are_saved_read_and_their_absence_is_named(tmp_path: Path) -> None:
    path = tmp_path / "compact-speech" / "folds.npz"
    with pytest.raises(CorpusError, match="train speech --cv"):
        run("speech", tmp_path, "folds", tmp_path, models_dir=tmp_path)
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    classes = ("neutral", "calm", "happy", "sad")
    for fold in range(2):
        clips = [
            SpeechClip(
                Path(f"{one}.flac"), f"ravdess-{1 + 4 * fold + one // 4:02d}", label, "ravdess"
            )
            for one, label in enumerate(2 * classes)
        ]
        assert len(speakers_done(path, SpeechRecipe())) == 2 * fold
        logits = rng.normal(size=(8, 4)).astype(np.float32)
        add_fold(path, clips, logits, classes, SpeechRecipe())
    with pytest.raises(CorpusError, match="another recipe"):
        speakers_done(path, SpeechRecipe(epochs=1))
    (report,) = run("speech", tmp_path, "folds", tmp_path, models_dir=tmp_path)
    assert report.rows[0].n == 16
    assert report.rows[0].interval_95 is not None
    assert (report.rows[0].on, report.rows[0].met) == (
        "RAVDESS, folds over speakers, 4 of 20",
        None,
    )
    both = {row.measure: row for row in report.rows if row.on.startswith("both, 4 speakers")}
    assert both["expected calibration error"].goal == "<= 0.03"
    assert both["expected calibration error"].n == 16
    assert 0.0 < both["the same by chance alone"].value < 1.0
    assert sum("so far" in note for note in report.notes) == 2
    assert sum("is missing" in note for note in report.notes) == 2


def test_across_corpora_only_what_both_have_competes(tmp_path: Path) -> None:
    folder = tmp_path / "compact-speech"
    folder.mkdir()
    classes = ("neutral", "happy", "sad", "boredom")
    clips = [
        SpeechClip(Path(f"{one}.flac"), f"emodb-{('03', '08')[one // 4]}", label, "emodb")
        for one, label in enumerate(2 * classes)
    ]
    logits = np.tile(np.eye(4, dtype=np.float32), (2, 1))
    logits[:, 3] = 9.0
    for name in (FILE, without("emodb")):
        add_fold(folder / name, clips, logits, classes, SpeechRecipe())
    (report,) = run("speech", tmp_path, "folds", tmp_path, models_dir=tmp_path)
    across = next(row for row in report.rows if "RAVDESS (English) only" in row.on)
    assert (across.measure, across.value, across.n) == ("UAR", 1.0, 6)
    assert (across.goal, across.met) == (">= 0.3333", True)
    assert report.rows[0].value == 0.25


def test_refuses_unknown_names_and_splits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="face, detector"):
        run("faces", tmp_path)
    with pytest.raises(ConfigError, match="valid, test"):
        run("face", tmp_path, "train")
    with pytest.raises(ConfigError, match="only speech"):
        run("face", tmp_path, "folds")


def test_names_of_the_command_and_of_the_function_agree() -> None:
    assert [one.value for one in Name] == list(NAMES)


def test_the_command_prints_the_table(test_parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["evaluate", "text", "--data", str(test_parts), "--split", "test", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "| goemotions test | macro F1 |" in result.output
    assert (out / "text-test.json").is_file()


def test_recogniser_like_texts() -> None:
    assert bare("Oh, NO! I'm fine...") == "oh no i'm fine"
    assert spoken("Stop!") in {"stop", *(f"{one} stop" for one in ("um", "uh", "like", "so"))} | {
        "you know stop", "i mean stop",
    }  # fmt: skip
    text = "I really do not know what you are talking about. " * 3
    assert spoken(text) == spoken(text)
    assert spoken(text) != bare(text)


def test_sexes_of_speakers() -> None:
    assert [sex_of(one) for one in ("ravdess-21", "ravdess-22", "emodb-15", "emodb-16")] == [
        "men", "women", "men", "women",
    ]  # fmt: skip


def test_abstaining_gains_what_the_doubtful_rows_cost() -> None:
    labels = np.zeros(10, np.int64)
    probabilities = np.full((10, 2), 0.5)
    probabilities[:7] = (0.9, 0.1)
    probabilities[7:] = (0.4, 0.6)
    assert math.isclose(abstention_gain(labels, probabilities, np.full(10, 0.1)), 1.0 - 0.7)
