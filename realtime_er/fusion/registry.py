"""Every fusion head by name: what it reads, and where its network is. Imports neither.

To add a head: its network in a module of this folder, its line in ``HEADS``, its test.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from realtime_er.errors import ConfigError

Reads = Literal["statistics", "sequence", "maps"]
"""What a network is fed: a vector per modality (mean and deviation over time), the embeddings over
time, or feature maps inside two encoders (the RAVDESS networks)."""


@dataclass(frozen=True)
class HeadKind:
    """A way to fuse.

    Attributes:
        title: as it stands in tables.
        networks: what can be read, to "module:callable" that makes the torch network for it.
            Vectors and sequences: ``callable(sizes, dropout) -> nn.Module``, sizes being modality to
            length, the module called as ``net(face, audio, text, mask)`` (a sequence head: also with
            ``lengths``). Maps: ``callable(name) -> nn.Module``, called as ``net(pictures, mfcc)``.
    """

    title: str
    networks: Mapping[Reads, str]

    @property
    def reads(self) -> tuple[Reads, ...]:
        """What there is a network for."""
        return tuple(self.networks)

    def builder(self, reads: Reads) -> Callable[..., Any]:
        """What makes the network; imports torch.

        Raises:
            KeyError: there is no network for that.
        """
        module, _, name = self.networks[reads].partition(":")
        made: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return made


_COMPACT = "realtime_er.fusion.compact"
_RAVDESS = "realtime_er.fusion.ravdess:build_network"

HEADS: dict[str, HeadKind] = {
    "gated": HeadKind("gated, sigmoid", {"statistics": f"{_COMPACT}:gated_sigmoid"}),
    "gated-softmax": HeadKind("gated, softmax", {"statistics": f"{_COMPACT}:gated_softmax"}),
    "averaging": HeadKind("averaging", {"statistics": f"{_COMPACT}:averaging", "maps": _RAVDESS}),
    "multiplicative": HeadKind(
        "multiplicative",
        {"statistics": f"{_COMPACT}:multiplicative", "maps": _RAVDESS},
    ),
    "multiplication": HeadKind(
        "multiplication",
        {"statistics": f"{_COMPACT}:multiplication", "maps": _RAVDESS},
    ),
    "concat": HeadKind("concat + FC", {"statistics": f"{_COMPACT}:concat", "maps": _RAVDESS}),
    "mcbp": HeadKind("MCBP", {"statistics": f"{_COMPACT}:mcbp", "maps": _RAVDESS}),
    "mmtm": HeadKind("MMTM", {"statistics": f"{_COMPACT}:mmtm", "maps": _RAVDESS}),
    "msaf": HeadKind("MSAF", {"statistics": f"{_COMPACT}:msaf", "maps": _RAVDESS}),
    "cfn-sr": HeadKind("CFN-SR", {"sequence": f"{_COMPACT}:cfn_sr", "maps": _RAVDESS}),
}
"""Name to kind. Names are those of the command line and of a card's ``architecture``."""


def kind_of(name: str) -> HeadKind:
    """The kind of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in HEADS:
        raise ConfigError(f"no fusion head named {name!r}; there are {', '.join(HEADS)}")
    return HEADS[name]


def heads_reading(*reads: Reads) -> tuple[str, ...]:
    """Names of the heads with a network for one of these inputs."""
    return tuple(name for name, kind in HEADS.items() if set(reads) & set(kind.reads))
