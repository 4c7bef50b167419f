"""The small models that ship with the package: ONNX, no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from realtime_er.config import Config
from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
from realtime_er.encoders.face import FaceEncoder
from realtime_er.encoders.protocols import LastWindow
from realtime_er.encoders.text import TextEncoder
from realtime_er.errors import ModelError, SpecMismatch
from realtime_er.fusion.head import FusionHead
from realtime_er.fusion.opening import head_folder, open_head
from realtime_er.messages import SAMPLE_RATE_HZ
from realtime_er.perception.face import CropRule

NAME = "compact"


class SpeechSteps(StreamingAudioEncoder):
    """The streaming encoder as a stage drives it: every step stands alone."""

    @property
    def window_samples(self) -> int:
        """Samples that one embedding describes."""
        return self.step_samples

    def skip(self) -> None:
        """Every step carries the stream's state on, so none is left out."""

    def finish(self) -> LastWindow | None:
        """A step that is not full is dropped."""
        return None


class CompactBundle:
    """See ``Bundle``."""

    notices: tuple[str, ...] = ()

    def __init__(self, config: Config) -> None:
        self._models = config.models
        self.face: FaceEncoder | None = None
        self.text: TextEncoder | None = None
        self._audio: SpeechSteps | None = None
        self._given = False
        self._head: FusionHead | None = None

    def _folder(self, kind: str) -> Path:
        if kind == "fusion":
            return head_folder(self._models.head, NAME, self._models.directory)
        return bundle_dir(NAME, kind, self._models.directory)

    def load(self, modalities: Collection[str]) -> None:
        """Text always: it is small, and the words of a whole recording may be wanted."""
        threads = self._models.threads
        if "face" in modalities and self.face is None:
            self.face = FaceEncoder(self._folder("face"), threads)
        if "audio" in modalities and self._audio is None:
            self._audio = self._load_audio()
        if self.text is None:
            self.text = TextEncoder(self._folder("text"), threads)

    def prepare(self) -> None:
        """They are ready as they are loaded."""

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to id."""
        loaded = {"face": self.face, "audio": self._audio, "text": self.text}
        return {name: model.encoder_id for name, model in loaded.items() if model is not None}

    def new_audio(self) -> SpeechSteps:
        """Anew for each session: it carries the stream's state."""
        if self._audio is None or self._given:
            self._audio = self._load_audio()
        self._given = True
        return self._audio

    def _load_audio(self) -> SpeechSteps:
        audio = SpeechSteps(self._folder("speech"), threads=self._models.threads)
        if audio.sample_rate_hz != SAMPLE_RATE_HZ:
            raise SpecMismatch(
                f"{self._folder('speech')}: reads {audio.sample_rate_hz} Hz, not {SAMPLE_RATE_HZ}"
            )
        return audio

    def load_head(self) -> FusionHead:
        """Checked against its card."""
        self._head = open_head(self._folder("fusion"), self.encoder_ids, self._models.threads)
        return self._head

    def face_cutter(self, detector: str) -> CropRule:
        """What the encoder's card says of this detector."""
        if self.face is None:
            raise ModelError("the face encoder is not loaded; it was switched off")
        scale, shift_y = self.face.crop_rule(detector)
        return CropRule(scale, shift_y, self.face.size_px)

    def describe(self) -> dict[str, dict[str, str]]:
        """From the cards, which were verified as the models were loaded."""
        loaded = {
            "face": self.face,
            "speech": self._audio,
            "text": self.text,
            "fusion": self._head,
        }
        known = {}
        for kind, model in loaded.items():
            if model is not None:
                card = load_card(self._folder(kind), verify=False)
                known[kind] = {"id": card.id, "sha256": card.sha256}
        return known

    def identities(self) -> list[str]:
        """From the cards."""
        cards = [
            load_card(self._folder(kind), verify=False) for kind in KINDS if kind != "detector"
        ]
        return [f"{card.id}@{card.sha256[:12]}" for card in cards]
