"""Checkpoints of the RAVDESS networks: load, save, and begin from unimodal encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from realtime_er.encoders.paper.checkpoints import fill_module, require
from realtime_er.encoders.ravdess import mfcc_net, resnext3d
from realtime_er.encoders.ravdess.blocks import block_prefixes
from realtime_er.encoders.ravdess.files import MFCC_NET, NETWORK, RESNEXT, read_ravdess
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.ravdess import (
    FUSIONS,
    NetworkSize,
    RavdessNetwork,
    build_network,
    fusion_named,
)


def load_network(
    name: str, path: Path, size: NetworkSize | None = None, **switches: bool
) -> RavdessNetwork:
    """A network from a checkpoint, published or saved here; the classes are counted in it.

    Args:
        name: One of ``FUSIONS``.
        path: A bare state_dict or safetensors.
        size: Sizes of the encoders; the published ones by default.
        **switches: As :func:`build_network` takes them. They cannot be read from tensors: what
            the released code trained needs ``**FUSIONS[name].released``.

    Returns:
        The network, in evaluation mode.

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is no state_dict, or another model's; the message says whose.
        ConfigError: No such fusion or switch.
    """
    fusion = fusion_named(name)
    what = f"the {fusion.title} network"
    state = read_ravdess(path, NETWORK)
    if fusion.classifier not in state:
        others = [row.title for row in FUSIONS.values() if row.classifier in state]
        if others:
            raise SpecMismatch(f"{path}: not {what}; this is one of: {', '.join(others)}")
    classes = int(require(state, fusion.classifier, what, path).shape[0])
    return fill_module(lambda: build_network(name, classes, size, **switches), state, what, path)


def begin_from_unimodal(
    name: str, network: RavdessNetwork, *, video: Path | None = None, audio: Path | None = None
) -> None:
    """Gives a network's encoders the weights of unimodal checkpoints.

    What the fusion does not use (a classifier, in headless networks) is left out.

    Args:
        name: The fusion that ``network`` was built with.
        network: Changed in place; its fusion keeps its own weights.
        video: A 3-D ResNeXt-50's checkpoint, published or own.
        audio: An MFCC network's.

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is another model's, or of another number of classes.
    """
    fusion = fusion_named(name)
    if video is not None:
        prefixes = block_prefixes(resnext3d.PIECES, fusion.video_cuts, "video_model_blocks")
        _take_over(network, read_ravdess(video, RESNEXT), prefixes, RESNEXT, video)
    if audio is not None:
        prefixes = block_prefixes(mfcc_net.PIECES, fusion.audio_cuts, "audio_model_blocks")
        _take_over(network, read_ravdess(audio, MFCC_NET), prefixes, MFCC_NET, audio)


def _take_over(
    network: RavdessNetwork,
    state: Mapping[str, Tensor],
    prefixes: Mapping[str, str],
    what: str,
    path: Path,
) -> None:
    own = network.state_dict()
    sources = {}
    for piece, block in prefixes.items():
        for key in own:
            if key.startswith(f"{block}."):
                sources[key] = piece + key.removeprefix(block)
    for key, source in sources.items():
        given, wanted = require(state, source, what, path).shape, own[key].shape
        if given != wanted:
            hint = (
                f"; it knows {given[0]} classes, the network {wanted[0]}: build it with as many"
                if source.startswith("fc")
                else ""
            )
            raise SpecMismatch(f"{path}: {source} is {list(given)}, not {list(wanted)}{hint}")
    network.load_state_dict({**own, **{key: state[source] for key, source in sources.items()}})
