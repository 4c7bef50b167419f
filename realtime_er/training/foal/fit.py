"""One fit of Foal-Net: balanced batches, a rate that moves, checkpoints, several processes.

Everything random in an epoch depends on the seed and the epoch's number alone, so a run that was
stopped and goes on from its last checkpoint ends with the weights of one that was not.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional

from realtime_er.encoders.paper.checkpoints import write_state
from realtime_er.errors import ConfigError, CorpusError
from realtime_er.fusion.foal import FoalBatch, FoalNet, FoalOutput
from realtime_er.training.foal.batches import FoalData, balanced_rows, predict
from realtime_er.training.foal.corpus import Fold
from realtime_er.training.foal.recipe import FoalRecipe, learning_rate
from realtime_er.training.mer.team import Team
from realtime_er.training.metrics import accuracy, unweighted_average_recall

MODEL_FILE = "model.safetensors"
CHECKPOINT_FILE = "checkpoint.pt"
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class FoalProgress:
    """State after an epoch: losses, both figures of the part that chooses it, the best UA."""

    session: int
    epoch: int
    train_loss: float
    val_loss: float
    ua: float
    wa: float
    best: float
    elapsed_s: float


@dataclass(frozen=True)
class FoalFit:
    """What came of a fit; the best epoch's weights are in its folder.

    Attributes:
        best_epoch: from 1.
        best: its UA on the part that chose it.
        history: losses and figures of every epoch.
    """

    best_epoch: int
    best: float
    history: list[dict[str, float]]


def fit_foal(
    net: FoalNet,
    data: FoalData,
    fold: Fold,
    recipe: FoalRecipe,
    folder: Path,
    team: Team,
    *,
    session: int,
    told: Mapping[str, Any] | None = None,
    progress: Callable[[FoalProgress], None] | None = None,
) -> FoalFit:
    """Trains a network; writes the best epoch's weights and a checkpoint after each epoch.

    Args:
        net: what to train, on the CPU; every process brings the same weights.
        data: the clips.
        fold: which of them are for what.
        recipe: how.
        folder: receives ``model.safetensors`` and ``checkpoint.pt``.
        team: the processes that train together.
        session: the test session, for messages.
        told: what else decides the network, such as the hashes of its encoders; a checkpoint of a
            run that was told another thing is refused.
        progress: called after every epoch, by the first process.

    Raises:
        CorpusError: the training part has one class only, or the checkpoint is damaged.
        ConfigError: as ``check_team`` says, or the folder holds a checkpoint of other settings.
    """
    check_team(recipe, team)
    labels = data.labels[list(fold.train)]
    if len(np.unique(labels)) < 2:
        raise CorpusError("the training part has fewer than two classes; check labels and sessions")
    net.to(team.device)
    run = _Run(net, data, fold, recipe, team)
    state = _State(folder / CHECKPOINT_FILE, _key(recipe, data, fold, told or {}))
    state.restore(run, team)
    started_s = perf_counter()
    for epoch in range(len(state.history) + 1, recipe.epochs + 1):
        losses = run.epoch(epoch)
        logits = predict(
            net, data, fold.val, recipe.batch, team, run.cast, normalise=recipe.normalise
        )
        truth = data.labels[list(fold.val)]
        guess = logits.argmax(axis=1)
        ua, wa = unweighted_average_recall(truth, guess), accuracy(truth, guess)
        val_loss = float(functional.cross_entropy(torch.from_numpy(logits), torch.tensor(truth)))
        if state.note({"epoch": epoch, **losses, "val_loss": val_loss, "UA": ua, "WA": wa}):
            run.write(folder)
        if team.rank == 0:
            state.save(run)
            if progress is not None:
                elapsed_s = perf_counter() - started_s
                progress(
                    FoalProgress(
                        session, epoch, losses["loss"], val_loss, ua, wa, state.best, elapsed_s
                    )
                )
    return FoalFit(state.best_epoch, state.best, state.history)


def check_team(recipe: FoalRecipe, team: Team) -> None:
    """Refuses what the processes cannot do, before anything is prepared for them.

    Raises:
        ConfigError: the batch cannot be shared evenly, or the precision needs a GPU.
    """
    if recipe.batch % team.size:
        raise ConfigError(f"batch {recipe.batch} cannot be shared by {team.size} processes evenly")
    if recipe.precision == "fp16" and not team.device.startswith("cuda"):
        raise ConfigError("precision fp16 needs a CUDA GPU; say bf16 or fp32")


def _key(recipe: FoalRecipe, data: FoalData, fold: Fold, told: Mapping[str, Any]) -> str:
    decided = [asdict(recipe), data.names, data.labels.tolist(), asdict(fold), dict(told)]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


class _Run:
    """Network, optimiser and scaler, and passes over the training part."""

    def __init__(
        self, net: FoalNet, data: FoalData, fold: Fold, recipe: FoalRecipe, team: Team
    ) -> None:
        self.net = net
        self._data = data
        self._rows = np.array(fold.train)
        self._recipe = recipe
        self._team = team
        self._trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self._trained, lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )
        self.scaler = torch.amp.GradScaler("cuda", enabled=recipe.precision == "fp16")
        self._steps = math.ceil(len(self._rows) / recipe.batch)

    def cast(self) -> torch.autocast:
        """The forward pass' precision, as a context."""
        kind = torch.device(self._team.device).type
        wanted = _TYPES.get(self._recipe.precision)
        return torch.autocast(kind, wanted, enabled=wanted is not None)

    def epoch(self, epoch: int) -> dict[str, float]:
        """One pass; the mean losses over all processes."""
        recipe, team = self._recipe, self._team
        labels = self._data.labels[self._rows]
        seed = recipe.seed * 100_003 + epoch
        chosen = balanced_rows(labels, self._steps * recipe.batch, seed)
        # Members of a team must neither drop the same units nor draw the same negatives.
        torch.manual_seed(seed * 1_009 + team.rank)
        np.random.seed((seed * 1_009 + team.rank) % 2**32)  # noqa: NPY002 - WavLM's masking uses it
        draws = torch.Generator().manual_seed(seed * 1_009 + team.rank)
        self.net.train()
        sums, rate = np.zeros(4), 0.0
        for step in range(self._steps):
            whole = chosen[step * recipe.batch : (step + 1) * recipe.batch]
            own = self._rows[whole[team.rank :: team.size]]
            rate = learning_rate(
                (epoch - 1) * self._steps + step, recipe.epochs * self._steps, recipe
            )
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            batch = self._data.batch(own, normalise=recipe.normalise).to(team.device)
            wanted = torch.from_numpy(self._data.labels[own]).to(team.device)
            sums += self._step(batch, wanted, draws)
        means = [team.mean(float(value)) for value in sums / self._steps]
        return dict(zip(("loss", "ce", "avel", "mem"), means, strict=True)) | {"rate": rate}

    def _step(self, batch: FoalBatch, labels: Tensor, draws: torch.Generator) -> list[float]:
        recipe = self._recipe
        with self.cast():
            out: FoalOutput = self.net(batch, labels, draws)
        if out.losses is None:
            raise ValueError("a step without labels has no losses")
        ce = functional.cross_entropy(out.logits.float(), labels)
        parts = [ce]
        for weight, loss in ((recipe.avel, out.losses.avel), (recipe.mem, out.losses.mem)):
            if weight > 0.0:
                parts.append(weight * loss.float())
        total = torch.stack(parts).sum()
        self.optimiser.zero_grad()
        # Not the team's backward: a launcher set to half precision would scale once more.
        self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        self._average()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        values = (total, ce, out.losses.avel, out.losses.mem)
        return [float(value.detach()) for value in values]

    def _average(self) -> None:
        """The mean of every process' gradients; WavLM may skip layers in one and not in another."""
        if self._team.size < 2:
            return
        for parameter in self._trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self._team.size

    def write(self, folder: Path) -> None:
        """Puts the weights as they are into the folder; the first process does."""
        if self._team.rank == 0:
            folder.mkdir(parents=True, exist_ok=True)
            half = folder / f"part-{MODEL_FILE}"
            write_state(self.net, half)
            half.replace(folder / MODEL_FILE)


class _State:
    """How far a run is, in memory and in its checkpoint."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key
        self.best = -math.inf
        self.best_epoch = 0
        self.history: list[dict[str, float]] = []

    def note(self, figures: dict[str, float]) -> bool:
        """Adds an epoch; whether it is the best so far."""
        self.history.append(figures)
        if figures["UA"] <= self.best:
            return False
        self.best, self.best_epoch = figures["UA"], len(self.history)
        return True

    def save(self, run: _Run) -> None:
        """Writes the checkpoint, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "key": self._key,
            "net": run.net.state_dict(),
            "optimiser": run.optimiser.state_dict(),
            "scaler": run.scaler.state_dict(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": self.history,
        }
        half = self._path.with_suffix(".part")
        torch.save(state, half)
        half.replace(self._path)

    def restore(self, run: _Run, team: Team) -> None:
        """Goes on from the checkpoint, where there is one."""
        if not self._path.is_file():
            return
        try:
            state = torch.load(self._path, map_location=team.device, weights_only=True)
            key = state["key"]
        except (OSError, RuntimeError, KeyError, TypeError, UnpicklingError, EOFError) as error:
            raise CorpusError(f"{self._path}: is damaged; delete it and start again") from error
        if key != self._key:
            raise ConfigError(
                f"{self._path}: of a run with other settings or clips; delete it, or name another "
                "--out"
            )
        run.net.load_state_dict(state["net"])
        run.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:
            run.scaler.load_state_dict(state["scaler"])
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.history = state["history"]
