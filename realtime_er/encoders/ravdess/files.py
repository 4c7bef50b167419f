"""Published unimodal checkpoints of the two encoders, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.ravdess.mfcc_net import MfccNet, MfccSize
from realtime_er.encoders.ravdess.resnext3d import ResNeXt3D, ResNeXtSize
from realtime_er.errors import SpecMismatch

RESNEXT = "a 3-D ResNeXt-50"
MFCC_NET = "an MFCC network"
NETWORK = "a whole RAVDESS network"


def describe_ravdess(state: Mapping[str, Tensor]) -> str | None:
    """Which of the RAVDESS models these tensors are, None when of another kind."""
    if any(name.startswith("video_model_blocks.") for name in state):
        return NETWORK
    first = state.get("conv1.weight")
    if first is not None and first.ndim == 5:
        return RESNEXT
    if first is not None and first.ndim == 3 and "fc1.weight" in state:
        return MFCC_NET
    return None


def read_ravdess(path: Path, what: str) -> dict[str, Tensor]:
    """Reads a checkpoint that is to be ``what``.

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is no state_dict, or another of the RAVDESS models; one of a foreign kind
            passes, and is refused where its names are compared.
    """
    state = read_state(path)
    found = describe_ravdess(state)
    if found is not None and found != what:
        raise SpecMismatch(f"{path}: {found}, not {what}; {_HINTS[found]}")
    return state


_HINTS = {
    RESNEXT: "give it as the video encoder's weights",
    MFCC_NET: "give it as the audio encoder's weights",
    NETWORK: "give it as the network's checkpoint, with the fusion it was trained with",
}


def load_resnext3d(path: Path, size: ResNeXtSize | None = None) -> ResNeXt3D:
    """The video encoder of a published or own checkpoint, in evaluation mode.

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is no state_dict, or another model's.
    """
    state = read_ravdess(path, RESNEXT)
    classes = int(require(state, "fc.weight", RESNEXT, path).shape[0])
    return fill_module(lambda: ResNeXt3D(classes, size), state, RESNEXT, path)


def load_mfcc_net(path: Path, size: MfccSize | None = None) -> MfccNet:
    """The audio encoder of a published or own checkpoint, in evaluation mode.

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is no state_dict, or another model's.
    """
    state = read_ravdess(path, MFCC_NET)
    classes = int(require(state, "fc1.weight", MFCC_NET, path).shape[0])
    return fill_module(lambda: MfccNet(classes, size), state, MFCC_NET, path)
