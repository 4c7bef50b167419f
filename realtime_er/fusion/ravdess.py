"""The networks of the RAVDESS comparison: two encoders and one of eight fusions, built by name.

All take pictures, float [B, 3, 30, 224, 224], and cepstra, float [B, 13, 212], and give class
scores, float [B, K], whose softmax is the probabilities. ``loss`` is what each trains on. Parameters
bear the published names where weights or code were published (MSAF, CFN-SR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from realtime_er.encoders.ravdess.blocks import Cuts, cut_pieces
from realtime_er.encoders.ravdess.mfcc_net import MfccNet, MfccSize
from realtime_er.encoders.ravdess.resnext3d import ResNeXt3D, ResNeXtSize
from realtime_er.errors import ConfigError
from realtime_er.fusion.baselines import Averaging, Multiplication, Multiplicative
from realtime_er.fusion.cfn_sr import CrossModalBlock
from realtime_er.fusion.concat import ConcatFC
from realtime_er.fusion.mcbp import MCBP
from realtime_er.fusion.mmtm import MMTM
from realtime_er.fusion.msaf import MSAF


@dataclass(frozen=True)
class NetworkSize:
    """Sizes of both encoders; the defaults are the published ones."""

    video: ResNeXtSize = field(default_factory=ResNeXtSize)
    audio: MfccSize = field(default_factory=MfccSize)


@dataclass(frozen=True)
class Blocks:
    """Both encoders, cut, and what a fusion must know of them."""

    video: nn.ModuleList
    audio: nn.ModuleList
    size: NetworkSize
    n_classes: int


class LateNetwork(nn.Module):
    """Both encoders with their classifiers; their logits are fused."""

    def __init__(self, blocks: Blocks, fusion: Averaging | Multiplication | Multiplicative) -> None:
        super().__init__()
        self.video_model_blocks = blocks.video
        self.audio_model_blocks = blocks.audio
        self.fusion = fusion

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Class scores, float [B, K] (see the module's docstring)."""
        logits = [self.video_model_blocks[0](video), self.audio_model_blocks[0](audio)]
        scores: Tensor = self.fusion(torch.stack(logits, 1))
        return scores

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The fusion's own loss, of scores [B, K], target int64 [B], class weights [K]."""
        return self.fusion.loss(scores, target, weight)


class VectorNetwork(nn.Module):
    """Both encoders without classifiers; a head reads their two vectors, 2048 and 1664 long."""

    def __init__(self, blocks: Blocks, head: ConcatFC | MCBP) -> None:
        super().__init__()
        self.video_model_blocks = blocks.video
        self.audio_model_blocks = blocks.audio
        self.head = head

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Logits, float [B, K] (see the module's docstring)."""
        vectors = [self.video_model_blocks[0](video), self.audio_model_blocks[0](audio)]
        logits: Tensor = self.head(vectors)
        return logits

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of logits [B, K], target int64 [B], class weights [K]."""
        return F.cross_entropy(scores, target, weight)


class MapNetwork(nn.Module):
    """Fusion modules between the blocks of two encoders with classifiers; their logits are added.

    Args:
        blocks: The encoders, one block more than there are fusion modules.
        name: Under which the fusion modules are kept, "msaf" or "mmtm".
        between: Each takes and gives the maps [video, audio].
    """

    def __init__(self, blocks: Blocks, name: str, between: nn.ModuleList) -> None:
        super().__init__()
        self.video_model_blocks = blocks.video
        self.audio_model_blocks = blocks.audio
        self.add_module(name, between)
        self.fusion_name = name

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Logits, float [B, K] (see the module's docstring)."""
        fusions = list(self.get_submodule(self.fusion_name).children())
        for i, (see, hear) in enumerate(
            zip(self.video_model_blocks, self.audio_model_blocks, strict=True)
        ):
            video, audio = see(video), hear(audio)
            if i < len(fusions):
                video, audio = fusions[i]([video, audio])
        return video + audio

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of logits [B, K], target int64 [B], class weights [K]."""
        return F.cross_entropy(scores, target, weight)


class CfnSrNetwork(nn.Module):
    """CFN-SR: the sound attends to the last map, then both vectors are classified together.

    Args:
        blocks: The encoders without classifiers, cut before their pooling.
        block: The cross-modal block; None for the ablation without it.
    """

    def __init__(self, blocks: Blocks, block: CrossModalBlock | None) -> None:
        super().__init__()
        self.video_model_blocks = blocks.video
        self.audio_model_blocks = blocks.audio
        # The published code kept the name of the network it grew from.
        self.msaf = nn.ModuleList([] if block is None else [block])
        self.fc = nn.Linear(
            blocks.size.video.channels[-1] + blocks.size.audio.features, blocks.n_classes
        )

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Logits, float [B, K] (see the module's docstring)."""
        video, audio = self.video_model_blocks[0](video), self.audio_model_blocks[0](audio)
        for block in self.msaf:
            video = block(video, audio)
        vectors = [self.video_model_blocks[1](video), self.audio_model_blocks[1](audio)]
        logits: Tensor = self.fc(torch.cat(vectors, 1))
        return logits

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of logits [B, K], target int64 [B], class weights [K]."""
        return F.cross_entropy(scores, target, weight)


RavdessNetwork = LateNetwork | VectorNetwork | MapNetwork | CfnSrNetwork


def _concat(blocks: Blocks) -> VectorNetwork:
    return VectorNetwork(blocks, ConcatFC(_vector_lengths(blocks.size), blocks.n_classes))


def _mcbp(blocks: Blocks) -> VectorNetwork:
    return VectorNetwork(blocks, MCBP(_vector_lengths(blocks.size), blocks.n_classes))


def _mmtm(blocks: Blocks) -> MapNetwork:
    sound = blocks.size.audio
    heard = (sound.inner, sound.inner, sound.inner, sound.outer)
    pairs = zip(blocks.size.video.channels, heard, strict=True)
    return MapNetwork(blocks, "mmtm", nn.ModuleList(MMTM(pair) for pair in pairs))


def _msaf(blocks: Blocks, *, published_double_mask: bool = False) -> MapNetwork:
    seen, sound = blocks.size.video.channels, blocks.size.audio
    return MapNetwork(
        blocks,
        "msaf",
        nn.ModuleList(
            MSAF(channels, width, published_double_mask=published_double_mask)
            for channels, width in (((seen[2], sound.inner), 16), ((seen[3], sound.outer), 32))
        ),
    )


def _cfn_sr(
    blocks: Blocks,
    *,
    block: bool = True,
    residual: bool = True,
    published_batch_sum: bool = False,
) -> CfnSrNetwork:
    if not block:
        return CfnSrNetwork(blocks, None)
    return CfnSrNetwork(
        blocks,
        CrossModalBlock(
            blocks.size.video.channels[-1],
            blocks.size.audio.outer,
            residual=residual,
            published_batch_sum=published_batch_sum,
        ),
    )


def _vector_lengths(size: NetworkSize) -> tuple[int, int]:
    return size.video.channels[-1], size.audio.features


@dataclass(frozen=True)
class Fusion:
    """One row of the comparison.

    Attributes:
        title: Its name in tables.
        build: Makes the network from cut encoders and the fusion's switches.
        video_cuts: Where the video encoder is cut.
        audio_cuts: Where the audio encoder is cut.
        classifier: The weight whose first size is the number of classes.
        published_accuracy: Percent on RAVDESS, as published: the mean over folds of the best epoch
            on the test fold.
        published_millions: Published count of parameters.
        switches: Names that :func:`build_network` takes for it, besides ``published_bare_stem``.
        released: The switches under which the released code runs.
    """

    title: str
    build: Callable[..., RavdessNetwork]
    video_cuts: Cuts
    audio_cuts: Cuts
    classifier: str
    published_accuracy: float
    published_millions: float
    switches: tuple[str, ...] = ()
    released: Mapping[str, bool] = field(default_factory=dict)


_WHOLE = Cuts()
_HEADLESS = Cuts(head=False)
_LATE = (_WHOLE, _WHOLE, "video_model_blocks.0.9.weight")
_VECTOR = (_HEADLESS, _HEADLESS, "head.fc2.weight")

FUSIONS: dict[str, Fusion] = {
    "averaging": Fusion("Averaging", lambda b: LateNetwork(b, Averaging()), *_LATE, 68.82, 25.92),
    "multiplicative": Fusion(
        "Multiplicative", lambda b: LateNetwork(b, Multiplicative()), *_LATE, 70.35, 25.92
    ),
    "multiplication": Fusion(
        "Multiplication", lambda b: LateNetwork(b, Multiplication()), *_LATE, 70.56, 25.92
    ),
    "concat": Fusion("Concat + FC", _concat, *_VECTOR, 71.04, 26.87),
    "mcbp": Fusion("MCBP", _mcbp, *_VECTOR, 71.32, 51.03),
    # Where and at which ratio was not published: after each stage at ratio 4 has 31.88 M.
    "mmtm": Fusion(
        "MMTM",
        _mmtm,
        Cuts(("layer2", "layer3", "layer4", "pool")),
        Cuts(("conv2", "pool", "conv3", "flatten")),
        "video_model_blocks.4.2.weight",
        73.12,
        31.97,
    ),
    "msaf": Fusion(
        "MSAF",
        _msaf,
        Cuts(("layer4", "pool")),
        Cuts(("pool", "flatten")),
        "video_model_blocks.2.2.weight",
        74.86,
        25.94,
        ("published_double_mask",),
        {"published_bare_stem": True, "published_double_mask": True},
    ),
    "cfn-sr": Fusion(
        "CFN-SR",
        _cfn_sr,
        Cuts(("pool",), head=False),
        Cuts(("flatten",), head=False),
        "fc.weight",
        75.76,
        26.30,
        ("block", "residual", "published_batch_sum"),
        {"published_bare_stem": True, "published_batch_sum": True},
    ),
}
"""Name to network, in the order of their published accuracy."""


def build_network(
    name: str,
    n_classes: int = 8,
    size: NetworkSize | None = None,
    *,
    published_bare_stem: bool = False,
    **switches: bool,
) -> RavdessNetwork:
    """A network with fresh weights.

    Args:
        name: One of ``FUSIONS``.
        n_classes: Logits; 8 is RAVDESS.
        size: Sizes of the encoders; the published ones by default.
        published_bare_stem: Leave the ReLU of the video stem out, as the released multimodal
            networks do; their checkpoints need it, their unimodal ones do not.
        **switches: Of the fusion. MSAF: ``published_double_mask``. CFN-SR: ``block=False`` and
            ``residual=False``, its ablations, and ``published_batch_sum``. With
            ``**FUSIONS[name].released`` a network behaves as the released code does.

    Returns:
        The network, in training mode.

    Raises:
        ConfigError: No such fusion or switch, or less than two classes.
    """
    fusion = fusion_named(name)
    unknown = sorted(switches.keys() - set(fusion.switches))
    if unknown:
        known = ", ".join(("published_bare_stem", *fusion.switches))
        raise ConfigError(f"fusion {name}: no switch {unknown[0]}; it has {known}")
    if n_classes < 2:
        raise ConfigError(f"fusion {name}: needs two classes or more, got {n_classes}")
    size = size or NetworkSize()
    video = ResNeXt3D(n_classes, size.video, bare_stem=published_bare_stem)
    audio = MfccNet(n_classes, size.audio)
    blocks = Blocks(
        cut_pieces(video.pieces(), fusion.video_cuts),
        cut_pieces(audio.pieces(), fusion.audio_cuts),
        size,
        n_classes,
    )
    return fusion.build(blocks, **switches)


def fusion_named(name: str) -> Fusion:
    """One row of the table.

    Raises:
        ConfigError: There is none of that name; the message lists them.
    """
    if name not in FUSIONS:
        raise ConfigError(f"no fusion named {name!r}; there are {', '.join(FUSIONS)}")
    return FUSIONS[name]
