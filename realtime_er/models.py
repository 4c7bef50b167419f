"""Loads the models of a bundle, once, checked against their cards."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from realtime_er.config import Config
from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.bundle import bundle_dir, load_card, sha256_of
from realtime_er.encoders.face import FaceEncoder
from realtime_er.encoders.text import TextEncoder, fold_words
from realtime_er.errors import ModelError, SpecMismatch
from realtime_er.fusion.head import FusionHead, OnnxFusionHead
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.detectors import detector_name, make_detector
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.voices import make_voice_model
from realtime_er.perception.whisper import HOW_TO_INSTALL, ShortWhisper, find_model

TEXT_UNAVAILABLE = f"text is unavailable: {HOW_TO_INSTALL}"


class Models:
    """The models of a session. Each is used by one thread; loading happens before devices open.

    Attributes:
        recognizer: None when no speech recognition model was found (``notices`` says so).
        notices: One-line notices for the user.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.recognizer: Recognizer | None = None
        self.notices: tuple[str, ...] = ()
        self._face: FaceEncoder | None = None
        self._audio: StreamingAudioEncoder | None = None
        self._text: TextEncoder | None = None
        self._head: FusionHead | None = None
        self._checked: dict[str, str] = {}
        self._whisper: ShortWhisper | None = None
        self._whisper_folder: Path | None = None

    def load(self, *, video: bool, audio: bool, text: bool) -> None:
        """Load what a session needs and has not loaded yet.

        Raises:
            ModelError: files are missing, changed, or do not belong together.
        """
        models = self._config.models
        threads = models.threads

        def folder(kind: str) -> Path:
            return bundle_dir(models.bundle, kind, models.directory)

        if video and self._face is None:
            self._face = FaceEncoder(folder("face"), threads)
        if audio:
            # A fresh one per session: it carries the stream's state.
            self._audio = StreamingAudioEncoder(folder("speech"), threads=threads)
            if self._audio.sample_rate_hz != SAMPLE_RATE_HZ:
                raise SpecMismatch(
                    f"{folder('speech')}: reads {self._audio.sample_rate_hz} Hz, not {SAMPLE_RATE_HZ}"
                )
        if self._text is None:
            self._text = TextEncoder(folder("text"), threads)
        encoders = {"text": self._text.encoder_id}
        if self._face is not None:
            encoders["face"] = self._face.encoder_id
        if self._audio is not None:
            encoders["audio"] = self._audio.encoder_id
        if self._head is None or encoders != self._checked:
            # Anew when a later session adds a modality: a head is checked against what it reads.
            self._head = OnnxFusionHead(folder("fusion"), encoders, threads)
            self._checked = encoders
        if text:
            self._load_recognizer()

    def _load_recognizer(self) -> None:
        asr = self._config.asr
        if self._whisper is None:
            path = find_model(asr.model)
            if path is None:
                self.notices = (TEXT_UNAVAILABLE,)
                return
            self._whisper_folder = path
            self._whisper = ShortWhisper(path, threads=asr.threads, language=asr.language)
        self.recognizer = Recognizer(asr, self._whisper)

    @property
    def face(self) -> FaceEncoder:
        """The face encoder; used by the face thread."""
        return _loaded(self._face, "face encoder")

    @property
    def audio(self) -> StreamingAudioEncoder:
        """The speech encoder; used by the audio thread."""
        return _loaded(self._audio, "speech encoder")

    @property
    def text(self) -> TextEncoder:
        """The text encoder; used by the asr thread."""
        return _loaded(self._text, "text encoder")

    @property
    def head(self) -> FusionHead:
        """The fusion head; used by the fusion thread."""
        return _loaded(self._head, "fusion head")

    def face_perception(self) -> FacePerception:
        """A new detector, tracker and gate."""
        detector = make_detector(self._config.face)
        scale, shift_y = self.face.crop_rule(detector.name)
        rule = CropRule(scale, shift_y, self.face.size_px)
        return FacePerception(self._config.face, detector, rule)

    def speech_detector(self) -> SpeechDetector:
        """A new voice activity detector."""
        vad = self._config.vad
        return SpeechDetector(vad, self._config.asr.partial_every_s, make_voice_model(vad.engine))

    def describe(self) -> dict[str, dict[str, str]]:
        """What is loaded, for a manifest: kind -> {"id", "sha256"}."""
        models = self._config.models
        loaded = {
            "face": self._face,
            "speech": self._audio,
            "text": self._text,
            "fusion": self._head,
        }
        known = {}
        for kind, model in loaded.items():
            if model is not None:
                # They were verified as they were loaded.
                card = load_card(bundle_dir(models.bundle, kind, models.directory), verify=False)
                known[kind] = {"id": card.id, "sha256": card.sha256}
        if self._face is not None:
            detector = detector_name(self._config.face)
            known["detector"] = {"id": detector}
            if detector == "compact":
                card = load_card(bundle_dir("compact", "detector"), verify=False)
                known["detector"] = {"id": card.id, "sha256": card.sha256}
        if self._whisper_folder is not None:
            weights = self._whisper_folder / "model.bin"
            known["asr"] = {"id": self._whisper_folder.name, "sha256": sha256_of(weights)}
        return known

    def encode_text(self, text: str) -> FloatArray | None:
        """Embedding float32 (dim,) of a transcript; None when it has no words.

        Call when the asr thread is not running: it owns the encoder.
        """
        return self.text.encode(text)[0] if fold_words(text) else None


M = TypeVar("M")


def _loaded(model: M | None, what: str) -> M:
    if model is None:
        raise ModelError(f"the {what} is not loaded; it was switched off")
    return model
