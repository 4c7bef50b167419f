"""A live session under load, faster than real time: the clock runs ``speed`` times as fast.

Devices deliver at their own pace on that clock and do not wait for anybody; the encoders are too slow
now and then. So frames are dropped, hypotheses come late, and ticks close at their deadline, as on a
busy laptop. Nothing sleeps: what waits, waits on the session's own stop event.
"""

from __future__ import annotations

import threading
import time
from itertools import combinations

import numpy as np

from realtime_er.config import load_config
from realtime_er.messages import MODALITIES, SAMPLE_RATE_HZ, AudioBlock, Event, Gap, VideoFrame
from realtime_er.perception.detectors import Detection
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.recording import recorder  # noqa: F401 - else imported while the fast clock runs
from realtime_er.session import Session
from tests.test_session import (
    EchoRecognizer,
    FakeAudioEncoder,
    FakeModels,
    FakeTextEncoder,
    Voice,
)

BLOCK = 640


class FastClock:
    """A session clock that runs ``speed`` times as fast as time."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._zero = time.perf_counter()

    def now_s(self) -> float:
        return (time.perf_counter() - self._zero) * self.speed

    def wait_until(self, time_s: float, stop: threading.Event) -> bool:
        while (left := time_s - self.now_s()) > 0:
            if stop.wait(left / self.speed):
                return False
        return not stop.is_set()


class LoadedCamera:
    """Pictures that move, with frames that never came and a while in which the camera is gone."""

    kind, name = "video", "camera"

    def __init__(self, clock, duration_s, fps=30.0, lost=(), size_px=(64, 48)):
        self.clock, self.duration_s, self.fps, self.lost = clock, duration_s, fps, lost
        width, height = size_px
        rng = np.random.default_rng(5)
        self.images = []
        for _ in range(16):
            image = rng.integers(0, 255, (height, width, 3), np.uint8)
            image.setflags(write=False)
            self.images.append(image)

    def open(self):
        pass

    def run(self, emit, pacer, stop):
        away, last_s, index = False, 0.0, 0
        for number in range(round(self.duration_s * self.fps)):
            time_s = number / self.fps
            if not self.clock.wait_until(time_s, stop):
                return
            if any(start_s <= time_s < end_s for start_s, end_s in self.lost):
                if not away:
                    emit(Event(self.clock.now_s(), "camera lost", "unplugged"))
                away = True
                continue
            if away:
                away = False
                emit(Event(self.clock.now_s(), "camera back", "test"))
                emit(Gap("camera", last_s, time_s, "unplugged"))
            index += 1
            if number % 97 < 3:
                continue  # lost on the wire: the index jumps
            last_s = time_s
            emit(VideoFrame(index, time_s, self.images[number % len(self.images)]))

    def close(self):
        pass

    def info(self):
        return {"requested": {}, "granted": {}}


class LoadedMicrophone:
    """Sound that says its own index, with a device that goes away for a while."""

    kind, name = "audio", "microphone"

    def __init__(self, clock, duration_s, lost=()):
        self.clock, self.duration_s, self.lost = clock, duration_s, lost

    def open(self):
        pass

    def run(self, emit, pacer, stop):
        away, last_s = False, 0.0
        for first in range(0, round(self.duration_s * SAMPLE_RATE_HZ), BLOCK):
            start_s = first / SAMPLE_RATE_HZ
            if not self.clock.wait_until(start_s + BLOCK / SAMPLE_RATE_HZ, stop):
                return
            if any(begin_s <= start_s < end_s for begin_s, end_s in self.lost):
                if not away:
                    emit(Event(self.clock.now_s(), "microphone lost", "unplugged"))
                away = True
                continue
            if away:
                away = False
                emit(Event(self.clock.now_s(), "microphone back", "test"))
                emit(Gap("microphone", last_s, start_s, "unplugged"))
            samples = (np.arange(first, first + BLOCK) / 2**23).astype(np.float32)
            samples.setflags(write=False)
            last_s = start_s + BLOCK / SAMPLE_RATE_HZ
            emit(AudioBlock(first, start_s, samples))

    def close(self):
        pass

    def info(self):
        return {"requested": {}, "granted": {}}


class LoadedSource:
    """Both, live."""

    realtime = True

    def __init__(self, clock, duration_s, *, camera_lost=(), microphone_lost=()):
        self._streams = [
            LoadedCamera(clock, duration_s, lost=camera_lost),
            LoadedMicrophone(clock, duration_s, lost=microphone_lost),
        ]

    def streams(self, config, clock):
        return self._streams


class TwoFaces:
    """Two people; sometimes nobody."""

    name = "haar"

    def __init__(self):
        self.calls = 0

    def detect(self, image):
        self.calls += 1
        if self.calls % 61 < 4:
            return []
        return [Detection((4.0, 8.0, 24.0, 32.0), 1.0), Detection((36.0, 8.0, 24.0, 32.0), 0.9)]


class VectorHead:
    """A head whose scores depend on every number it is given."""

    head_id = "vector"
    encoder_ids = {"face": "fake-face", "audio": "fake-audio", "text": "fake-text"}  # noqa: RUF012
    prior = np.full(7, 1 / 7, np.float32)

    def probabilities(self, fusion_input):
        present = [m for m in MODALITIES if getattr(fusion_input, m) is not None]
        logits = {}
        for modality in present:
            vector = np.asarray(getattr(fusion_input, modality), np.float64)
            weights = np.random.default_rng(len(modality)).normal(size=(len(vector), 7))
            logits[modality] = np.tanh(vector / 50.0) @ weights
        found = {}
        for size in range(1, len(present) + 1):
            for subset in combinations(present, size):
                total = np.exp(sum(logits[m] for m in subset))
                found[frozenset(subset)] = (total / total.sum()).astype(np.float32)
        return found


class SlowFaces:
    """An encoder that stalls every now and then for longer than a tick."""

    encoder_id = "fake-face"

    def __init__(self, stall_s, every=9):
        self.never, self.stall_s, self.every, self.calls = threading.Event(), stall_s, every, 0

    def encode(self, crop):
        self.calls += 1
        if self.calls % self.every == 0:
            self.never.wait(self.stall_s)
        vector = np.array([crop[..., 0].mean(), crop[..., 1].std()], np.float32)
        return vector, np.zeros(7, np.float32)


class SlowEcho(EchoRecognizer):
    """Words that come late."""

    def __init__(self, stall_s):
        self.never, self.stall_s = threading.Event(), stall_s

    def transcribe(self, segment, abandoned=None):
        self.never.wait(self.stall_s)
        return super().transcribe(segment)


class LoadedModels(FakeModels):
    """Too slow for the clock. ``speech``: spans in seconds."""

    def __init__(self, config, clock, speech):
        super().__init__(config)
        self.head = VectorHead()
        self.face = SlowFaces(0.6 / clock.speed)
        self.text = FakeTextEncoder()
        self.recognizer = SlowEcho(0.5 / clock.speed)
        self.spans = [range(int(a * SAMPLE_RATE_HZ), int(b * SAMPLE_RATE_HZ)) for a, b in speech]

    def load(self, *, video, audio, text):
        self.audio = FakeAudioEncoder()

    def face_perception(self):
        return FacePerception(self.config.face, TwoFaces(), CropRule(1.0, 0.0, 24))

    def speech_detector(self):
        return SpeechDetector(self.config.vad, self.config.asr.partial_every_s, Voice(self))

    def describe(self):
        return {"fusion": {"id": "vector"}}

    def __contains__(self, sample):
        return any(sample in span for span in self.spans)


def record_under_load(
    folder, monkeypatch, duration_s, *, speed, options, record_from_s=1.0, actions=None
):
    """Record a loaded session from ``record_from_s`` on; returns the session and its live estimates.

    ``actions``: session second -> what to do with the session then.
    """
    clock = FastClock(speed)
    monkeypatch.setattr("realtime_er.session.SessionClock", lambda: clock)
    config = load_config(
        "live", {"face.min_sharpness": 0.0, "face.min_face_px": 8, "vad.onset_s": 0.05}
    )
    speech = [(s, s + 2.2) for s in np.arange(0.4, duration_s, 3.5)]
    lasts_s = max(1.2, duration_s / 100)  # a busy machine sees nothing of a shorter one
    source = LoadedSource(
        clock,
        duration_s,
        camera_lost=[(0.55 * duration_s, 0.55 * duration_s + lasts_s)],
        microphone_lost=[(0.75 * duration_s, 0.75 * duration_s + lasts_s)],
    )
    models = LoadedModels(config, clock, speech)
    models.speech = models
    session = Session(config, source=source, models=models)
    waiting = sorted((actions or {}).items())
    estimates = []
    clock._zero = time.perf_counter()
    with session:
        recording = False
        for estimate in session.estimates():
            if not recording and estimate.time_s >= record_from_s:
                session.start_recording(folder, options)
                recording = True
            while waiting and estimate.time_s >= waiting[0][0]:
                waiting.pop(0)[1](session)
            estimates.append(estimate)
    return session, estimates
