"""A session whose every number depends on every pixel and sample: recorded as fast as possible.

What the camera and the microphone emit can be made again by index (``picture``, ``tone``), and is on
the grids of 8 and 16 bits, so that a lossless recording must give it back.
"""

from __future__ import annotations

import threading

import numpy as np

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, Gap, VideoFrame
from realtime_er.perception.detectors import Detection
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.recording.database import create_database, finish_database
from realtime_er.recording.manifest import DATABASE, MEDIA, Manifest, write_manifest
from realtime_er.recording.media_writer import MediaWriter
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.store import Store
from realtime_er.session import Session
from tests.fakes import FakeSource
from tests.recording.loaded import VectorHead
from tests.test_session import EchoRecognizer, FakeModels, FakeTextEncoder

STEP = 1280
SIZE_PX = (80, 64)


def picture(index):
    rng = np.random.default_rng(index)
    coarse = rng.integers(0, 255, (SIZE_PX[1] // 8, SIZE_PX[0] // 8, 3), np.uint8)
    image = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    image.setflags(write=False)
    return image


def tone(first, n):
    """Louder in every other two seconds: "speech"; on the grid of 16 bits."""
    index = np.arange(first, first + n)
    loud = np.where((index // (2 * SAMPLE_RATE_HZ)) % 2 == 1, 9000, 300)
    samples = (np.rint(loud * np.sin(index * 0.05)) / 32768).astype(np.float32)
    samples.setflags(write=False)
    return samples


class Camera:
    kind, name = "video", "camera"

    def __init__(self, duration_s, start_s=0.0, fps=15.0, hole=range(0)):
        self.times = [
            (i, start_s + i / fps + 0.0003 * (i % 3)) for i in range(int(duration_s * fps))
        ]
        self.hole = hole

    def open(self):
        pass

    def run(self, emit, pacer, stop):
        for index, time_s in self.times:
            if index not in self.hole:
                if index - 1 in self.hole:
                    emit(Gap("camera", self.times[self.hole[0]][1], time_s, "unplugged"))
                if not pacer.wait(time_s, stop):
                    return
                emit(VideoFrame(index, time_s, picture(index)))

    def close(self):
        pass

    def info(self):
        return {}


class Microphone:
    """Its clock runs 200 ppm fast; some of its sound is lost."""

    kind, name = "audio", "microphone"

    def __init__(self, duration_s, start_s=0.0, block=480, lose=range(0)):
        self.n, self.start_s, self.block, self.lose = (
            int(duration_s * SAMPLE_RATE_HZ),
            start_s,
            block,
            lose,
        )

    def time_s(self, sample):
        return self.start_s + sample / SAMPLE_RATE_HZ * (1 + 2e-4)

    def open(self):
        pass

    def run(self, emit, pacer, stop):
        lost_s = None
        for first in range(0, self.n, self.block):
            start_s = self.time_s(first)
            if first in self.lose:
                lost_s = start_s if lost_s is None else lost_s
                continue
            block = AudioBlock(first, start_s, tone(first, min(self.block, self.n - first)))
            if not pacer.wait(block.end_s, stop):
                return
            if lost_s is not None:
                emit(Gap("microphone", lost_s, start_s, "unplugged"))
                lost_s = None
            emit(block)

    def close(self):
        pass

    def info(self):
        return {}


class AtOnce:
    def wait(self, time_s, stop):
        return not stop.is_set()


class OneFace:
    name = "haar"

    def detect(self, image):
        return [Detection((20.0, 10.0, 40.0, 40.0), 1.0)]


class PixelFace:
    encoder_id = "fake-face"

    def encode(self, crop):
        return np.array([crop.mean(), crop.std()], np.float32), np.zeros(7, np.float32)


class Loudness:
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
            part, self.pending = self.pending[:STEP], self.pending[STEP:]
            self.start += STEP
            done.append((self.start, np.array([part.std() * 100, part.sum()], np.float32)))
        return done

    def skip(self):
        pass

    def finish(self):
        return None


class LoudIsSpeech:
    step_samples = 512

    def probability(self, samples):
        return float(np.abs(samples).max() > 0.1)

    def reset(self):
        pass


class PixelModels(FakeModels):
    """Models whose numbers depend on every pixel and sample."""

    def __init__(self, config):
        super().__init__(config)
        self.head, self.face, self.text = VectorHead(), PixelFace(), FakeTextEncoder()
        self.recognizer = EchoRecognizer()

    def load(self, *, video, audio, text):
        self.audio = Loudness()

    def face_perception(self):
        return FacePerception(self.config.face, OneFace(), CropRule(1.0, 0.0, 24))

    def speech_detector(self):
        return SpeechDetector(self.config.vad, self.config.asr.partial_every_s, LoudIsSpeech())

    def describe(self):
        return {"fusion": {"id": "vector"}}


CONFIG = load_config("analyze", {"face.min_sharpness": 0.0, "face.min_face_px": 8})


def record(folder, source, **options):
    options = RecordOptions(**options)
    with Session(CONFIG, source=source, models=PixelModels(CONFIG), record=(folder, options)) as s:
        n = sum(1 for _ in s.estimates())
    (report,) = s.recordings()
    assert report.ok, report.line()
    assert report.lost == 0, report.line()
    assert n
    return report


def both(duration_s=9.0, **kwargs):
    microphone = Microphone(duration_s, lose=range(48_000, 64_000), **kwargs)
    return FakeSource(Camera(duration_s, hole=range(60, 80), **kwargs), microphone)


def played(source, config=CONFIG):
    """Everything that a source emits, by stream."""
    stop, clock = threading.Event(), VirtualClock()
    messages = {}
    for stream in source.streams(config, clock):
        stream.open()
        messages[stream.name] = []
        stream.run(messages[stream.name].append, AtOnce(), stop)
        stream.close()
    return messages, clock


def write(folder, source, start_s, *, lossless=True, media=True):
    """Write what a source emits into a session's files, without a session in between."""
    folder.mkdir()
    connection = create_database(folder / DATABASE)
    store = Store(connection)
    emitted, _clock = played(source)
    with (folder / MEDIA).open("w+b", buffering=0) as file:
        writer = MediaWriter(file, start_s=start_s, video=True, sound=True, lossless=lossless)
        merged = [message for stream in emitted.values() for message in stream]
        for message in sorted(merged, key=lambda m: getattr(m, "time_s", getattr(m, "end_s", 0.0))):
            if isinstance(message, VideoFrame):
                pts_ms = writer.write_frame(message.image, message.time_s)
                store.add_frame(message.index, message.time_s, pts_ms)
            elif isinstance(message, AudioBlock):
                for row in writer.write_sound(message):
                    store.add_sound(*row.values())
            else:
                store.add(message)
        writer.close()
    store.commit()
    finish_database(connection)
    write_manifest(
        folder,
        Manifest("", start_s, config=CONFIG.to_dict(), media=MEDIA if media else None),
    )
    return emitted
