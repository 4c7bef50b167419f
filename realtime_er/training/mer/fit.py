"""One fit of the gated attention fusion: the published recipe, and options that it lacks.

Published: Adam at 1e-4 with coupled weight decay 1e-2, batches of 32, at most 300 epochs, stopped
20 epochs after the best validation UAR, weighted loss. Everything else is off unless asked for.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from realtime_er.errors import CorpusError
from realtime_er.fusion.gated import GatedAttentionFusion, probabilities
from realtime_er.messages import MODALITIES
from realtime_er.training.mer.data import Material
from realtime_er.training.mer.recipe import MerRecipe
from realtime_er.training.mer.scores import decide, measure
from realtime_er.training.mer.team import Team, join_team


@dataclass(frozen=True)
class MerProgress:
    """State after an epoch: its number from 1, losses, validation score, the best one so far."""

    epoch: int
    train_loss: float
    val_loss: float
    score: float
    best: float
    elapsed_s: float


@dataclass(frozen=True)
class Fitted:
    """A fit: the head of the best epoch (on the CPU, evaluation mode) and what led to it."""

    net: GatedAttentionFusion
    best_epoch: int
    score: float
    history: list[dict[str, float]] = field(default_factory=list)


def class_weights(targets: npt.NDArray[np.float32], *, multi: bool) -> npt.NDArray[np.float32]:
    """The loss' weight of every class, float32 [C].

    Single-label: n / (K n_k) over the K classes that occur, as "balanced" is everywhere.
    Multi-label: negatives over positives, for the positive part. A class that never occurs has 1.

    Args:
        targets: [N, C] of 0 and 1.
        multi: whether a row may have several classes.
    """
    n, there = len(targets), targets.sum(axis=0)
    present = there > 0
    counts = np.maximum(there, 1.0)
    raw = (n - there) / counts if multi else n / (present.sum() * counts)
    # Where every clip has a label, nothing is known about its absence: neutral, not zero.
    return np.where(present & (raw > 0), raw, 1.0).astype(np.float32)


def fit_head(
    train: Material,
    val: Material,
    recipe: MerRecipe,
    *,
    multi: bool,
    device: str = "cpu",
    progress: Callable[[MerProgress], None] | None = None,
) -> Fitted:
    """Trains one head; the same seed gives the same head on the same machine.

    Under ``accelerate launch`` every process takes its share of each batch and all keep the same
    weights.

    Args:
        train: what is learned.
        val: what chooses the epoch.
        recipe: how.
        multi: whether a clip may have several classes.
        device: torch's name of where to run.
        progress: called after every epoch.

    Raises:
        CorpusError: the training part has one class only, or the score is never defined.
        ConfigError: the recipe asks for a figure that there is not.
    """
    criterion = recipe.criterion(multi=multi)
    if int((train.targets.sum(axis=0) > 0).sum()) < (1 if multi else 2):
        raise CorpusError("the training part has fewer than two classes; check labels and splits")
    team = join_team(device)
    torch.manual_seed(recipe.seed)
    net = _new_head(train, recipe).to(team.device)
    optimiser = torch.optim.Adam(
        net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    model = team.prepare(net, optimiser)
    weights = torch.ones(train.targets.shape[1])
    if recipe.class_weights:
        weights = torch.from_numpy(class_weights(train.targets, multi=multi))
    step = _Step(train, recipe, weights.to(team.device), team, multi=multi)
    held = _Held(val, weights.to(team.device), team.device, multi=multi)
    torch.manual_seed(recipe.seed + team.rank)  # members of a team must not drop the same units
    order = torch.Generator().manual_seed(recipe.seed)
    best, best_epoch, state = -np.inf, 0, copy.deepcopy(net.state_dict())
    history: list[dict[str, float]] = []
    started_s = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        train_loss = step.epoch(model, optimiser, order)
        val_loss, scores = held.score(net)
        score = scores[criterion]
        if score > best:
            best, best_epoch, state = score, epoch, copy.deepcopy(net.state_dict())
        history.append({"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, **scores})
        if progress is not None and team.rank == 0:
            elapsed_s = time.monotonic() - started_s
            progress(MerProgress(epoch, train_loss, val_loss, score, float(best), elapsed_s))
        if team.agree(epoch - best_epoch >= recipe.patience):
            break
    if best_epoch == 0:
        raise CorpusError(f"{criterion} of the validation part is not defined; check its labels")
    net.load_state_dict(state)
    return Fitted(net.cpu().eval(), best_epoch, float(best), history)


def _new_head(train: Material, recipe: MerRecipe) -> GatedAttentionFusion:
    sizes = train.sizes()
    net = GatedAttentionFusion(
        sizes["face"],
        sizes["audio"],
        sizes["text"],
        recipe.gated_dim,
        train.targets.shape[1],
        recipe.dropout,
        recipe.gate,
        standardise=recipe.standardise,
    )
    if recipe.standardise:
        for column, name in enumerate(MODALITIES):
            known = train.vectors[name][train.mask[:, column] > 0]
            if len(known):
                spread = known.std(axis=0)
                # A number that hardly ever moves must not have its noise blown up.
                spread = np.maximum(spread, max(0.1 * float(spread.mean()), 1e-6))
                net.set_standardisation(
                    name, torch.from_numpy(known.mean(axis=0)), torch.from_numpy(1.0 / spread)
                )
    return net


class _Tensors:
    def __init__(self, material: Material, device: str) -> None:
        self.vectors = [torch.from_numpy(material.vectors[m]).to(device) for m in MODALITIES]
        self.mask = torch.from_numpy(material.mask).to(device)
        self.targets = torch.from_numpy(material.targets).to(device)


def _losses(logits: Tensor, targets: Tensor, weights: Tensor, *, multi: bool) -> Tensor:
    """Loss of every row, [N]; single-label ones are already weighted."""
    if multi:
        return functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights, reduction="none"
        ).mean(dim=1)
    return functional.cross_entropy(logits, targets.argmax(dim=1), weight=weights, reduction="none")


def _shares(targets: Tensor, weights: Tensor, *, multi: bool) -> Tensor:
    """What each row's loss is divided by in sum, [N]: its weight, as the weighted mean is."""
    return torch.ones(len(targets), device=targets.device) if multi else targets @ weights


class _Step:
    """Passes over the training part."""

    def __init__(
        self, train: Material, recipe: MerRecipe, weights: Tensor, team: Team, *, multi: bool
    ) -> None:
        self._data = _Tensors(train, team.device)
        self._recipe = recipe
        self._weights = weights
        self._team = team
        self._multi = multi

    def epoch(
        self, model: torch.nn.Module, optimiser: torch.optim.Optimizer, order: torch.Generator
    ) -> float:
        """One pass; the mean loss."""
        model.train()
        data, team = self._data, self._team
        rows = torch.randperm(len(data.targets), generator=order)
        total = 0.0
        batches = torch.split(rows, self._recipe.batch)
        for batch in batches:
            whole = batch.to(team.device)
            # Every member knows the whole batch, so the weighted mean over it is exact.
            share = _shares(data.targets[whole], self._weights, multi=self._multi).sum()
            own = whole[team.rank :: team.size]
            mask = self._hidden(data.mask[own])
            logits = model(*(values[own] for values in data.vectors), mask)
            losses = _losses(logits, data.targets[own], self._weights, multi=self._multi)
            loss = team.size * losses.sum() / share
            optimiser.zero_grad()
            team.backward(loss)
            optimiser.step()
            total += float(loss.detach())
        return team.mean(total / len(batches))

    def _hidden(self, mask: Tensor) -> Tensor:
        """Modality dropout: some modalities absent, never all that a clip has."""
        if self._recipe.modality_dropout == 0.0:
            return mask
        kept = mask * (torch.rand_like(mask) >= self._recipe.modality_dropout)
        nothing = kept.sum(dim=1, keepdim=True) == 0
        return torch.where(nothing, mask, kept)


class _Held:
    """The validation part."""

    def __init__(self, val: Material, weights: Tensor, device: str, *, multi: bool) -> None:
        self._data = _Tensors(val, device)
        self._truth = val.targets
        self._weights = weights
        self._multi = multi

    @torch.no_grad()
    def score(self, net: GatedAttentionFusion) -> tuple[float, dict[str, float]]:
        """Loss and every figure."""
        net.eval()
        data = self._data
        logits = net(*data.vectors, data.mask)
        share = _shares(data.targets, self._weights, multi=self._multi).sum()
        loss = _losses(logits, data.targets, self._weights, multi=self._multi).sum() / share
        scores = probabilities(logits, multi_label=self._multi).cpu().numpy()
        guess = decide(scores, multi=self._multi)
        return float(loss), measure(self._truth, guess, multi=self._multi)


@torch.no_grad()
def head_logits(net: GatedAttentionFusion, material: Material) -> npt.NDArray[np.float32]:
    """Logits float32 [N, C] of a head on the CPU in evaluation mode."""
    data = _Tensors(material, "cpu")
    logits: npt.NDArray[np.float32] = net(*data.vectors, data.mask).numpy()
    return logits


def find_temperature(
    logits: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], *, multi: bool
) -> float:
    """The divisor of the logits with the least loss on held-out clips, from 0.2 to 5.

    Args:
        logits: [N, C].
        targets: [N, C] of 0 and 1.
        multi: whether a row may have several classes.
    """
    grid = np.exp(np.linspace(np.log(0.2), np.log(5.0), 129))
    ones = torch.ones(logits.shape[1])
    given, wanted = torch.from_numpy(logits), torch.from_numpy(targets)
    losses = [float(_losses(given / float(t), wanted, ones, multi=multi).mean()) for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)
