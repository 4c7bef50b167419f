"""Loads the models of a bundle, once, checked against their cards."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from realtime_er.bundles import bundle_of
from realtime_er.config import Config
from realtime_er.encoders.bundle import bundle_dir, load_card, sha256_of
from realtime_er.encoders.protocols import AudioModel, FaceModel, TextModel
from realtime_er.encoders.text import fold_words
from realtime_er.errors import ModelError
from realtime_er.fusion.head import FusionHead
from realtime_er.messages import FloatArray
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.detectors import detector_name, make_detector
from realtime_er.perception.face import FacePerception
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
        self._bundle = bundle_of(config)
        self.recognizer: Recognizer | None = None
        self.notices: tuple[str, ...] = ()
        self._audio: AudioModel | None = None
        self._head: FusionHead | None = None
        self._checked: dict[str, str] = {}
        self._whisper: ShortWhisper | None = None
        self._whisper_folder: Path | None = None

    def load(self, *, video: bool, audio: bool, text: bool) -> None:
        """Load what a session needs and has not loaded yet.

        Raises:
            ModelError: files are missing, changed, or do not belong together.
        """
        notices: tuple[str, ...] = ()
        if text:
            self._load_recognizer()
            notices = () if self.recognizer is not None else (TEXT_UNAVAILABLE,)
        wanted = {"face": video, "audio": audio, "text": text and self.recognizer is not None}
        self.load_head([modality for modality, is_wanted in wanted.items() if is_wanted])
        self._bundle.prepare()
        if audio:
            # A fresh one per session: it carries the stream's state.
            self._audio = self._bundle.new_audio()
        self.notices = (*notices, *self._bundle.notices)

    def load_head(self, modalities: Collection[str]) -> None:
        """Load the encoders of these modalities, and the fusion head checked against them.

        Raises:
            ModelError: files are missing, changed, or do not belong together.
        """
        self._bundle.load(modalities)
        encoders = dict(self._bundle.encoder_ids)
        if self._head is None or encoders != self._checked:
            # Anew when a later session adds a modality: a head is checked against what it reads.
            self._head = self._bundle.load_head()
            self._checked = encoders

    def _load_recognizer(self) -> None:
        asr = self._config.asr
        if self._whisper is None:
            path = find_model(asr.model)
            if path is None:
                return
            self._whisper_folder = path
            self._whisper = ShortWhisper(path, threads=asr.threads, language=asr.language)
        self.recognizer = Recognizer(asr, self._whisper, self._smaller_whisper())

    def _smaller_whisper(self) -> Callable[[], ShortWhisper] | None:
        """What loads the model for a busy machine, where one is installed that is smaller."""
        asr, ladder, usual = self._config.asr, self._config.ladder, self._whisper_folder
        if not ladder.enabled or not ladder.small_asr or usual is None:
            return None
        small = find_model(ladder.small_asr)
        if small is None or _model_bytes(small) >= _model_bytes(usual):
            return None
        return lambda: ShortWhisper(small, threads=asr.threads, language=asr.language)

    @property
    def face(self) -> FaceModel:
        """The face encoder; used by the face thread."""
        return _loaded(self._bundle.face, "face encoder")

    @property
    def audio(self) -> AudioModel:
        """The speech encoder; used by the audio thread."""
        return _loaded(self._audio, "speech encoder")

    @property
    def text(self) -> TextModel:
        """The text encoder; used by the asr thread."""
        return _loaded(self._bundle.text, "text encoder")

    @property
    def head(self) -> FusionHead:
        """The fusion head; used by the fusion thread."""
        return _loaded(self._head, "fusion head")

    def face_perception(self) -> FacePerception:
        """A new detector, tracker and gate."""
        detector = make_detector(self._config.face)
        cutter = self._bundle.face_cutter(detector.name)
        return FacePerception(self._config.face, detector, cutter)

    def speech_detector(self) -> SpeechDetector:
        """A new voice activity detector."""
        vad = self._config.vad
        return SpeechDetector(vad, self._config.asr.partial_every_s, make_voice_model(vad.engine))

    def describe(self) -> dict[str, dict[str, str]]:
        """What is loaded, for a manifest: kind -> {"id", "sha256"}."""
        known = self._bundle.describe()
        if self._bundle.face is not None:
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


def _model_bytes(folder: Path) -> int:
    return (folder / "model.bin").stat().st_size


M = TypeVar("M")


def _loaded(model: M | None, what: str) -> M:
    if model is None:
        raise ModelError(f"the {what} is not loaded; it was switched off")
    return model
