"""Readers of the multimodal corpora, on small trees laid out like the distributed ones."""

from collections import Counter

import pytest

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.afew import read_afew
from realtime_er.training.corpora.iemocap import read_iemocap
from realtime_er.training.corpora.layout import carve_validation
from realtime_er.training.corpora.manifest import missing_files, read_manifest, write_manifest
from realtime_er.training.corpora.meld_video import read_meld_video
from realtime_er.training.corpora.mosei import read_folds, read_mosei
from realtime_er.training.corpora.ravdess_video import fold_of, read_ravdess_video
from realtime_er.training.corpora.readers import READERS, read_corpus
from tests.training import trees

BUILD = {
    "iemocap": trees.iemocap,
    "mosei": trees.mosei,
    "meld": trees.meld,
    "afew": trees.afew,
    "ravdess": trees.ravdess,
    "ravdess-speech": trees.speech,
    "emodb": trees.speech,
}


@pytest.fixture(autouse=True)
def _hdf5(request):
    if "mosei" in str(getattr(request.node, "callspec", request.node).__dict__):
        pytest.importorskip("h5py")


def by_id(listing):
    return {row.id: row for row in listing.rows}


@pytest.mark.parametrize("name", list(READERS))
def test_every_corpus_writes_a_manifest_that_reads_back(tmp_path, name):
    root = BUILD[name](tmp_path / "corpus")
    listing = read_corpus(name, root)
    assert listing.rows
    assert {row.corpus for row in listing.rows} == {name.removesuffix("-speech")}
    write_manifest(tmp_path / "m.csv", listing.rows)
    assert read_manifest(tmp_path / "m.csv") == listing.rows
    assert missing_files(listing.rows, root) == []
    lost = listing.rows[0]
    (root / (lost.audio or lost.video)).unlink()
    assert lost.id in {skipped.id for skipped in missing_files(listing.rows, root)}


@pytest.mark.parametrize("name", list(READERS))
def test_another_layout_is_named(tmp_path, name):
    with pytest.raises(CorpusError, match="is no folder"):
        read_corpus(name, tmp_path / "none")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(CorpusError) as caught:
        read_corpus(name, tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "\n" not in message
    if name not in ("ravdess-speech", "emodb"):
        assert "elsewhere" in message, "what was found"
        assert "expected" in message or "missing" in message


def test_an_unknown_corpus_lists_the_known(tmp_path):
    with pytest.raises(CorpusError, match="iemocap, mosei, meld"):
        read_corpus("cremad", tmp_path)


def test_iemocap_spans_sides_speakers_and_words(tmp_path):
    listing = read_iemocap(trees.iemocap(tmp_path))
    assert len(listing.rows) == 5 * 2 * len(trees.IEMOCAP_CODES)
    row = by_id(listing)["iemocap/Ses01M_impro01_F000"]
    assert row.video == "Session1/dialog/avi/DivX/Ses01M_impro01.avi"
    assert row.audio == "Session1/sentences/wav/Ses01M_impro01/Ses01M_impro01_F000.wav"
    assert (row.start_s, row.end_s) == (6.2901, 8.2357)
    assert (row.native, row.text) == (("neu",), "Word 0: said.")
    # The man wears the markers in Ses01M, so the woman is in the other half.
    assert (row.speaker, row.side) == ("Ses01F", "right")
    assert by_id(listing)["iemocap/Ses01M_impro01_M001"].side == "left"
    assert by_id(listing)["iemocap/Ses01F_impro02_F000"].side == "left"
    assert row.group == "Ses01M_impro01"
    swapped = read_iemocap(tmp_path, marked_side="right")
    assert by_id(swapped)[row.id].side == "left"


def test_iemocap_parts_are_by_session_and_dialogue(tmp_path):
    rows = read_iemocap(trees.iemocap(tmp_path, dialogues=5)).rows
    assert {row.split for row in rows if row.id.startswith("iemocap/Ses05")} == {"test"}
    assert "test" not in {row.split for row in rows if not row.id.startswith("iemocap/Ses05")}
    parts = {}
    for row in rows:
        parts.setdefault(row.group, set()).add(row.split)
    assert all(len(found) == 1 for found in parts.values())
    assert sum(found == {"val"} for found in parts.values()) == 2  # of 20
    again = read_iemocap(tmp_path).rows
    assert again == rows
    assert {r.split for r in read_iemocap(tmp_path, test_session=2).rows if "Ses02" in r.id} == {
        "test"
    }


def test_iemocap_without_a_video_or_a_sound_goes_on(tmp_path):
    trees.iemocap(tmp_path)
    (tmp_path / "Session1/dialog/avi/DivX/Ses01M_impro01.avi").unlink()
    (tmp_path / "Session1/sentences/wav/Ses01M_impro01/Ses01M_impro01_F000.wav").unlink()
    listing = read_iemocap(tmp_path)
    (skipped,) = listing.skipped
    assert skipped.id == "iemocap/Ses01M_impro01_F000"
    assert by_id(listing)["iemocap/Ses01M_impro01_M001"].video == ""


def test_iemocap_unknown_codes_and_missing_sessions_are_named(tmp_path):
    trees.iemocap(tmp_path)
    labels = tmp_path / "Session3/dialog/EmoEvaluation/Ses03M_impro01.txt"
    text = labels.read_text()
    labels.write_text(text.replace("\tneu\t", "\tbored\t"))
    with pytest.raises(CorpusError, match="Ses03M_impro01_F000 bored"):
        read_iemocap(tmp_path)
    (tmp_path / "Session5").rename(tmp_path / "Sitzung5")
    with pytest.raises(CorpusError, match=r"Session5 is missing.*found.*Session4, Sitzung5"):
        read_iemocap(tmp_path)


@pytest.mark.parametrize("segmented", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_mosei_labels_times_and_folds(tmp_path, segmented, nested):
    pytest.importorskip("h5py")
    listing = read_mosei(trees.mosei(tmp_path, segmented=segmented, nested=nested))
    assert listing.counts() == {"train": 6, "val": 3, "test": 3}
    video = trees.MOSEI_VIDEOS[0]
    first, second, third = (by_id(listing)[f"mosei/{video}_{clip}"] for clip in range(3))
    assert first.native == ("happy",)
    # The strongest first; equal ones as in the tables.
    assert second.native == ("anger", "sad", "disgust")
    assert third.native == ("none",)
    assert (second.group, second.text) == (video, "words of 1")
    if segmented:
        assert second.video.endswith(f"Segmented/Combined/{video}_1.mp4")
        assert second.start_s is None
    else:
        assert second.video.endswith(f"Full/Combined/{video}.mp4")
        assert (second.start_s, second.end_s) == (5.0, 9.5)
    assert {skipped.reason for skipped in listing.skipped} == {"has no label"}
    assert len(listing.skipped) == 4


def test_mosei_videos_in_no_fold_or_missing_are_named(tmp_path):
    pytest.importorskip("h5py")
    trees.mosei(tmp_path)
    folds = tmp_path / "cmu_mosei_std_folds.py"
    folds.write_text(folds.read_text().replace(trees.MOSEI_VIDEOS[3], "other"))
    (tmp_path / f"Raw/Videos/Segmented/Combined/{trees.MOSEI_VIDEOS[0]}_0.mp4").unlink()
    reasons = Counter(skipped.reason.split("/")[-1] for skipped in read_mosei(tmp_path).skipped)
    assert reasons["its video is in no fold"] == 4
    assert reasons[f"{trees.MOSEI_VIDEOS[0]}_0.mp4 is missing"] == 1


def test_mosei_odd_lines_are_left_out_by_name(tmp_path):
    pytest.importorskip("h5py")
    trees.mosei(tmp_path)
    video = trees.MOSEI_VIDEOS[0]
    path = tmp_path / f"Raw/Transcript/Segmented/Combined/{video}.txt"
    first = path.read_text().splitlines()[0]
    path.write_text(path.read_text() + f"\n{first}\nonly___three___0.1\n")
    skipped = {(entry.id, entry.reason.split("/")[-1]) for entry in read_mosei(tmp_path).skipped}
    assert (f"mosei/{video}_0", "stands twice") in skipped
    assert any("line 6 is not VIDEO" in reason for _, reason in skipped)


def test_mosei_folds_are_data_not_code(tmp_path):
    path = tmp_path / "cmu_mosei_std_folds.py"
    path.write_text("standard_train_fold=[open('x')]\n")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_folds(path)
    path.write_text("standard_train_fold=['a']\nstandard_valid_fold=['a']\nstandard_test_fold=[]\n")
    with pytest.raises(CorpusError, match="a in two parts"):
        read_folds(path)
    path.write_text("standard_train_fold=['a']\n")
    with pytest.raises(CorpusError, match="no list standard_valid_fold"):
        read_folds(path)
    other = tmp_path / "folds.json"
    other.write_text('{"train": ["a"], "val": [], "test": ["b"]}')
    assert read_folds(other) == {"a": "train", "b": "test"}


def test_mosei_other_label_files_are_named(tmp_path):
    h5py = pytest.importorskip("h5py")
    trees.mosei(tmp_path)
    (tmp_path / "CMU_MOSEI_Labels.csd").write_bytes(b"<html>")
    with pytest.raises(CorpusError, match="not the SDK's label file"):
        read_mosei(tmp_path)
    with h5py.File(tmp_path / "CMU_MOSEI_Labels.csd", "w") as file:
        entry = file.create_group("words").create_group("data").create_group("v")
        entry["intervals"], entry["features"] = [[0.0, 1.0]], [[1.0]]
    with pytest.raises(CorpusError, match="v has scores"):
        read_mosei(tmp_path)
    transcripts = tmp_path / "Raw/Transcript/Segmented/Combined"
    trees.mosei(tmp_path)
    for video in trees.MOSEI_VIDEOS:
        (transcripts / f"{video}.txt").write_text("only___three___0.1\n")
    with pytest.raises(CorpusError, match="line 1 is not VIDEO___CLIP"):
        read_mosei(tmp_path)


@pytest.mark.parametrize("nested", [False, True])
def test_meld_parts_words_and_missing_clips(tmp_path, nested):
    trees.meld(tmp_path, nested=nested)
    gone = next(tmp_path.rglob("dev_splits_complete/dia0_utt3.mp4"))
    gone.unlink()
    listing = read_meld_video(tmp_path)
    assert listing.counts() == {"train": 7, "val": 6, "test": 7}
    (skipped,) = listing.skipped
    assert skipped.id == "meld/dev/dia0_utt3"
    row = by_id(listing)["meld/train/dia0_utt1"]
    assert (row.native, row.speaker, row.group) == (("joy",), "Ross", "train-0")
    assert row.text == "Oh, I\u2019m joy"
    assert row.video.endswith("train_splits/dia0_utt1.mp4")


def test_meld_unknown_emotions_and_missing_tables_are_named(tmp_path):
    trees.meld(tmp_path)
    table = tmp_path / "test_sent_emo.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",joy,", ",glee,"), encoding="utf-8")
    with pytest.raises(CorpusError, match="unknown emotion 'glee'"):
        read_meld_video(tmp_path)
    table.unlink()
    with pytest.raises(CorpusError, match=r"test_sent_emo\.csv is missing.*found.*dev_sent_emo"):
        read_meld_video(tmp_path)


def test_afew_parts_and_a_validation_part_of_its_own(tmp_path):
    listing = read_afew(trees.afew(tmp_path, per_label=4))
    assert listing.counts() == {"train": 28, "val": 28, "test": 0}
    assert Counter(row.native[0] for row in listing.rows)["Happy"] == 8
    carved = carve_validation(listing.rows, 0.25)
    assert Counter(row.split for row in carved) == {"train": 21, "val": 7, "test": 28}
    assert {row.id for row in carved if row.split == "test"} == {
        row.id for row in listing.rows if row.split == "val"
    }
    assert carve_validation(carved) == carved, "a corpus with a test part is left alone"


def test_afew_without_a_class_is_named(tmp_path):
    trees.afew(tmp_path)
    (tmp_path / "Val_AFEW" / "Sad").rename(tmp_path / "Val_AFEW" / "Gloomy")
    with pytest.raises(CorpusError, match=r"Val_AFEW/Sad holds no \.avi.*found.*Gloomy"):
        read_afew(tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
def test_ravdess_keeps_speech_with_sound(tmp_path, zipped):
    listing = read_ravdess_video(trees.ravdess(tmp_path, zipped=zipped))
    assert len(listing.rows) == 24 * 8 * 2
    assert listing.counts() == {"train": 192, "val": 64, "test": 128}
    row = by_id(listing)["ravdess/01-01-02-01-02-01-18"]
    assert (row.native, row.speaker, row.split) == (("calm",), "18", "test")
    assert row.text == "Dogs are sitting by the door."
    assert [fold_of(actor) for actor in (1, 4, 5, 24)] == [0, 0, 1, 5]


def test_ravdess_odd_names_are_named(tmp_path):
    trees.ravdess(tmp_path, actors=[1])
    (tmp_path / "Actor_01" / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(CorpusError, match="holiday: not a RAVDESS name"):
        read_ravdess_video(tmp_path)


def test_speech_alone_shares_names_with_the_videos(tmp_path):
    trees.speech(tmp_path)
    rows = read_corpus("ravdess-speech", tmp_path).rows
    assert {row.split for row in rows if row.speaker == "24"} == {"test"}
    assert all(row.audio and not row.video for row in rows)
    assert rows[0].text == "Dogs are sitting by the door."
    german = read_corpus("emodb", tmp_path)
    assert german.counts() == {"train": 7, "val": 7, "test": 7}


def test_the_speech_corpora_at_hand(data_dir):
    for name in ("ravdess-speech", "emodb"):
        listing = read_corpus(name, data_dir)
        counts = listing.counts()
        assert counts["train"] > counts["test"] > 0
        assert counts["val"] > 0
        parts = {}
        for row in listing.rows:
            parts.setdefault(row.speaker, set()).add(row.split)
        assert all(len(found) == 1 for found in parts.values()), "a speaker in two parts"
