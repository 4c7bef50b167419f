"""Models that note when they are used and what it costs, and change nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy.typing as npt

from realtime_er.bench.notes import Heard, Notes
from realtime_er.config import Config
from realtime_er.encoders.protocols import AudioModel, FaceModel, LastWindow, TextModel
from realtime_er.fusion.head import FusionHead, FusionInput
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    FaceReport,
    FloatArray,
    Hypothesis,
    ImageArray,
    SpeechActivity,
    SpeechSegment,
    VideoFrame,
)
from realtime_er.models import Models
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.detectors import Detection, FaceDetector, make_detector
from realtime_er.perception.face import FaceCutter, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.voices import VoiceModel, make_voice_model


class _Detector:
    def __init__(self, detector: FaceDetector, notes: Notes) -> None:
        self._detector = detector
        self._notes = notes
        self.name = detector.name

    def detect(self, image: ImageArray) -> list[Detection]:
        since_s = time.thread_time()
        found = self._detector.detect(image)
        self._notes.spend("detector", since_s)
        return found


class _Perception(FacePerception):
    def __init__(
        self, config: Config, detector: FaceDetector, cutter: FaceCutter, notes: Notes
    ) -> None:
        super().__init__(config.face, _Detector(detector, notes), cutter)
        self._notes = notes
        self._begun: tuple[VideoFrame, float] | None = None

    def due(self, frame: VideoFrame, share: float = 1.0) -> bool:
        taken_s = self._notes.now_s()
        self._finish()
        is_due = super().due(frame, share)
        if not is_due:
            self._notes.step("face", "video", frame.index, frame.time_s, taken_s)
        return is_due

    def observe(self, frame: VideoFrame) -> tuple[FaceReport, npt.NDArray[Any] | None]:
        self._begun = (frame, self._notes.now_s())
        report, picture = super().observe(frame)
        if picture is None:
            self._finish()
        return report, picture

    def _finish(self) -> None:
        """Done with the frame that was begun: its face is encoded, or there was none to encode."""
        if self._begun is not None:
            frame, taken_s = self._begun
            self._notes.step("face", "video", frame.index, frame.time_s, taken_s)
            self._begun = None


class _Face:
    def __init__(self, model: FaceModel, notes: Notes, perception: list[_Perception]) -> None:
        self._model = model
        self._notes = notes
        self._perception = perception
        self.encoder_id = model.encoder_id

    def encode(self, picture: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        since_s = time.thread_time()
        encoded = self._model.encode(picture)
        self._notes.spend("face encoder", since_s)
        for perception in self._perception:
            perception._finish()
        return encoded


class _Audio:
    def __init__(self, model: AudioModel, notes: Notes) -> None:
        self._model = model
        self._notes = notes

    @property
    def encoder_id(self) -> str:
        return self._model.encoder_id

    @property
    def step_samples(self) -> int:
        return self._model.step_samples

    @property
    def window_samples(self) -> int:
        return self._model.window_samples

    @property
    def next_end_sample(self) -> int | None:
        return self._model.next_end_sample

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        taken_s, since_s = self._notes.now_s(), time.thread_time()
        described = self._model.push(first_sample, samples)
        if described:
            self._notes.spend("speech encoder", since_s)
        next_sample = self._model.next_end_sample or 0
        ahead_s = (next_sample - first_sample) / SAMPLE_RATE_HZ
        known_s = self._notes.start_of("audio", first_sample) + ahead_s
        self._notes.step("audio", "audio", first_sample, known_s, taken_s)
        return described

    def skip(self) -> None:
        self._model.skip()

    def finish(self) -> LastWindow | None:
        return self._model.finish()


class _Text:
    def __init__(self, model: TextModel, notes: Notes) -> None:
        self._model = model
        self._notes = notes
        self.encoder_id = model.encoder_id

    def encode(self, text: str) -> tuple[FloatArray, FloatArray]:
        since_s = time.thread_time()
        encoded = self._model.encode(text)
        self._notes.spend("text encoder", since_s)
        return encoded


class _Recognizer:
    def __init__(self, recognizer: Recognizer, notes: Notes) -> None:
        self._recognizer = recognizer
        self._notes = notes

    def transcribe(
        self, segment: SpeechSegment, abandoned: Callable[[], bool] | None = None
    ) -> Hypothesis:
        hypothesis = self._recognizer.transcribe(segment, abandoned)
        self._notes.calls["whisper"] += 1
        heard = Heard(
            segment.segment_id,
            segment.is_final,
            segment.start_s,
            segment.end_s,
            self._notes.now_s(),
        )
        self._notes.heard.append(heard)
        return hypothesis

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a recogniser can do
        return getattr(self._recognizer, name)


class _Head:
    def __init__(self, head: FusionHead, notes: Notes) -> None:
        self._head = head
        self._notes = notes
        self.head_id = head.head_id
        self.encoder_ids = head.encoder_ids
        self.labels = head.labels
        self.prior = head.prior

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        since_s = time.thread_time()
        result = self._head.probabilities(fusion_input)
        self._notes.spend("fusion head", since_s)
        return result


class _Voice:
    def __init__(self, model: VoiceModel, notes: Notes) -> None:
        self._model = model
        self._notes = notes
        self.step_samples = model.step_samples

    def probability(self, samples: FloatArray) -> float:
        since_s = time.thread_time()
        probability = self._model.probability(samples)
        self._notes.spend("voice activity", since_s)
        return probability

    def reset(self) -> None:
        self._model.reset()


class _Speech(SpeechDetector):
    def __init__(self, config: Config, model: VoiceModel, notes: Notes) -> None:
        super().__init__(config.vad, config.asr.partial_every_s, _Voice(model, notes))
        self._notes = notes

    def push(self, block: AudioBlock) -> list[SpeechActivity | SpeechSegment]:
        taken_s = self._notes.now_s()
        decided = super().push(block)
        known_s = max(self.position_s, block.start_s) + self.step_s
        self._notes.step("speech", "audio", block.first_sample, known_s, taken_s)
        return decided


class ObservedModels(Models):
    """The models of a configuration, whose use is noted."""

    def __init__(self, config: Config, notes: Notes) -> None:
        super().__init__(config)
        self._observed = config
        self._notes = notes
        self._perception: list[_Perception] = []

    def load(self, *, video: bool, audio: bool, text: bool) -> None:
        """See ``Models``."""
        super().load(video=video, audio=audio, text=text)
        if text and self.recognizer is not None:
            self.recognizer = cast("Recognizer", _Recognizer(self.recognizer, self._notes))

    @property
    def face(self) -> FaceModel:
        """See ``Models``."""
        return _Face(super().face, self._notes, self._perception)

    @property
    def audio(self) -> AudioModel:
        """See ``Models``."""
        return _Audio(super().audio, self._notes)

    @property
    def text(self) -> TextModel:
        """See ``Models``."""
        return _Text(super().text, self._notes)

    @property
    def head(self) -> FusionHead:
        """See ``Models``."""
        return _Head(super().head, self._notes)

    def face_perception(self) -> FacePerception:
        """See ``Models``."""
        detector = make_detector(self._observed.face)
        cutter = self._bundle.face_cutter(detector.name)
        self._perception[:] = [_Perception(self._observed, detector, cutter, self._notes)]
        return self._perception[0]

    def speech_detector(self) -> SpeechDetector:
        """See ``Models``."""
        model = make_voice_model(self._observed.vad.engine)
        return _Speech(self._observed, model, self._notes)
