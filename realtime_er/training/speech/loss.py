"""What the speech encoder is trained towards: joint classes of two corpora with different ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.clips import SpeechClip

LABELS = (
    "neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise", "boredom",
)  # fmt: skip
CORPUS_LABELS = {"ravdess": ravdess.LABELS, "emodb": emodb.LABELS}
_SMOOTHING = 0.05


def allowed_classes(clips: Sequence[SpeechClip]) -> Tensor:
    """Which joint classes each clip's corpus has, bool [N, 9]."""
    return torch.tensor([[label in CORPUS_LABELS[c.corpus] for label in LABELS] for c in clips])


def clip_weights(clips: Sequence[SpeechClip], train: Sequence[int]) -> Tensor:
    """Weight of each clip in the loss, float32 [N]: half way towards equal classes per corpus."""
    counts = Counter((clips[number].corpus, clips[number].label) for number in train)
    sizes = Counter(clips[number].corpus for number in train)
    return torch.tensor(
        [
            (sizes[c.corpus] / len(CORPUS_LABELS[c.corpus]) / max(1, counts[c.corpus, c.label]))
            ** 0.5
            for c in clips
        ]
    )


def class_loss(logits: Tensor, truth: Tensor, allowed: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy over the classes that each clip's corpus has, with smoothed targets.

    A corpus must not teach that a class it lacks is improbable: that would only teach its
    microphone and its language.
    """
    logs = functional.log_softmax(logits.masked_fill(~allowed, -1e4), dim=1)
    right = functional.nll_loss(logs, truth, reduction="none")
    spread = -(logs * allowed).sum(dim=1) / allowed.sum(dim=1)
    return (weight * ((1.0 - _SMOOTHING) * right + _SMOOTHING * spread)).mean()
