"""Foal-Net end to end on a small corpus laid out like IEMOCAP, by the commands users type."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import realtime_er.cli  # noqa: E402
from realtime_er.encoders.foal.clip import ClipImageEncoder  # noqa: E402
from realtime_er.encoders.foal.wavlm import load_wavlm  # noqa: E402
from realtime_er.errors import ConfigError, CorpusError, SpecMismatch  # noqa: E402
from realtime_er.fusion.foal import CLASSES  # noqa: E402
from realtime_er.training.corpora.manifest import ManifestRow  # noqa: E402
from realtime_er.training.foal import evaluate as foal_evaluate  # noqa: E402
from realtime_er.training.foal import files as foal_files  # noqa: E402
from realtime_er.training.foal import fit as foal_fit  # noqa: E402
from realtime_er.training.foal import train as foal  # noqa: E402
from realtime_er.training.foal.batches import FoalData, balanced_rows  # noqa: E402
from realtime_er.training.foal.clips import ClipPreparer, load_material  # noqa: E402
from realtime_er.training.foal.corpus import FoalClip, FoalCorpus, make_fold  # noqa: E402
from realtime_er.training.foal.recipe import FoalRecipe  # noqa: E402
from realtime_er.training.mer.team import Team  # noqa: E402
from tests.encoders.foal import tiny  # noqa: E402
from tests.training import mer_media, trees  # noqa: E402

FAST = FoalRecipe(
    epochs=6, batch=8, start_rate=1e-3, peak_rate=1e-2, end_rate=1e-3, rate_hz=5.0, seed=3
)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    torch.set_num_threads(1)
    at = tmp_path_factory.mktemp("encoders")
    return tiny.write_wavlm(at / "wavlm"), tiny.write_clip(at / "clip")


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    at = tmp_path_factory.mktemp("iemocap")
    return trees.iemocap(at / "I", dialogues=1, write=mer_media.MediaWriter(at / "media"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        "realtime_er.perception.detectors.make_detector", lambda _: mer_media.BlockDetector()
    )
    return tmp_path


def invoke(*args):
    result = CliRunner().invoke(realtime_er.cli.app, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def synthetic(folder, *, sessions=(1, 2, 3), per_class=2, labels=range(4)):
    """Prepared clips without any decoding: pitch and features tell the class."""
    random = np.random.default_rng(0)
    clips = []
    for session in sessions:
        for label in labels:
            for number in range(per_class):
                name = f"Ses0{session}F_impro0{number}_F{label:03d}"
                seconds = 0.5 + 0.1 * number
                t = np.arange(round(seconds * 16_000)) / 16_000
                sound = 0.3 * np.sin(2 * np.pi * (150 + 230 * label) * t)
                pictures = random.normal(size=(3 + number, 12)) * 0.2 + np.eye(4, 12)[label] * 2
                folder.mkdir(parents=True, exist_ok=True)
                np.savez(
                    folder / f"{name}.npz", key="k", reason="", sound=sound.astype(np.float32),
                    pictures=pictures.astype(np.float32),
                )  # fmt: skip
                row = ManifestRow(
                    f"iemocap/{name}", "iemocap", "train", "x.avi", "", ("neu",),
                    speaker=f"Ses0{session}F", group=name[:-5],
                )  # fmt: skip
                clips.append(FoalClip(row, label, session))
    paths = [folder / f"{clip.name}.npz" for clip in clips]
    return clips, FoalData(paths, [clip.label for clip in clips])


class Prepared:
    """Stands for a preparer whose work is done."""

    def __init__(self, folder):
        self.folder = folder

    def prepare(self, row, root):
        return self.path_of(row)

    def path_of(self, row):
        return self.folder / f"{row.id.rpartition('/')[2]}.npz"


def train(folder, clips, encoders, out, recipe=FAST, wavlm=None, **more):
    corpus = FoalCorpus(folder, tuple(clips), {}, ())
    clip = ClipImageEncoder(encoders[1])
    return foal.train_foal(
        corpus, wavlm or load_wavlm(encoders[0]), Prepared(folder), recipe, out, clip=clip, **more
    )


def test_batches_are_balanced_and_repeatable():
    labels = np.array([0] * 90 + [1] * 9 + [3])
    rows = balanced_rows(labels, 3000, seed=4)
    shares = np.bincount(labels[rows], minlength=4) / 3000
    assert np.abs(shares[[0, 1, 3]] - 1 / 3).max() < 0.04
    assert np.array_equal(rows, balanced_rows(labels, 3000, seed=4))
    assert not np.array_equal(rows, balanced_rows(labels, 3000, seed=5))


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, encoders):
    clips, _ = synthetic(tmp_path / "clips")
    recipe = FoalRecipe(epochs=3, batch=8, peak_rate=3e-3, seed=5, dropout=0.2)
    (whole,) = train(tmp_path / "clips", clips, encoders, tmp_path / "a", recipe, sessions=[2])

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(progress):
        if progress.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(
            tmp_path / "clips", clips, encoders, tmp_path / "b", recipe, sessions=[2], progress=stop
        )
    checkpoint = tmp_path / "b" / "session2" / "checkpoint.pt"
    assert checkpoint.is_file()
    other = FoalRecipe(epochs=4, batch=8, seed=5)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: of a run with other settings"):
        train(tmp_path / "clips", clips, encoders, tmp_path / "b", other, sessions=[2])
    another = load_wavlm(encoders[0])._replace(sha256="another")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt: of a run with other settings"):
        train(
            tmp_path / "clips", clips, encoders, tmp_path / "b", recipe, sessions=[2], wavlm=another
        )
    kept = checkpoint.read_bytes()
    checkpoint.write_bytes(kept[:1000])
    with pytest.raises(CorpusError, match=r"checkpoint\.pt: is damaged; delete it"):
        train(tmp_path / "clips", clips, encoders, tmp_path / "b", recipe, sessions=[2])
    checkpoint.write_bytes(kept)
    epochs = []
    (again,) = train(
        tmp_path / "clips", clips, encoders, tmp_path / "b", recipe, sessions=[2],
        progress=lambda progress: epochs.append(progress.epoch),
    )  # fmt: skip
    assert epochs == [3]
    assert again.sha256 == whole.sha256
    assert not checkpoint.exists()
    for name in ("predictions.csv", "history.json"):
        one, two = (tmp_path / run / "session2" / name for run in "ab")
        assert one.read_text() == two.read_text()
    history = json.loads((tmp_path / "a" / "session2" / "history.json").read_text())
    assert [epoch["rate"] for epoch in history] == sorted(
        (epoch["rate"] for epoch in history), reverse=True
    )
    assert (tmp_path / "a" / "session2" / "curves.png").stat().st_size > 5000
    # Finished: passed by; with other settings: refused.
    said = []
    (passed,) = train(
        tmp_path / "clips", clips, encoders, tmp_path / "a", recipe, sessions=[2], say=said.append
    )
    assert passed.sha256 == whole.sha256
    assert said[-1] == "session 2: is there already"
    with pytest.raises(ConfigError, match="was trained with another recipe; delete it"):
        train(tmp_path / "clips", clips, encoders, tmp_path / "a", other, sessions=[2])
    with pytest.raises(ConfigError, match="no session 9 among the clips; there are 1, 2, 3"):
        train(tmp_path / "clips", clips, encoders, tmp_path / "c", recipe, sessions=[9])


def test_what_cannot_be_trained_is_refused(tmp_path, encoders):
    clips, data = synthetic(tmp_path, labels=(1,))
    net = foal.FoalNet(tiny.WAVLM_CONFIG, 12)
    fold = make_fold(clips, 1)
    with pytest.raises(CorpusError, match="fewer than two classes"):
        foal_fit.fit_foal(net, data, fold, FAST, tmp_path / "o", Team("cpu"), session=1)
    clips, data = synthetic(tmp_path / "2")
    fold = make_fold(clips, 1)
    half = FoalRecipe(precision="fp16")
    with pytest.raises(ConfigError, match="fp16 needs a CUDA GPU"):
        foal_fit.fit_foal(net, data, fold, half, tmp_path / "o", Team("cpu"), session=1)
    team = Team("cpu")
    team.size = 3
    with pytest.raises(ConfigError, match="batch 8 cannot be shared by 3 processes"):
        foal_fit.fit_foal(net, data, fold, FAST, tmp_path / "o", team, session=1)

    # All of it before a clip is read, which takes hours.
    class Never(Prepared):
        def prepare(self, row, root):
            raise AssertionError(row)

    def never(given, recipe):
        corpus = FoalCorpus(tmp_path, tuple(given), {}, ())
        wavlm = load_wavlm(encoders[0])
        foal.train_foal(corpus, wavlm, Never(tmp_path), recipe, tmp_path / "o", clip=None)

    with pytest.raises(ConfigError, match="fp16 needs a CUDA GPU"):
        never(clips, half)
    with pytest.raises(CorpusError, match="session 2 as test leaves the train part empty"):
        never([clip for clip in clips if clip.session == 2], FAST)
    material = load_material(tmp_path / "2" / f"{clips[0].name}.npz")
    np.savez(
        tmp_path / "2" / f"{clips[1].name}.npz", key="k", reason="", sound=material.sound,
        pictures=np.zeros((2, 5), np.float32),
    )  # fmt: skip
    with pytest.raises(CorpusError, match="not of 12 numbers"):
        data.batch([0, 1], normalise=True)
    with pytest.raises(CorpusError, match="no clip is left"):
        FoalData([], [])


def test_half_precision_and_mean_positives_train_as_well(tmp_path, encoders):
    clips, data = synthetic(tmp_path)
    fold = make_fold(clips, 3)
    recipe = FoalRecipe(
        epochs=1, batch=4, precision="bf16", positives="mean", temperature="clip", mem=0.0
    )
    net = foal.FoalNet(tiny.WAVLM_CONFIG, 12, positives="mean", temperature="clip")
    fit = foal_fit.fit_foal(net, data, fold, recipe, tmp_path / "o", Team("cpu"), session=3)
    (epoch,) = fit.history
    assert epoch["loss"] == pytest.approx(epoch["ce"] + epoch["avel"], rel=1e-3)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())


def test_clips_are_prepared_once_and_tell_why_not(tmp_path, iemocap, encoders):
    clip = ClipImageEncoder(encoders[1])
    row = foal_row(iemocap, "Ses01M_impro01_F000")
    preparer = ClipPreparer(tmp_path / "c", clip, rate_hz=5.0)
    path = preparer.prepare(row, iemocap)
    found = load_material(path)
    assert found.reason == ""
    assert found.sound.shape == (9600,)
    assert found.pictures.shape == (10, 12)  # 1.9 s at 5 Hz, both ends
    written = path.stat().st_mtime_ns
    assert preparer.prepare(row, iemocap).stat().st_mtime_ns == written
    # Other frames, other halves: another key, so described again.
    faces = ClipPreparer(
        tmp_path / "c", clip, image="face", rate_hz=5.0, detector=mer_media.BlockDetector()
    )
    assert faces.prepare(row, iemocap).stat().st_mtime_ns != written
    seen = load_material(path)
    assert seen.pictures.shape == (10, 12)
    assert np.abs(seen.pictures - found.pictures).max() > 1e-3
    # The recording was replaced: read again.
    heard = iemocap / row.audio if row.audio else iemocap / row.video
    before = path.read_bytes()
    stamp = heard.stat().st_mtime_ns + 1_000_000_000
    os.utime(heard, ns=(stamp, stamp))
    assert faces.prepare(row, iemocap).read_bytes() != before
    path.write_bytes(b"half written")
    assert load_material(preparer.prepare(row, iemocap)).pictures.shape == (10, 12)
    with pytest.raises(CorpusError, match="missing or damaged"):
        load_material(tmp_path / "c" / "other.npz")

    given = tmp_path / "f" / "session01"
    given.mkdir(parents=True)
    np.save(given / f"{path.stem}.npy", np.ones((200, 7)))
    from_files = ClipPreparer(tmp_path / "d", None, features=tmp_path / "f", rate_hz=30.0)
    assert load_material(from_files.prepare(row, iemocap)).pictures.shape == (180, 7)
    # New recordings have given features as well.
    shutil.copy(given / f"{path.stem}.npy", tmp_path / "f" / "new.npy")
    new = mer_media.write_clip(tmp_path / "new.avi", 1)
    assert from_files.read_file(new).pictures.shape == (180, 7)
    (given / f"{path.stem}.npy").write_bytes(b"x")
    assert f"{path.stem}.npy: cannot be decoded" in load_material(
        from_files.prepare(row, iemocap)
    ).reason  # fmt: skip
    np.save(given / f"{path.stem}.npy", np.ones(7))
    assert (
        "expected finite [frames, numbers]"
        in load_material(from_files.prepare(row, iemocap)).reason
    )

    (tmp_path / "broken.avi").write_bytes(b"no video")
    assert "not a media file" in preparer.read_file(tmp_path / "broken.avi").reason
    mute = mer_media.write_clip(tmp_path / "mute.avi", 1, sound=np.zeros(0, np.int16))
    assert preparer.read_file(mute).reason == "the file has no sound"
    heard = mer_media.write_clip(tmp_path / "heard.wav", 1, video=False)
    assert preparer.read_file(heard).reason.endswith("heard.wav: holds no picture")
    dark = mer_media.write_clip(tmp_path / "dark.avi", 1, boxes=())
    assert faces.read_file(dark).reason == "no face was found"
    short = mer_media.write_clip(tmp_path / "short.avi", 1, 0.02, sound=mer_media.tone(1, 0.02))
    assert "too short for one state" in preparer.read_file(short).reason


def foal_row(root, name):
    from realtime_er.training.foal.corpus import read_foal_corpus

    return next(clip.row for clip in read_foal_corpus(root).clips if clip.name == name)


@pytest.mark.slow
def test_two_commands_overfit_a_small_corpus_and_print_the_published_table(
    place, iemocap, encoders
):
    wavlm, clip = encoders
    (place / "foal.toml").write_text(
        "epochs = 12\nbatch = 6\nstart_rate = 2e-3\npeak_rate = 8e-3\nend_rate = 1e-3\n"
        "rate_hz = 3.0\ntemperature = 'clip'\npositives = 'mean'\nexcited = false\n"
    )
    result = invoke(
        "train", "foal", "--data", iemocap, "--wavlm", wavlm, "--clip", clip, "--out", "heads",
        "--config", "foal.toml", "--image", "face", "--seed", "2", "--session", "1", "--session", "4",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "20 clips, 0 skipped" in result.output
    cards = [json.loads((place / "heads" / f"session{n}" / "card.json").read_text())
             for n in (1, 4)]  # fmt: skip
    assert [card["training"]["session"] for card in cards] == [1, 4]
    assert cards[0]["training"]["recipe"]["image"] == "face"
    assert cards[0]["training"]["left_out"] == {"exc": 5, "fru": 5, "xxx": 5, "sur": 5}
    # Same tones and colours in every session: the one held out is known by heart.
    assert [card["metrics"]["test.UA"]["value"] for card in cards] == [1.0, 1.0]

    result = invoke("evaluate", "foal", "--head", "heads", "--out", "results")
    assert result.exit_code == 0, result.output
    line = r"\| A\+V, AVEL and MEM \(Foal-Net\) \| \*\*[\d.]+ ± [\d.]+\*\* \(80\.1\) \| \*\*"
    assert re.search(line, result.output), result.output
    assert "| A, WavLM | (77.7) | (77.2) |" in result.output
    assert "Dialogues of the training sessions chose the epoch" in result.output
    record = json.loads((place / "results" / "foal.json").read_text())
    first = record["sessions"]

    # The same figures without training, reading the clips again.
    result = invoke(
        "evaluate", "foal", "--head", "heads", "--data", iemocap, "--clip", clip, "--out", "again"
    )
    assert result.exit_code == 0, result.output
    assert json.loads((place / "again" / "foal.json").read_text())["sessions"] == first

    # New recordings: no label anywhere.
    for kind in (1, 2, 3):
        mer_media.write_clip(place / f"new{kind}.avi", kind, 1.9)
    (place / "bad.avi").write_bytes(b"x")
    media = [part for name in ("new1", "new2", "new3", "bad")
             for part in ("--media", f"{name}.avi")]  # fmt: skip
    result = invoke("evaluate", "foal", "--head", "heads", "--clip", clip, "--out", "m", *media)
    assert result.exit_code == 0, result.output
    with (place / "m" / "foal-media.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["reads_as"] for row in rows] == ["Happy", "Sad", "Angry", ""]
    assert rows[0]["Fear"] == ""
    assert sum(float(rows[0][name]) for name in CLASSES) == pytest.approx(1.0, abs=1e-5)
    assert "not a media file" in rows[3]["reason"]

    # Another CLIP is refused, and heads of different settings make no table.
    with pytest.raises(SpecMismatch, match=r"trained with --clip .*, not given --features"):
        foal_evaluate.check_clip(place / "heads", None)
    np.save(place / "new1.npy", np.ones((4, 7)))
    given = ClipPreparer(place / "c", None, features=place)
    with pytest.raises(SpecMismatch, match="reads 12 numbers of a frame, the features have 7"):
        foal_evaluate.read_media(place / "heads", [place / "new1.avi"], given, place / "m")
    card = place / "heads" / "session4" / "card.json"
    card.write_text(card.read_text().replace('"avel": 1.0', '"avel": 0.0'))
    with pytest.raises(SpecMismatch, match="trained with another avel than"):
        foal_evaluate.common_recipe(place / "heads")


@pytest.mark.slow
def test_the_published_split_is_labelled(tmp_path, encoders):
    clips, _ = synthetic(tmp_path / "clips", sessions=(1, 2))
    recipe = FoalRecipe(epochs=1, batch=8, avel=0.0, mem=0.0)
    cards = train(tmp_path / "clips", clips, encoders, tmp_path / "o", recipe, published_split=True)
    assert len(cards) == 2
    assert cards[0].raw["training"]["selected_by"] == "test UA"
    assert "too good" in cards[0].raw["training"]["split"]
    found = foal_evaluate.stored_predictions(tmp_path / "o")
    text = foal_evaluate.write_tables(tmp_path / "o", found, tmp_path / "r", resamples=0)
    assert "The test session chose the epoch, as published: these figures are too good." in text
    assert "Only 2 of 5 sessions are trained." in text
    assert re.search(r"\| A\+V \| \*\*[\d.]+ ± [\d.]+\*\* \(77\.8\)", text)
    assert "| A+V, AVEL and MEM (Foal-Net) | (80.1) | (79.5) |" in text
    # One network alone has an interval, and its own predictions.
    assert foal_files.head_folders(tmp_path / "o" / "session1") == [tmp_path / "o" / "session1"]
    own = foal_files.read_predictions(tmp_path / "o" / "session1" / "predictions.csv")
    assert sorted(own.ids) == sorted(clip.row.id for clip in clips if clip.session == 1)


def test_wrong_use_is_one_line(place, encoders):
    (place / "I").mkdir()
    (place / "x.scp").write_text("Ses01F_impro01_F000 nowhere.wav neu\n")
    training = ["train", "foal", "--wavlm", encoders[0], "--clip", encoders[1]]
    scoring = ["evaluate", "foal", "--head"]
    for args, code, said in (
        (["train", "foal"], 2, "--data"),
        ([*training, "--data", "I"], 1, "I/Session1 is missing"),
        ([*training, "--data", "x.scp"], 1, "x.scp, line 1: Ses01F_impro01_F000: nowhere.wav"),
        ([*training, "--data", "I", "--image", "all"], 2, "--image all: say whole or face"),
        ([*training, "--data", "I", "--precision", "int8"], 2, "--precision int8: say fp32 or"),
        ([*scoring, "I"], 1, "I: neither card.json nor session*/card.json is there"),
        ([*scoring, "I", "--data", "I", "--media", "a.mp4"], 2, "give one of them"),
    ):
        result = invoke(*args)
        assert (result.exit_code, said in result.output) == (code, True), (args, result.output)
