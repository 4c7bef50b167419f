"""Our own share: a paced session in which every model is a constant and nothing is decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from realtime_er.bench.live import LiveRun, run_live
from realtime_er.bench.notes import Notes
from realtime_er.bench.tables import Row, Section
from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.encoders.protocols import AudioModel, FaceModel, LastWindow, TextModel
from realtime_er.fusion.head import FusionHead, FusionInput
from realtime_er.messages import (
    MODALITIES,
    SAMPLE_RATE_HZ,
    AudioBlock,
    FloatArray,
    ImageArray,
    VideoFrame,
)
from realtime_er.models import Models
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.detectors import Detection
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.whisper import Transcript
from realtime_er.sources.base import Emit, Pacer, Stream

FPS = 30.0
SIZE_PX = (1280, 720)
_BLOCK = 320
_DIMS = {"face": 512, "audio": 256, "text": 768}
_CROP = CropRule(0.95, -0.01, 48)
"""The compact bundle's."""
_SPEECH_S, _TURN_S = 3.0, 4.0
"""Speech lasts this long of each turn, so that sentences begin and end."""


class SteadySource:
    """Pictures of one texture and quiet noise, all of them made before: 30 fps 720p and 16 kHz."""

    realtime = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """A picture stream and a sound stream, as far as they are enabled."""
        kinds: tuple[Literal["video", "audio"], ...] = ("video", "audio")
        enabled = {"video": config.camera.enabled, "audio": config.microphone.enabled}
        return [_SteadyStream(kind, self._seconds) for kind in kinds if enabled[kind]]


class _SteadyStream:
    def __init__(self, kind: Literal["video", "audio"], seconds: float) -> None:
        self.kind = kind
        self.name = {"video": "camera", "audio": "microphone"}[kind]
        self._seconds = seconds
        random = np.random.default_rng(0)
        self._image = random.integers(0, 256, (SIZE_PX[1], SIZE_PX[0], 3), np.uint8)
        self._sound = random.normal(0.0, 0.01, _BLOCK).astype(np.float32)
        self._image.setflags(write=False)
        self._sound.setflags(write=False)

    def open(self) -> None:
        """Nothing to open."""

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Until the end or ``stop``."""
        step_s = 1 / FPS if self.kind == "video" else _BLOCK / SAMPLE_RATE_HZ
        for index in range(int(self._seconds / step_s)):
            # Sound is there once its last sample is.
            if not pacer.wait(index * step_s + (step_s if self.kind == "audio" else 0.0), stop):
                return
            if self.kind == "video":
                emit(VideoFrame(index, index * step_s, self._image))
            else:
                emit(AudioBlock(index * _BLOCK, index * step_s, self._sound))

    def close(self) -> None:
        """Nothing to close."""

    def info(self) -> dict[str, Any]:
        """What it is."""
        return {"device": "constant"}


class _Detector:
    name = "constant"

    def detect(self, image: ImageArray) -> list[Detection]:
        height, width = image.shape[:2]
        return [Detection((0.4 * width, 0.3 * height, 0.22 * width, 0.44 * height), 0.9)]


class _Encoder:
    def __init__(self, modality: str) -> None:
        self.encoder_id = f"constant {modality}"
        self._vector = np.ones(_DIMS[modality], np.float32)
        self._vector.setflags(write=False)

    def encode(self, _given: npt.NDArray[Any] | str) -> tuple[FloatArray, FloatArray]:
        return self._vector, self._vector[:7]


class _Audio(_Encoder):
    def __init__(self, step_samples: int) -> None:
        super().__init__("audio")
        self.step_samples = step_samples
        self.window_samples = step_samples
        self.next_end_sample: int | None = None

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        next_end = self.next_end_sample or first_sample + self.step_samples
        done = []
        while next_end <= first_sample + len(samples):
            done.append((next_end, self._vector))
            next_end += self.step_samples
        self.next_end_sample = next_end
        return done

    def skip(self) -> None:
        """Never behind."""

    def finish(self) -> LastWindow | None:
        return None


class _Voice:
    step_samples = 512

    def __init__(self) -> None:
        self._steps = 0

    def probability(self, samples: FloatArray) -> float:
        self._steps += 1
        place_s = self._steps * self.step_samples / SAMPLE_RATE_HZ % _TURN_S
        return 0.9 if place_s < _SPEECH_S else 0.05

    def reset(self) -> None:
        """No state that matters."""


class _Whisper:
    def transcribe(
        self,
        samples: FloatArray,
        *,
        words: bool = True,
        abandoned: Callable[[], bool] | None = None,
    ) -> Transcript:
        return Transcript("this is what was said")


class _Head:
    head_id = "constant"

    def __init__(self, encoder_ids: Mapping[str, str]) -> None:
        self.encoder_ids = encoder_ids
        self.labels = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry")
        self.prior = np.full(7, 1 / 7, np.float32)
        leading = np.array([0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32)
        self._table = {
            frozenset(subset): leading
            for size in (1, 2, 3)
            for subset in combinations(MODALITIES, size)
        }

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        present = {name for name in MODALITIES if getattr(fusion_input, name) is not None}
        return {subset: row for subset, row in self._table.items() if subset <= present}


class ConstantModels(Models):
    """Every model a constant of the real ones' shape; loads nothing.

    Args:
        config: rates and windows are its own.
        audio_step_samples: of the speech encoder.
    """

    def __init__(self, config: Config, *, audio_step_samples: int = 1280) -> None:
        super().__init__(config)
        self._settings = config
        self._face, self._text = _Encoder("face"), _Encoder("text")
        self._voice = _Audio(audio_step_samples)

    def load(self, *, video: bool, audio: bool, text: bool) -> None:
        """Nothing to load."""
        self.recognizer = Recognizer(self._settings.asr, _Whisper()) if text else None

    @property
    def face(self) -> FaceModel:
        """A constant."""
        return self._face

    @property
    def audio(self) -> AudioModel:
        """A constant at every step."""
        return self._voice

    @property
    def text(self) -> TextModel:
        """A constant."""
        return self._text

    @property
    def head(self) -> FusionHead:
        """A table."""
        return _Head({name: f"constant {name}" for name in MODALITIES})

    def face_perception(self) -> FacePerception:
        """One face that never moves; tracking, cutting and judging are the real ones."""
        return FacePerception(self._settings.face, _Detector(), _CROP)

    def speech_detector(self) -> SpeechDetector:
        """The real state machine on a constant voice."""
        return SpeechDetector(self._settings.vad, self._settings.asr.partial_every_s, _Voice())


def run_overhead(config: Config, seconds: float, *, warm_s: float) -> LiveRun:
    """A paced session of constants."""
    step = 1280 if config.models.bundle == "compact" else 2 * SAMPLE_RATE_HZ
    models = ConstantModels(config, audio_step_samples=step)
    source = SteadySource(seconds + warm_s + 1.0)
    return run_live(config, source, models, Notes(), seconds, warm_s=warm_s)


def overhead_section(run: LiveRun) -> Section:
    """Processor time of everything but models and decoding; includes handing estimates over."""
    rows = [Row(name, name, seconds / run.stream_s, "cores") for name, seconds in run.cpu_s.items()]
    ours = Row("ours", "together", run.process_s / run.stream_s, "cores")
    title = "Our own share: constants for models, 720p at 30 fps and 16 kHz handed over ready"
    return Section("overhead", title, (*rows, ours))
