"""The whole graph with fakes at the device and model boundary: what is counted, and how it ends."""

import threading

import numpy as np
import pytest

from realtime_er import session as session_module
from realtime_er.config import load_config
from realtime_er.errors import (
    ClosedError,
    ConfigError,
    DeviceNotFound,
    SessionError,
    SourceError,
    WorkerFault,
)
from realtime_er.messages import Absence, Hypothesis
from realtime_er.perception.detectors import Detection
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.session import Session
from tests.fakes import CountingCamera, FakeSource, RampMicrophone, TableHead

STEP = 1280


class OneFace:
    """Sees one face in every frame whose index is not in ``away``."""

    name = "haar"

    def __init__(self, away=range(0)):
        self.away = away

    def detect(self, image):
        index = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
        return [] if index in self.away else [Detection((40.0, 20.0, 80.0, 80.0), 1.0)]


class FakeFaceEncoder:
    encoder_id = "fake-face"

    def encode(self, crop):
        return np.full(2, crop.mean(), np.float32), np.zeros(7, np.float32)


class FakeAudioEncoder:
    """Embeds the index of a step's first sample, so a test can say which sound it saw."""

    encoder_id = "fake-audio"
    step_samples = window_samples = STEP

    def __init__(self):
        self.start, self.pending = None, np.zeros(0, np.float32)

    @property
    def next_end_sample(self):
        return None if self.start is None else self.start + STEP

    def push(self, first_sample, samples):
        if self.start is None or first_sample != self.start + len(self.pending):
            self.start, self.pending = first_sample, np.zeros(0, np.float32)
        self.pending = np.concatenate([self.pending, samples])
        done = []
        while len(self.pending) >= STEP:
            assert self.pending[0] * 2**23 == self.start
            self.start += STEP
            done.append((self.start, np.full(2, float(self.start), np.float32)))
            self.pending = self.pending[STEP:]
        return done

    def skip(self):
        pass

    def finish(self):
        return None


class FakeTextEncoder:
    encoder_id = "fake-text"

    def encode(self, text):
        return np.full(3, float(len(text)), np.float32), np.zeros(7, np.float32)


class Voice:
    """Speech between two sample indices, read off the samples themselves."""

    step_samples = 512

    def __init__(self, speech):
        self.speech = speech

    def probability(self, samples):
        return 1.0 if round(float(samples[0]) * 2**23) in self.speech else 0.0

    def reset(self):
        pass


class EchoRecognizer:
    """Transcribes a segment as the seconds it lasts."""

    has_smaller = False

    def transcribe(self, segment, abandoned=None):
        text = f"heard {segment.end_s - segment.start_s:.1f} seconds"
        committed = text if segment.is_final else "heard"
        return Hypothesis(
            segment.segment_id,
            segment.revision,
            text,
            committed,
            segment.is_final,
            segment.start_s,
            segment.end_s,
            segment.trigger_s,
            segment.trigger_s + 0.4,
        )


class Changeable(RampMicrophone):
    """A microphone that can be changed, and that mutes its own session as it goes."""

    def __init__(self, duration_s, at=None):
        super().__init__(duration_s)
        self.at, self.used = at or {}, []

    def use(self, wanted):
        if wanted == "none":
            raise DeviceNotFound("no microphone 'none'")
        self.used.append(wanted)

    def run(self, emit, pacer, stop):
        def counted(message):
            self.at.get(message.first_sample, lambda: None)()
            emit(message)

        super().run(counted, pacer, stop)


class FakeModels:
    notices = ()

    def __init__(self, config, *, away=range(0), speech=range(0), recognizer=True):
        self.config = config
        self.face, self.text, self.head = FakeFaceEncoder(), FakeTextEncoder(), TableHead()
        self.audio = FakeAudioEncoder()
        self.recognizer = EchoRecognizer() if recognizer else None
        self.away, self.speech = away, speech

    def load(self, *, video, audio, text):
        self.audio = FakeAudioEncoder()

    def load_head(self, modalities):
        pass

    def describe(self):
        return {"face": {"id": "fake-face", "sha256": "0" * 64}}

    def face_perception(self):
        return FacePerception(self.config.face, OneFace(self.away), CropRule(1.0, 0.0, 48))

    def speech_detector(self):
        return SpeechDetector(self.config.vad, self.config.asr.partial_every_s, Voice(self.speech))

    def encode_text(self, text):
        return self.text.encode(text)[0] if text else None


def run(source, *, overrides=None, preset="analyze", **models):
    settings = {"face.min_sharpness": 0.0, **(overrides or {})}
    config = load_config(preset, settings)
    before = threading.active_count()
    with Session(config, source=source, models=FakeModels(config, **models)) as session:
        estimates = list(session.estimates())
    assert threading.active_count() == before
    accounting = session.accounting()
    assert accounting.balanced, accounting.lines()
    return session, estimates


def both(duration_s=6.0, **kwargs):
    return FakeSource(CountingCamera(duration_s), RampMicrophone(duration_s), **kwargs)


def test_every_tick_has_an_estimate_and_everything_is_accounted_for():
    session, estimates = run(both(), speech=range(16_000, 48_000))
    assert [e.index for e in estimates] == list(range(1, len(estimates) + 1))
    assert estimates[-1].time_s == pytest.approx(5.9, abs=0.11)
    edges = {e.counts.name: e for e in session.accounting().edges}
    assert edges["camera>face"].captured == 180
    assert edges["camera>face"].processed == 60
    assert edges["camera>face"].skipped == 120
    assert edges["microphone>audio"].processed == 75 * STEP
    assert edges["microphone>speech"].processed == 96_000
    assert edges["speech>asr"].unaccounted == 0
    assert all(e.timing.age_s is None for e in estimates)


def test_words_and_voice_appear_with_the_speech_and_not_before():
    _session, estimates = run(both(), speech=range(16_000, 48_000))
    by_time = {round(e.time_s, 1): e for e in estimates}
    assert by_time[1.0].absent["audio"] is Absence.NO_SPEECH
    assert by_time[1.0].absent["text"] is Absence.NO_WORDS
    assert "audio" not in by_time[2.5].absent
    assert by_time[3.0].transcript == "heard"
    assert by_time[3.0].partial.endswith("seconds")
    assert by_time[5.5].transcript.startswith("heard")
    assert by_time[5.5].partial == ""


def test_a_face_that_leaves_is_named_and_comes_back():
    _session, estimates = run(both(), away=range(60, 120))
    by_time = {round(e.time_s, 1): e for e in estimates}
    assert "face" not in by_time[1.5].absent
    assert by_time[3.0].absent["face"] is Absence.NO_FACE
    assert np.isnan(by_time[3.0].probabilities).all()
    assert "face" not in by_time[5.0].absent


def test_twice_gives_equal_records():
    records = [
        [e.to_record() for e in run(both(), speech=range(16_000, 48_000))[1]] for _ in range(3)
    ]
    assert records[0] == records[1] == records[2]


def test_lost_samples_are_a_gap_and_never_bridged():
    lose = range(40_800, 48_000)
    source = FakeSource(RampMicrophone(6.0, lose=lose))
    session, _ = run(source, speech=range(16_000, 80_000))
    record = session.accounting().to_record()
    assert record["balanced"]
    assert record["streams"]["microphone"]["in_gaps"] == len(range(40_800, 48_000, 480)) * 480
    assert len(session.finals) == 2


@pytest.mark.parametrize("hole_s", [5, 30])
def test_a_hole_longer_than_the_lead_of_a_file_does_not_stop_it(hole_s):
    """A slide show: frames far apart, and sound that pauses; neither may wait for the other."""
    duration_s = 2 * hole_s + 2
    lose = range(16_320, 16_000 * hole_s)
    source = FakeSource(
        CountingCamera(duration_s, fps=1 / hole_s), RampMicrophone(duration_s, lose=lose)
    )
    _session, estimates = run(source)
    assert estimates[-1].time_s == pytest.approx(duration_s, abs=0.2)


def test_a_long_hop_is_no_deadlock():
    _session, estimates = run(both(24.0), overrides={"tick.hop_s": 6.0})
    assert [e.time_s for e in estimates][:3] == [6.0, 12.0, 18.0]


def test_live_on_a_paced_source_equals_offline_on_face_and_voice():
    # Real time: one second, no sleeping but the pacing itself.
    overrides = {"audio.min_speech_s": 0.2, "vad.onset_s": 0.05, "asr.enabled": False}
    speech = range(32_000)
    live, slow = (
        run(both(1.5, realtime=realtime), speech=speech, overrides=overrides)[1]
        for realtime in (True, False)
    )
    live_by_index = {e.index: e for e in live}
    closed_in_time = [e for e in slow if live_by_index[e.index].timing.closed_by != "deadline"]
    assert len(closed_in_time) >= 0.5 * len(slow)
    agreeing = [e for e in closed_in_time if live_by_index[e.index].absent == e.absent]
    assert len(agreeing) == len(closed_in_time)
    assert all(e.timing.age_s is not None and e.timing.age_s >= 0 for e in live)


def test_text_unavailable_is_a_named_state():
    _session, estimates = run(both(2.0), recognizer=False, speech=range(16_000))
    assert {e.absent["text"] for e in estimates} == {Absence.UNAVAILABLE}


@pytest.mark.parametrize(
    ("overrides", "off"),
    [
        ({"camera.enabled": False}, {"face"}),
        ({"microphone.enabled": False}, {"audio", "text"}),
        ({"asr.enabled": False}, {"text"}),
    ],
)
def test_what_is_switched_off_is_off(overrides, off):
    _session, estimates = run(both(2.0), overrides=overrides)
    for modality in off:
        assert {e.absent[modality] for e in estimates} == {Absence.OFF}


def test_everything_off_is_one_clear_line():
    with pytest.raises(ConfigError, match="both off"):
        run(both(), overrides={"camera.enabled": False, "microphone.enabled": False})


def test_a_dead_worker_is_loud_and_leaves_no_thread():
    before = threading.active_count()
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    source = FakeSource(CountingCamera(6.0, fail_at=50), RampMicrophone(6.0))
    with (
        pytest.raises(WorkerFault, match="camera thread failed: the camera caught fire"),
        Session(config, source=source, models=FakeModels(config)) as session,
    ):
        list(session.estimates())
    assert threading.active_count() == before
    assert session.accounting().balanced


def test_leaving_early_ends_everything():
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    camera, microphone = CountingCamera(600.0), RampMicrophone(600.0)
    before = threading.active_count()
    source = FakeSource(camera, microphone)
    with Session(config, source=source, models=FakeModels(config)) as session:
        next(session.estimates())
    assert threading.active_count() == before
    assert camera.closed
    assert microphone.closed
    assert session.accounting().balanced, session.accounting().lines()


def test_a_failed_open_leaves_nothing_open():
    class NoCamera(CountingCamera):
        def open(self):
            raise DeviceNotFound("no camera 7; there are 0, 1")

    microphone, camera = RampMicrophone(1.0), NoCamera(1.0)
    config = load_config("analyze")
    before = threading.active_count()
    session = Session(config, source=FakeSource(microphone, camera), models=FakeModels(config))
    with pytest.raises(DeviceNotFound, match="no camera 7"):
        session.start()
    assert microphone.closed
    assert camera.closed
    assert threading.active_count() == before
    with pytest.raises(ClosedError, match="closed"):
        session.start()


def test_estimates_need_an_open_session():
    config = load_config("analyze")
    session = Session(config, source=both(), models=FakeModels(config))
    with pytest.raises(ClosedError, match="not opened yet"):
        next(session.estimates())
    session.close()
    session.close()


def test_snapshot_shows_the_newest_and_the_summary_adds_up():
    session, estimates = run(both(), speech=range(16_000, 48_000))
    shot = session.snapshot()
    assert shot.estimate == estimates[-1]
    assert shot.faces is not None
    assert shot.frame is not None
    assert (shot.faces.frame_index, shot.frame.index) == (177, 179)  # one in three is looked at
    assert shot.waveform[:, 0].tolist() == sorted(shot.waveform[:, 0])
    assert shot.waveform[-1, 2] == pytest.approx(95_999 / 2**23)
    assert shot.speech == ((pytest.approx(1.0, abs=0.15), pytest.approx(3.0, abs=0.7)),)
    assert not shot.muted
    assert shot.health.video_fps == pytest.approx(30, abs=1)
    assert shot.health.encoded_faces_hz == pytest.approx(10, abs=0.5)
    summary = session.summary()
    assert summary.n_estimates == len(estimates)
    assert sum(summary.labels.values()) == len(estimates)
    assert session.text() == summary.transcript
    whole = session.whole()
    assert whole["label"] is not None
    assert whole["transcript"] == summary.transcript


def test_muted_sound_is_a_gap_that_is_neither_read_nor_lost():
    microphone = Changeable(6.0)
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    source = FakeSource(CountingCamera(6.0), microphone)
    models = FakeModels(config, speech=range(96_000))
    session = Session(config, source=source, models=models)
    # By the sound's own time: the sound from 2.01 s to 4.02 s is not read.
    microphone.at = {
        480 * 67: lambda: session.set_muted(True),
        480 * 134: lambda: session.set_muted(False),
    }
    with session:
        estimates = list(session.estimates())
    assert [(gap.stream, gap.reason) for gap in session.gaps] == [("microphone", "muted")]
    assert session.gaps[0].start_s == pytest.approx(2.01)
    assert session.gaps[0].end_s == pytest.approx(4.02)
    accounting = session.accounting()
    assert accounting.balanced, accounting.lines()
    tally = next(tally for tally in accounting.streams if tally.name == "microphone")
    assert (tally.captured, tally.in_gaps) == (96_000 - 480 * 67, 480 * 67)
    # What the estimates say of it follows the clock, which in a file is not that of the sound.
    assert "audio" not in estimates[-1].absent
    kinds = [event.kind for event in session.snapshot().events]
    assert kinds == ["microphone muted", "microphone unmuted"]


def test_a_device_can_be_changed_where_its_stream_allows_it():
    microphone = Changeable(1.0)
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    source = FakeSource(CountingCamera(1.0), microphone)
    with Session(config, source=source, models=FakeModels(config)) as session:
        session.change_device("microphone", "Headset")
        with pytest.raises(DeviceNotFound, match="no microphone 'none'"):
            session.change_device("microphone", "none")
        with pytest.raises(SourceError, match="the camera of this session cannot be changed"):
            session.change_device("camera", "1")
        assert session.devices()["camera"] == {"device": "counting"}
        list(session.estimates())
    assert microphone.used == ["Headset"]


def drain(session):
    polled = []
    while (waiting := session.poll()) is not None:
        polled += waiting
    return polled


def test_poll_gives_what_estimates_gives_without_waiting():
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    with Session(config, source=both(), models=FakeModels(config)) as session:
        polled = drain(session)
        assert session.poll() is None
    assert [e.to_record() for e in polled] == [e.to_record() for e in run(both())[1]]
    with pytest.raises(ClosedError, match="closed"):
        session.poll()


def test_poll_tells_of_a_dead_worker():
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    source = FakeSource(CountingCamera(3.0, fail_at=20))
    with (
        Session(config, source=source, models=FakeModels(config)) as session,
        pytest.raises(WorkerFault, match="caught fire"),
    ):
        drain(session)


def test_a_worker_that_hangs_ends_the_reading_with_its_name(monkeypatch):
    """After ``stop`` nobody waits for good, and ``close`` says the same."""
    monkeypatch.setattr(session_module, "_DRAIN_S", 0.2)
    monkeypatch.setattr(session_module, "_JOIN_S", 0.1)
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    models = FakeModels(config, speech=range(16_000, 48_000))
    hang, hung = threading.Event(), threading.Event()
    real = models.recognizer.transcribe

    def transcribe(segment):
        hung.set()
        hang.wait()
        return real(segment)

    models.recognizer.transcribe = transcribe
    session = Session(config, source=both(), models=models)
    session.start()
    assert hung.wait(10)
    session.stop()
    with pytest.raises(SessionError, match=r"did not end within 0 s; hanging: .*asr"):
        drain(session)
    with pytest.raises(SessionError, match=r"thread asr.* did not end"):
        session.close()
    hang.set()
    for worker in session._graph.workers:
        assert worker.join(10)
