"""Late fusion without parameters of its own: averaging, multiplication, multiplicative combination.

Each takes logits of M modalities, [B, M, K], and returns class scores, [B, K], whose softmax gives
the fused probabilities and whose largest entry is the prediction. An absent modality takes no part:
its logits may hold any finite number.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from realtime_er.errors import ConfigError


class Averaging(nn.Module):
    """Mean of the modalities' probabilities; the scores are its logarithms."""

    def forward(self, logits: Tensor, present: Tensor | None = None) -> Tensor:
        """Class scores.

        Args:
            logits: float [B, M, K].
            present: bool [B, M], at least one True in a row; None: all.

        Returns:
            float [B, K], log probabilities.
        """
        log_p, kept = _log_probabilities(logits, present)
        log_p = log_p.masked_fill(~kept[..., None], -torch.inf)
        count = kept.sum(1, keepdim=True).to(log_p.dtype)
        return torch.logsumexp(log_p, 1) - count.log()

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of the fused probabilities.

        Args:
            scores: float [B, K] from :meth:`forward`.
            target: int64 [B].
            weight: float [K], of the classes.
        """
        return F.nll_loss(scores, target, weight)


class Multiplication(nn.Module):
    """Product of the modalities' probabilities, renormalised over the classes.

    The product rule of independent classifiers under a uniform prior (Kittler et al., "On
    combining classifiers", PAMI 1998).
    """

    def forward(self, logits: Tensor, present: Tensor | None = None) -> Tensor:
        """Class scores.

        Args:
            logits: float [B, M, K].
            present: bool [B, M], at least one True in a row; None: all.

        Returns:
            float [B, K], log probabilities.
        """
        log_p, kept = _log_probabilities(logits, present)
        return torch.log_softmax((log_p * kept[..., None]).sum(1), -1)

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of the fused probabilities; arguments as in :meth:`Averaging.loss`."""
        return F.nll_loss(scores, target, weight)


class Multiplicative(nn.Module):
    """Multiplicative combination (Liu et al., "Learn to combine modalities", arXiv 1805.11730).

    A modality counts less for a class where the others are already sure of that class::

        q_m^c = [prod_{n != m} (1 - p_n^c)]^(beta / (M - 1))
        score^c = sum_m q_m^c log p_m^c

    The published loss is minus the score of the true class, and the predicted class is the one of
    the smallest loss. With one modality present q = 1, so its own log probabilities come out.

    Args:
        beta: Strength of the down-weighting; 0 gives the sum of log probabilities.

    Raises:
        ConfigError: ``beta`` is negative.
    """

    def __init__(self, beta: float = 0.5) -> None:
        super().__init__()
        if beta < 0.0:
            raise ConfigError(f"multiplicative fusion: beta must be >= 0, got {beta}")
        self.beta = beta

    def forward(self, logits: Tensor, present: Tensor | None = None) -> Tensor:
        """Class scores.

        Args:
            logits: float [B, M, K].
            present: bool [B, M], at least one True in a row; None: all.

        Returns:
            float [B, K], not normalised, <= 0.
        """
        log_p, kept = _log_probabilities(logits, present)
        kept = kept[..., None]
        # log(1 - p) from log p; at p = 1 it is bounded, so that gradients stay finite.
        rest = torch.log1p(-log_p.exp().clamp(max=1.0 - 1e-6)) * kept
        others = rest.sum(1, keepdim=True) - rest
        partners = (kept.sum(1, keepdim=True) - 1).clamp(min=1).to(log_p.dtype)
        q = torch.exp(self.beta / partners * others)
        return (q * log_p * kept).sum(1)

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The published loss: minus the true class's score; arguments as in the others."""
        return F.nll_loss(scores, target, weight)


def _log_probabilities(logits: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Log softmax [B, M, K], and which modalities take part, bool [B, M]."""
    kept = (
        torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
        if present is None
        else present.bool()
    )
    return torch.log_softmax(logits, -1), kept
