"""The streaming speech encoder: samples in, one embedding per step of 80 ms out.

The model is causal and carries its own state, so each sample is computed once and the cost of a
step does not depend on any window's length. The whole-clip result is the same to rounding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch

FloatArray = npt.NDArray[np.float32]


class StreamingAudioEncoder:
    """Runs a compact speech model over a stream. Pure state machine; one owning thread.

    Args:
        model: the model's folder or its loaded card.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: the folder lacks its card or model.
        SpecMismatch: the card contradicts the model, or is not a speech model's.
    """

    def __init__(self, model: Path | Card, *, threads: int = 1) -> None:
        self._card = model if isinstance(model, Card) else load_card(model)
        if self._card.kind != "speech":
            raise SpecMismatch(f"{self._card.folder}: a {self._card.kind} model, not speech")
        contract = self._card.raw.get("input", {})
        try:
            self._step_samples = int(contract["step_samples"])
            self._sample_rate_hz = int(contract["sample_rate_hz"])
        except (KeyError, TypeError, ValueError) as error:
            raise SpecMismatch(f"{self._card.folder}: card lacks input.{error}") from error
        self._session = onnx_session(self._card.path, threads)
        inputs = {node.name: node.shape for node in self._session.get_inputs()}
        outputs = [node.name for node in self._session.get_outputs()]
        self._state_shapes: dict[str, tuple[int, ...]] = {
            name: tuple(int(size) for size in shape)
            for name, shape in inputs.items()
            if name.startswith("state_")
        }
        self._outputs = ["embedding", *(f"new_{name}" for name in self._state_shapes)]
        if inputs.get("samples") != [1, self._step_samples] or not set(self._outputs) <= set(
            outputs
        ):
            raise SpecMismatch(f"{self._card.path}: inputs or outputs are not those of its card")
        self.reset()

    @property
    def card(self) -> Card:
        """The model's card."""
        return self._card

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        return self._card.id

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._card.embedding_dim

    @property
    def step_samples(self) -> int:
        """Samples per embedding."""
        return self._step_samples

    @property
    def sample_rate_hz(self) -> int:
        """Rate that ``push`` expects."""
        return self._sample_rate_hz

    @property
    def next_end_sample(self) -> int | None:
        """Where the next embedding will end (stream index); None before the first push."""
        return None if self._step_start is None else self._step_start + self._step_samples

    def reset(self) -> None:
        """Forgets everything, as after a gap; the next push may start at any index."""
        self._states: dict[str, FloatArray] = {
            name: np.zeros(shape, np.float32) for name, shape in self._state_shapes.items()
        }
        self._pending = np.zeros(0, np.float32)
        self._step_start: int | None = None

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        """Takes the next samples of the stream and returns the steps they complete.

        Samples that do not continue the stream (a gap or a jump back) reset the encoder first, so
        that an embedding never spans a discontinuity; a started step is then dropped.

        Args:
            first_sample: stream index of ``samples[0]``.
            samples: float32 [any length], mono in [-1, 1], at ``sample_rate_hz``.

        Returns:
            Pairs of end index (exclusive; the first sample after the step) and embedding,
            float32 [dim], in order.

        Raises:
            ValueError: ``samples`` is not one-dimensional.
        """
        if samples.ndim != 1:
            raise ValueError(f"samples must be [N], got {samples.shape}")
        if len(samples) == 0:
            return []
        if self._step_start is None or first_sample != self._step_start + len(self._pending):
            self.reset()
            self._step_start = first_sample
        sound = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        done: list[tuple[int, FloatArray]] = []
        place = 0
        while place + self._step_samples <= len(sound):
            embedding = self._run(sound[place : place + self._step_samples])
            place += self._step_samples
            done.append((self._step_start + place, embedding))
        self._step_start += place
        self._pending = sound[place:].copy()
        return done

    def _run(self, step: FloatArray) -> FloatArray:
        embedding, *states = self._session.run(
            self._outputs, {"samples": step[None], **self._states}
        )
        self._states = dict(zip(self._state_shapes, states, strict=True))
        row: FloatArray = np.asarray(embedding, np.float32)[0]
        return row
