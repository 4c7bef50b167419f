"""What a runtime is: something that runs one network, in one form of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy.typing as npt

from realtime_er.messages import FloatArray

if TYPE_CHECKING:
    from torch import nn

RuntimeName = Literal["torch", "onnx", "openvino"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
Inputs: TypeAlias = npt.NDArray[Any]
Outputs: TypeAlias = tuple[FloatArray, FloatArray]
Example: TypeAlias = tuple[npt.NDArray[Any], ...]
"""The arguments of one call, each with a batch of one."""
Material: TypeAlias = Callable[[int, int], Sequence[Example]]
"""``material(count, seed)``: what a network reads in use, to calibrate and to compare with."""


class Form(NamedTuple):
    """How a network is run."""

    runtime: RuntimeName
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


REFERENCE = Form("torch", "fp32")


class Runtime(Protocol):
    """Runs one network. One owning thread."""

    form: Form

    def run(self, *inputs: Inputs) -> Outputs:
        """Features float32 [N, dim] and logits float32 [N, classes] of a batch of N."""
        ...


@dataclass(frozen=True)
class Network:
    """A network with its weights, as it can be exported.

    Attributes:
        name: "face", "audio" or "text".
        module: in evaluation mode, on the processor; gives features and logits.
        identity: sha256 of its weights and of the settings that they do not tell.
        inputs: names of its arguments.
        free_axes: name of an argument to those of its axes whose length may change; the others
            are as long as in ``example``.
        example: arguments for one call.
        int8: how whole numbers come in: "static" needs to see what it will read, "dynamic" scales
            every input as it comes.
    """

    name: str
    module: nn.Module
    identity: str
    inputs: tuple[str, ...]
    free_axes: Mapping[str, Mapping[int, str]]
    example: Example
    int8: Literal["static", "dynamic"]
