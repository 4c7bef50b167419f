"""What belongs together: the encoders, the fusion head and the cut of a face, bundle by bundle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from realtime_er.config import Config
from realtime_er.encoders.protocols import AudioModel, FaceModel, TextModel
from realtime_er.fusion.head import FusionHead
from realtime_er.perception.face import FaceCutter

KIND_OF = {"face": "face", "audio": "speech", "text": "text"}
"""Modality to the kind of its encoder, see ``Bundle.describe``."""


class Bundle(Protocol):
    """Models that were trained for each other. Loaded by one thread, then each used by one."""

    @property
    def face(self) -> FaceModel | None:
        """The face encoder, when it is loaded."""
        ...

    @property
    def text(self) -> TextModel | None:
        """The text encoder, when it is loaded."""
        ...

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to id of the encoders that are loaded."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices for the user about what is loaded."""
        ...

    def load(self, modalities: Collection[str]) -> None:
        """Load the encoders of these modalities, those that are not loaded yet.

        Raises:
            ModelError: files or packages are missing, changed, or do not belong together.
        """
        ...

    def prepare(self) -> None:
        """Make the loaded encoders ready to run; they are only looked at until then.

        Raises:
            ModelError: what is to run them is not installed, or does not do it right.
        """
        ...

    def new_audio(self) -> AudioModel:
        """A speech encoder at the beginning of a stream; "audio" has been loaded."""
        ...

    def load_head(self) -> FusionHead:
        """The fusion head, checked against the encoders that are loaded.

        Raises:
            ModelError: its files are missing, changed, or were trained on other encoders.
        """
        ...

    def face_cutter(self, detector: str) -> FaceCutter:
        """How faces of this detector are cut out; "face" has been loaded."""
        ...

    def describe(self) -> dict[str, dict[str, str]]:
        """What is loaded: kind ("face", "speech", "text", "fusion") to "id" and "sha256"."""
        ...

    def identities(self) -> list[str]:
        """Id and hash, "ID@HASH", of each model that the configuration asks for, from its files alone.

        Raises:
            ModelError: a file is missing, or its card is broken.
        """
        ...


def bundle_of(config: Config) -> Bundle:
    """The bundle that ``models.bundle`` names; nothing is loaded yet."""
    if config.models.bundle == "paper":
        from realtime_er.bundles.paper import PaperBundle

        return PaperBundle(config)
    from realtime_er.bundles.compact import CompactBundle

    return CompactBundle(config)
