"""The published, large encoders (MER) in the shape that the stages drive: torch, on the processor.

Torch and transformers are imported when the first encoder is loaded, not before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from realtime_er.bundles import KIND_OF
from realtime_er.bundles.paper_voice import PaperVoice
from realtime_er.config import Config
from realtime_er.encoders.bundle import load_card, sha256_of
from realtime_er.encoders.paper.hub import find_weights
from realtime_er.errors import ConfigError, ModelError
from realtime_er.fusion.paper_head import PaperHead, head_file, load_paper_head
from realtime_er.messages import MODALITIES, FloatArray
from realtime_er.perception.face_box import BoxCutter

if TYPE_CHECKING:
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder


class PaperFace:
    """One face at a time. The face thread's."""

    def __init__(self, encoder: EmoAffectNetEncoder) -> None:
        self._encoder = encoder
        self.encoder_id = encoder.encoder_id

    def encode(self, picture: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Feature float32 [512] and logits of float32 [3, 224, 224], see ``prepare_face``."""
        features, logits = self._encoder.encode(picture[None])
        features.setflags(write=False)
        return features[0], logits[0]


class PaperText:
    """One utterance at a time. The asr thread's."""

    def __init__(self, encoder: DistilRobertaEncoder) -> None:
        self._encoder = encoder
        self.encoder_id = encoder.encoder_id

    def encode(self, text: str) -> tuple[FloatArray, FloatArray]:
        """Feature float32 [768] and logits of a text, cased and with its punctuation."""
        features, logits = self._encoder.encode([text])
        features.setflags(write=False)
        return features[0], logits[0]


class PaperBundle:
    """See ``Bundle``; its settings are the table ``paper``.

    Raises:
        ConfigError: ``models.directory`` is set, which only the compact bundle reads.
    """

    def __init__(self, config: Config) -> None:
        if config.models.directory:
            raise ConfigError(
                "models.directory is where compact models lie; name the published ones with "
                "paper.face, paper.audio and paper.text"
            )
        self._config = config
        self._paper = config.paper
        self._encoders: dict[str, EmoAffectNetEncoder | Wav2Vec2Encoder | DistilRobertaEncoder] = {}
        self._sound: Wav2Vec2Encoder | None = None
        self._head: PaperHead | None = None
        self.face: PaperFace | None = None
        self.text: PaperText | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the head has to say."""
        return () if self._head is None else self._head.notices

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to id."""
        return {
            name: self._encoders[name].encoder_id for name in MODALITIES if name in self._encoders
        }

    def load(self, modalities: Collection[str]) -> None:
        """About 100 MB of face, 380 MB of sound and 330 MB of text, as far as they are wanted."""
        paper = self._paper
        _import_torch(self._config.models.threads)
        if "face" in modalities and self.face is None:
            from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder

            face = self._encoders["face"] = EmoAffectNetEncoder(paper.face)
            self.face = PaperFace(face)
        if "audio" in modalities and self._sound is None:
            from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder

            self._sound = self._encoders["audio"] = Wav2Vec2Encoder(paper.audio)
        if "text" in modalities and self.text is None:
            from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder

            text = DistilRobertaEncoder(paper.text, tokenizer=paper.tokenizer or None)
            self._encoders["text"] = text
            self.text = PaperText(text)

    def new_audio(self) -> PaperVoice:
        """A new stream; the weights are shared."""
        if self._sound is None:
            raise ModelError("the speech encoder is not loaded; it was switched off")
        return PaperVoice(self._sound)

    def load_head(self) -> PaperHead:
        """The checkpoint of ``paper.head``, or late fusion of the encoders' own classifiers."""
        paper = self._paper
        temperatures = {
            "face": paper.face_temperature,
            "audio": paper.audio_temperature,
            "text": paper.text_temperature,
        }
        self._head = load_paper_head(
            Path(paper.head) if paper.head else None,
            encoders=self.encoder_ids,
            own_heads={name: encoder.own_head for name, encoder in self._encoders.items()},
            gate=paper.gate,
            late_weights=paper.late_weights,
            missing=paper.missing,
            temperatures={name: value for name, value in temperatures.items() if value > 0.0},
        )
        return self._head

    def face_cutter(self, detector: str) -> BoxCutter:
        """The published encoder reads any detector's box as it is."""
        return BoxCutter()

    def describe(self) -> dict[str, dict[str, str]]:
        """Ids and hashes of what was read from the files."""
        known = {
            KIND_OF[name]: {"id": encoder.encoder_id, "sha256": encoder.sha256}
            for name, encoder in self._encoders.items()
        }
        if self._head is not None:
            known["fusion"] = {"id": self._head.head_id}
            if self._paper.head:
                known["fusion"]["sha256"] = _head_sha256(Path(self._paper.head))
        return known

    def identities(self) -> list[str]:
        """Where each comes from, and its hash; only those that are switched on."""
        config, paper = self._config, self._paper
        _import_torch(config.models.threads)
        names = []
        if config.camera.enabled:
            from realtime_er.encoders.paper.emo_affectnet import FILES

            names.append(f"{paper.face}@{find_weights(paper.face, FILES).sha256[:12]}")
        if config.microphone.enabled:
            names.append(f"{paper.audio}@{find_weights(paper.audio).sha256[:12]}")
        if config.microphone.enabled and config.asr.enabled:
            names.append(f"{paper.text}@{find_weights(paper.text).sha256[:12]}")
        head = f"{paper.head}@{_head_sha256(Path(paper.head))[:12]}" if paper.head else "late"
        return [*names, head]


def _head_sha256(head: Path) -> str:
    path = head_file(head)
    return load_card(path, verify=False).sha256 if path.is_dir() else sha256_of(path)


def _import_torch(threads: int) -> None:
    """Import what the encoders need, and tell torch once how many processors it may use."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"the paper bundle needs {error.name}, which is not installed; run: "
            'pip install "realtime_er[paper]"'
        ) from error
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
