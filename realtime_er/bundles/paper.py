"""The published, large encoders (MER) in the shape that the stages drive.

Torch and transformers are imported when the first encoder is loaded, not before. What then runs
them is settled by ``prepare``: torch, or the form that was found to be faster on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from realtime_er.bundles import KIND_OF
from realtime_er.bundles.paper_runtimes import Preparer
from realtime_er.bundles.paper_voice import PaperVoice
from realtime_er.config import Config
from realtime_er.encoders.bundle import load_card, sha256_of
from realtime_er.encoders.paper.hub import Found, find_weights
from realtime_er.errors import ConfigError, ModelError
from realtime_er.fusion.paper_head import PaperHead, head_file, load_paper_head
from realtime_er.messages import MODALITIES, FloatArray
from realtime_er.perception.face_box import BoxCutter

if TYPE_CHECKING:
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder
    from realtime_er.encoders.runtimes.choice import Choice


_FACES_ON_GPU = 16
"""At 5 Hz more would not come together before the first has to go on (see ``held_faces``)."""


class PaperFace:
    """Faces one at a time; on a GPU several, where nobody waits for them. The face thread's."""

    def __init__(self, encoder: EmoAffectNetEncoder, batch_size: int = 1) -> None:
        self._encoder = encoder
        self.encoder_id = encoder.encoder_id
        self.batch_size = batch_size

    def encode(self, picture: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Feature float32 [512] and logits of float32 [3, 224, 224], see ``prepare_face``."""
        features, logits = self._encoder.encode(picture[None])
        features.setflags(write=False)
        return features[0], logits[0]

    def encode_many(self, pictures: Sequence[npt.NDArray[Any]]) -> FloatArray:
        """Features float32 [n, 512] of as many pictures."""
        features, _logits = self._encoder.encode(np.stack(pictures))
        features.setflags(write=False)
        return features


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
        self._preparer = Preparer(config.models)
        self._sound: Wav2Vec2Encoder | None = None
        self._head: PaperHead | None = None
        self.face: PaperFace | None = None
        self.text: PaperText | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the runtimes and the head have to say."""
        return (*self._preparer.notices, *(self._head.notices if self._head is not None else ()))

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
        device = self._preparer.device
        if "face" in modalities and self.face is None:
            from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder

            face = self._encoders["face"] = EmoAffectNetEncoder(paper.face, device=device)
            self.face = PaperFace(face, _FACES_ON_GPU if device == "cuda" else 1)
        if "audio" in modalities and self._sound is None:
            from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder

            sound = Wav2Vec2Encoder(paper.audio, device=device)
            self._sound = self._encoders["audio"] = sound
        if "text" in modalities and self.text is None:
            from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder

            text = DistilRobertaEncoder(
                paper.text, tokenizer=paper.tokenizer or None, device=device
            )
            self._encoders["text"] = text
            self.text = PaperText(text)

    def prepare(self) -> None:
        """Takes minutes, once, where ``models.runtime`` names what was never exported."""
        for name, encoder in self._encoders.items():
            self._preparer.prepare(name, encoder)

    def tune(self, *, redo: bool, tell: Callable[[str], None]) -> dict[str, Choice]:
        """Find the fastest form of each loaded encoder on this machine, and remember it.

        Args:
            redo: also where it is remembered.
            tell: gets a line about what is going on.

        Returns:
            Modality to what was chosen, and why.

        Raises:
            ModelError, ConfigError: see ``runtimes.choice.choose``.
        """
        return {
            name: self._preparer.choice(name, encoder, redo=redo, tell=tell)
            for name, encoder in self._encoders.items()
        }

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
        """Ids and hashes of what was read from the files, and what runs it."""
        known = {
            KIND_OF[name]: {
                "id": encoder.encoder_id,
                "sha256": encoder.sha256,
                **self._preparer.describe(encoder),
            }
            for name, encoder in self._encoders.items()
        }
        if self._head is not None:
            known["fusion"] = {"id": self._head.head_id}
            if self._paper.head:
                known["fusion"]["sha256"] = _head_sha256(Path(self._paper.head))
        return known

    def identities(self) -> list[str]:
        """Where each comes from, its hash, and its form if another than torch was found faster.

        Only those that are switched on.
        """
        config, paper = self._config, self._paper
        _import_torch(config.models.threads)
        names = []

        def add(name: str, source: str, found: Found) -> None:
            form = self._preparer.remembered(name, found.identity)
            names.append(f"{source}@{found.sha256[:12]}{form}")

        if config.camera.enabled:
            from realtime_er.encoders.paper.emo_affectnet import FILES

            add("face", paper.face, find_weights(paper.face, FILES))
        if config.microphone.enabled:
            add("audio", paper.audio, find_weights(paper.audio))
        if config.microphone.enabled and config.asr.enabled:
            add("text", paper.text, find_weights(paper.text))
        head = f"{paper.head}@{_head_sha256(Path(paper.head))[:12]}" if paper.head else "late"
        return [*names, head]


def _head_sha256(head: Path) -> str:
    path = head_file(head)
    return load_card(path, verify=False).sha256 if path.is_dir() else sha256_of(path)


def _import_torch(threads: int) -> None:
    """Import what the encoders need, and tell torch once how many processors it may use."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"the paper bundle needs {error.name}, which is not installed; run: "
            'pip install "realtime_er[paper]"'
        ) from error
    from realtime_er.encoders.runtimes.opening import set_torch_threads

    set_torch_threads(threads)
