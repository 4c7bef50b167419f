"""The three encoders that describe a corpus, from a folder, from single paths, or from the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from realtime_er.errors import ConfigError, WeightsMissing
from realtime_er.messages import MODALITIES, FloatArray

_IN_FOLDER = {
    # Published names first (video.pth beside audio.pth and text.pth), then folders of our own.
    "face": ("video.pth", "video.pt", "face", "video"),
    "audio": ("audio.pth", "audio.pt", "audio", "speech"),
    "text": ("text.pth", "text.pt", "text"),
}
_TOKENIZER = "tokenizer"
HOW = (
    "give a folder that holds face (or video.pth), audio (or audio.pth) and text (or text.pth), "
    "or face=PATH,audio=PATH,text=PATH where PATH is a file, a folder or a hub id"
)


class FaceEncoder(Protocol):
    """Describes faces; see ``EmoAffectNetEncoder``."""

    encoder_id: str
    sha256: str
    dim: int
    side_px: int

    def encode(self, faces: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Features [N, dim] and logits of float32 [N, 3, side, side]."""
        ...


class SoundEncoder(Protocol):
    """Describes windows of sound; see ``Wav2Vec2Encoder``."""

    encoder_id: str
    sha256: str
    dim: int
    window_samples: int

    def encode(self, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Features [N, dim] and logits of float32 [N, samples]."""
        ...


class WordsEncoder(Protocol):
    """Describes texts; see ``DistilRobertaEncoder``."""

    encoder_id: str
    sha256: str
    dim: int

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Features [N, dim] and logits."""
        ...


@dataclass(frozen=True)
class Encoders:
    """What describes each modality; None where it is left out."""

    face: FaceEncoder | None = None
    audio: SoundEncoder | None = None
    text: WordsEncoder | None = None

    def identities(self) -> dict[str, dict[str, str]]:
        """Modality to id and sha256 of its encoder, as files of features name them."""
        pairs = (("face", self.face), ("audio", self.audio), ("text", self.text))
        return {
            name: {"id": encoder.encoder_id, "sha256": encoder.sha256}
            for name, encoder in pairs
            if encoder is not None
        }


def choose_device(wanted: str = "auto") -> str:
    """Torch's name of where to run: what is asked for, else a GPU when there is one.

    Raises:
        ConfigError: a GPU was asked for and there is none.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {wanted}: torch sees no such GPU; leave it out, or say cpu")
    return wanted


def find_sources(text: str, modalities: Sequence[str] = MODALITIES) -> dict[str, str]:
    """Where each encoder is.

    Args:
        text: "paper" for the hub ids of the publication, a folder, or ``face=...,audio=...``.
        modalities: those that are wanted.

    Returns:
        Modality to path or hub id, and "tokenizer" where one is named; without modalities that
        the folder or the list does not have.

    Raises:
        ConfigError: neither, an unknown name, or none of the wanted modalities is there.
    """
    if "=" in text and not Path(text).exists():
        found = _named(text)
    elif text == "paper":
        from realtime_er.encoders.paper import distilroberta, emo_affectnet, wav2vec2

        hub_ids = (emo_affectnet.HUB_ID, wav2vec2.HUB_ID, distilroberta.HUB_ID)
        found = dict(zip(MODALITIES, hub_ids, strict=True))
    elif Path(text).is_dir():
        found = _in_folder(Path(text))
    else:
        raise ConfigError(f"--encoders {text}: no such folder; {HOW}")
    chosen = {name: path for name, path in found.items() if name in (*modalities, _TOKENIZER)}
    if not set(chosen) & set(MODALITIES):
        raise ConfigError(f"--encoders {text}: none of {', '.join(modalities)} is there; {HOW}")
    return chosen


def _named(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        name, equals, path = part.strip().partition("=")
        if name not in (*MODALITIES, _TOKENIZER) or not equals or not path:
            raise ConfigError(f"--encoders {part.strip()!r} is not understood; {HOW}")
        found[name] = path
    return found


def _in_folder(folder: Path) -> dict[str, str]:
    found = {}
    for name, choices in _IN_FOLDER.items():
        there = [folder / choice for choice in choices if (folder / choice).exists()]
        if there:
            found[name] = str(there[0])
    if (folder / _TOKENIZER).is_dir():
        found[_TOKENIZER] = str(folder / _TOKENIZER)
    return found


def load_encoders(
    text: str,
    modalities: Sequence[str] = MODALITIES,
    *,
    device: str = "auto",
    half: bool = False,
    download: bool = False,
) -> Encoders:
    """Loads the encoders (see :func:`find_sources`).

    Args:
        text: where they are.
        modalities: those that are wanted.
        device: torch's name of where to run, or "auto".
        half: run them in 16 bits by autocast, which a GPU does several times as fast.
        download: whether hub ids may be fetched.

    Raises:
        ConfigError: ``text`` is not understood, or 16 bits are asked of another device than CUDA.
        WeightsMissing: an encoder is not there.
        SpecMismatch: a file is another model's.
    """
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder
    from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime

    sources = find_sources(text, modalities)
    where = choose_device(device)
    if half and not where.startswith("cuda"):
        raise ConfigError(f"16 bits are for GPUs with CUDA, and the encoders run on {where}")
    tokenizer = sources.get(_TOKENIZER)
    try:
        face = (
            EmoAffectNetEncoder(sources["face"], device=where, download=download)
            if "face" in sources
            else None
        )
        audio = (
            Wav2Vec2Encoder(sources["audio"], device=where, download=download)
            if "audio" in sources
            else None
        )
        words = (
            DistilRobertaEncoder(
                sources["text"], tokenizer=tokenizer, device=where, download=download
            )
            if "text" in sources
            else None
        )
    except WeightsMissing as error:
        raise WeightsMissing(f"{error} (--modalities leaves a modality out)") from error
    for encoder in (face, audio, words):
        if half and encoder is not None and encoder.network is not None:
            encoder.runtime = TorchRuntime(encoder.network.module, where, "fp16")
    return Encoders(face, audio, words)
