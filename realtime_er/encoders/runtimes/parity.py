"""Whether a form of a network gives what torch gives in fp32."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from realtime_er.encoders.runtimes.protocol import Example, Outputs, Runtime
from realtime_er.messages import FloatArray

N_INPUTS = 200
LOWEST_COSINE = 0.999
_AT_A_TIME = 20


class Reference:
    """What the reference gives for some inputs; each is run once, however many forms are compared.

    Args:
        runtime: torch in fp32.
        inputs: one call each.
    """

    def __init__(self, runtime: Runtime, inputs: Iterable[Example]) -> None:
        self._runtime = runtime
        self.inputs = list(inputs)
        self._found: list[Outputs] = []

    def outputs(self, index: int) -> Outputs:
        """Features and logits of one input."""
        while len(self._found) <= index:
            self._found.append(self._runtime.run(*self.inputs[len(self._found)]))
        return self._found[index]


@dataclass(frozen=True)
class Parity:
    """How near a form came.

    Attributes:
        n_inputs: how many were compared; fewer than there are once it was out.
        cosine: the lowest between features; nan where one is not finite.
        n_labels: how many inputs got another label than torch gives.
    """

    n_inputs: int
    cosine: float
    n_labels: int

    @property
    def passed(self) -> bool:
        """Every cosine at least ``LOWEST_COSINE``, and every label the same."""
        return self.cosine >= LOWEST_COSINE and self.n_labels == 0

    def __str__(self) -> str:
        cosine = f"lowest cosine {self.cosine:.5f}"
        return f"{cosine}, {self.n_labels} other labels on {self.n_inputs} inputs"


def compare(reference: Reference, candidate: Runtime) -> Parity:
    """Runs a form over the reference's inputs, until it is clear that it is not the same."""
    parity = Parity(0, 1.0, 0)
    for start in range(0, len(reference.inputs), _AT_A_TIME):
        stop = min(start + _AT_A_TIME, len(reference.inputs))
        for index in range(start, stop):
            parity = _with(
                parity, reference.outputs(index), candidate.run(*reference.inputs[index])
            )
        if not parity.passed:
            break
    return parity


def _with(parity: Parity, expected: Outputs, found: Outputs) -> Parity:
    cosine = float(np.minimum(parity.cosine, _cosine(expected[0][0], found[0][0])))
    other = int(expected[1][0].argmax() != found[1][0].argmax())
    return Parity(parity.n_inputs + 1, cosine, parity.n_labels + other)


def _cosine(one: FloatArray, other: FloatArray) -> float:
    """Nan where a value is not finite, and where only one of the two is all zeros."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    if lengths == 0.0:
        return 1.0 if not one.any() and not other.any() else float("nan")
    return float(one @ other) / lengths
