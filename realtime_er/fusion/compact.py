"""The published ways to fuse as small heads over the compact encoders' vectors or sequences.

Every network here is called as ``net(face, audio, text, mask)`` (sequences: also ``lengths``), takes
any subset of the modalities, and has ``set_standardisation`` and ``loss``, so that one trainer
(``training/compare/heads.py``) and one live head (``head.OnnxFusionHead``) serve them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime_er.fusion.baselines import Averaging, Multiplication, Multiplicative
from realtime_er.fusion.cfn_sr import CrossModalBlock
from realtime_er.fusion.concat import ConcatFC
from realtime_er.fusion.gated import Gate, GatedAttentionFusion
from realtime_er.fusion.mcbp import MCBP
from realtime_er.fusion.mmtm import MMTM
from realtime_er.fusion.msaf import MSAF
from realtime_er.messages import LABELS, MODALITIES

HIDDEN = 64
"""Units of each modality's layer, and of the joint one."""
GATED_DIM = 64
SKETCH_DIM = 1024
AUDIO_STRIDE = 3
"""Of the steps of sound, which overlap by far more than this, the transformer reads every third."""
SMOOTHING = 0.05
"""Of the labels, where the loss is cross-entropy."""


class Scaling(nn.Module):
    """Shifts and scales vectors [N, D] or sequences [N, T, D] by buffers; ones until they are set."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        for name in MODALITIES:
            self.register_buffer(f"{name}_shift", torch.zeros(sizes[name]))
            self.register_buffer(f"{name}_scale", torch.ones(sizes[name]))

    def set(self, modality: str, shift: Tensor, scale: Tensor) -> None:
        """Sets what is subtracted from, and then multiplied with, one modality's numbers [D]."""
        getattr(self, f"{modality}_shift").copy_(shift)
        getattr(self, f"{modality}_scale").copy_(scale)

    def forward(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Scales one tensor per modality, in their order."""
        return [
            (value - getattr(self, f"{name}_shift")) * getattr(self, f"{name}_scale")
            for name, value in zip(MODALITIES, values, strict=True)
        ]


def _dense(size: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Dropout(dropout))


def _smoothed_loss(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores, labels, label_smoothing=SMOOTHING)


class LateHead(nn.Module):
    """A small classifier for each modality, and a rule without parameters that joins their scores.

    Args:
        sizes: modality to the length of its vector.
        rule: one of ``fusion/baselines.py``.
        dropout: probability in training.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        rule: Averaging | Multiplication | Multiplicative,
        dropout: float,
    ) -> None:
        super().__init__()
        self.scaling = Scaling(sizes)
        self.classifiers = nn.ModuleList(
            nn.Sequential(_dense(sizes[name], dropout), nn.Linear(HIDDEN, len(LABELS)))
            for name in MODALITIES
        )
        self.rule = rule

    def set_standardisation(self, modality: str, shift: Tensor, scale: Tensor) -> None:
        """See :meth:`Scaling.set`."""
        self.scaling.set(modality, shift, scale)

    def forward(self, face: Tensor, audio: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Scores float [N, 7] of vectors float [N, D_m] and ``mask`` float [N, 3], 1 where there."""
        scaled = self.scaling([face, audio, text])
        logits = [net(value) for net, value in zip(self.classifiers, scaled, strict=True)]
        scores: Tensor = self.rule(torch.stack(logits, 1), mask > 0.5)
        return scores

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The rule's own loss of scores [N, 7] and labels int64 [N]."""
        return self.rule.loss(scores, labels)


class JointHead(nn.Module):
    """Vectors of all modalities, joined inside; a learned vector stands for an absent one.

    Args:
        sizes: modality to the length of its vector.
        joint: what makes logits [N, 7] of one vector per modality.
        project: whether each modality passes a dense layer of ``HIDDEN`` units first.
        dropout: of those layers, in training.
    """

    def __init__(
        self, sizes: Mapping[str, int], joint: nn.Module, dropout: float, *, project: bool
    ) -> None:
        super().__init__()
        self.scaling = Scaling(sizes)
        # After scaling, zero is the mean of what was seen in training.
        self.absent = nn.ParameterList(torch.zeros(sizes[name]) for name in MODALITIES)
        self.layers = nn.ModuleList(
            _dense(sizes[name], dropout) if project else nn.Identity() for name in MODALITIES
        )
        self.joint = joint

    def set_standardisation(self, modality: str, shift: Tensor, scale: Tensor) -> None:
        """See :meth:`Scaling.set`."""
        self.scaling.set(modality, shift, scale)

    def forward(self, face: Tensor, audio: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Logits float [N, 7] of vectors float [N, D_m] and ``mask`` float [N, 3], 1 where there."""
        vectors = [
            layer(torch.where(mask[:, place : place + 1] > 0.5, value, self.absent[place]))
            for place, (layer, value) in enumerate(
                zip(self.layers, self.scaling([face, audio, text]), strict=True)
            )
        ]
        logits: Tensor = self.joint(vectors)
        return logits

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Smoothed cross-entropy of logits [N, 7] and labels int64 [N]."""
        return _smoothed_loss(scores, labels)


class _Weighted(nn.Module):
    """A block that weights each modality's channels, then concatenation and dense layers."""

    def __init__(self, block: nn.Module, dropout: float) -> None:
        super().__init__()
        self.block = block
        self.classifier = ConcatFC([HIDDEN] * len(MODALITIES), len(LABELS), HIDDEN, dropout)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(self.block(list(vectors)))
        return logits


class GatedHead(GatedAttentionFusion):
    """The published gated fusion (MER) with its loss beside it."""

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Smoothed cross-entropy of logits [N, 7] and labels int64 [N]."""
        return _smoothed_loss(scores, labels)


class SequenceHead(nn.Module):
    """CFN-SR's block on steps over time: the voice says which moments of the face count.

    The published block weights places in the picture; here the steps of the face compete. What
    comes out is averaged over time, the voice's own steps too, and joined with the words.

    Args:
        sizes: modality to the length of one step's vector.
        dropout: of the joint layers, in training.
    """

    def __init__(self, sizes: Mapping[str, int], dropout: float) -> None:
        super().__init__()
        self.scaling = Scaling(sizes)
        self.block = CrossModalBlock(sizes["face"], sizes["audio"], HIDDEN, n_layers=1)
        self.absent = nn.ParameterList(torch.zeros(sizes[name]) for name in MODALITIES)
        dims = [sizes[name] for name in MODALITIES]
        self.classifier = ConcatFC(dims, len(LABELS), HIDDEN, dropout)

    def set_standardisation(self, modality: str, shift: Tensor, scale: Tensor) -> None:
        """See :meth:`Scaling.set`."""
        self.scaling.set(modality, shift, scale)

    def forward(
        self, face: Tensor, audio: Tensor, text: Tensor, mask: Tensor, lengths: Tensor
    ) -> Tensor:
        """Logits.

        Args:
            face: float [N, T_f, D_f], padded at the end.
            audio: float [N, T_a, D_a].
            text: float [N, T_t, D_t].
            mask: float [N, 3], 1 where a modality is there.
            lengths: int64 [N, 3], steps that are there, at least one.

        Returns:
            float [N, 7].
        """
        seen, heard, read = self.scaling([face, audio, text])
        there = [
            torch.arange(value.shape[1], device=value.device) < lengths[:, place : place + 1]
            for place, value in enumerate((seen, heard, read))
        ]
        attended = self.block(
            seen.transpose(1, 2)[:, :, None],
            heard[:, ::AUDIO_STRIDE].transpose(1, 2),
            video_mask=there[0][:, None],
            audio_steps=(lengths[:, 1] + AUDIO_STRIDE - 1) // AUDIO_STRIDE,
        )
        # Without a voice nothing says where to look: all moments count the same.
        listens = (mask[:, 1] > 0.5)[:, None, None]
        seen = torch.where(listens, attended[:, :, 0].transpose(1, 2), seen)
        vectors = []
        for place, (value, kept) in enumerate(zip((seen, heard, read), there, strict=True)):
            mean = (value * kept[..., None]).sum(1) / lengths[:, place : place + 1]
            vectors.append(torch.where(mask[:, place : place + 1] > 0.5, mean, self.absent[place]))
        logits: Tensor = self.classifier(vectors)
        return logits

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Smoothed cross-entropy of logits [N, 7] and labels int64 [N]."""
        return _smoothed_loss(scores, labels)


def _gated(sizes: Mapping[str, int], gate: Gate, dropout: float) -> GatedHead:
    face, audio, text = (sizes[name] for name in MODALITIES)
    return GatedHead(face, audio, text, GATED_DIM, len(LABELS), dropout, gate, standardise=True)


def gated_sigmoid(sizes: Mapping[str, int], dropout: float = 0.3) -> GatedHead:
    """MER's gated attention with the gate of its figure; what ships."""
    return _gated(sizes, "sigmoid", dropout)


def gated_softmax(sizes: Mapping[str, int], dropout: float = 0.3) -> GatedHead:
    """MER's gated attention with the gate of its released code."""
    return _gated(sizes, "softmax", dropout)


def averaging(sizes: Mapping[str, int], dropout: float = 0.3) -> LateHead:
    """Mean of the modalities' probabilities."""
    return LateHead(sizes, Averaging(), dropout)


def multiplication(sizes: Mapping[str, int], dropout: float = 0.3) -> LateHead:
    """Product of the modalities' probabilities."""
    return LateHead(sizes, Multiplication(), dropout)


def multiplicative(sizes: Mapping[str, int], dropout: float = 0.3) -> LateHead:
    """Product in which a modality counts less where the others are sure (Liu et al. 2018)."""
    return LateHead(sizes, Multiplicative(), dropout)


def concat(sizes: Mapping[str, int], dropout: float = 0.3) -> JointHead:
    """Concatenation and two dense layers."""
    joint = ConcatFC([sizes[name] for name in MODALITIES], len(LABELS), HIDDEN, dropout)
    return JointHead(sizes, joint, dropout, project=False)


def mcbp(sizes: Mapping[str, int], dropout: float = 0.3) -> JointHead:
    """Compact bilinear pooling of all three."""
    joint = MCBP([HIDDEN] * len(MODALITIES), len(LABELS), SKETCH_DIM, HIDDEN, dropout)
    return JointHead(sizes, joint, dropout, project=True)


def mmtm(sizes: Mapping[str, int], dropout: float = 0.3) -> JointHead:
    """Squeeze and excitation across modalities."""
    joint = _Weighted(MMTM([HIDDEN] * len(MODALITIES)), dropout)
    return JointHead(sizes, joint, dropout, project=True)


def msaf(sizes: Mapping[str, int], dropout: float = 0.3) -> JointHead:
    """Split attention over blocks of 16 channels, with the floor of the published NTU networks."""
    joint = _Weighted(MSAF([HIDDEN] * len(MODALITIES), 16, floor=0.5), dropout)
    return JointHead(sizes, joint, dropout, project=True)


def cfn_sr(sizes: Mapping[str, int], dropout: float = 0.3) -> SequenceHead:
    """The cross-modal block of CFN-SR on sequences."""
    return SequenceHead(sizes, dropout)
