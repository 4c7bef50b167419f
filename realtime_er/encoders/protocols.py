"""What the stages ask of an encoder, whichever bundle it is from. Each has one owning thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy.typing as npt

from realtime_er.messages import FloatArray


class FaceModel(Protocol):
    """Describes one face."""

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        ...

    def encode(self, picture: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Embedding float32 (dim,) and logits of what the bundle's cutter made of a face."""
        ...


@runtime_checkable
class BatchFaceModel(FaceModel, Protocol):
    """Describes several faces in one pass, each by itself."""

    @property
    def batch_size(self) -> int:
        """Faces worth waiting for where nobody waits for the result; 1: none."""
        ...

    def encode_many(self, pictures: Sequence[npt.NDArray[Any]]) -> FloatArray:
        """Embeddings float32 (n, dim) of what ``encode`` takes, one row each."""
        ...


class LastWindow(NamedTuple):
    """The end of a recording that no whole window covers: stream indices and float32 (dim,)."""

    start_sample: int
    end_sample: int
    vector: FloatArray


class AudioModel(Protocol):
    """Describes a stream of sound, piece by piece."""

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        ...

    @property
    def step_samples(self) -> int:
        """Samples from one embedding's end to the next one's."""
        ...

    @property
    def window_samples(self) -> int:
        """Samples that one embedding describes at most, up to its end."""
        ...

    @property
    def next_end_sample(self) -> int | None:
        """Where the next embedding will end (stream index); None before the first push."""
        ...

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        """Take the next samples; (end index, embedding) of what they complete."""
        ...

    def skip(self) -> None:
        """Leave the next embedding out, to catch up; ignored where later ones build on it."""
        ...

    def finish(self) -> LastWindow | None:
        """No more will come: what belongs to the whole recording alone, if there is such a thing."""
        ...


class TextModel(Protocol):
    """Describes an utterance."""

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        ...

    def encode(self, text: str) -> tuple[FloatArray, FloatArray]:
        """Embedding float32 (dim,) and logits of a text that has words."""
        ...
