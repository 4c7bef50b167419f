"""One fold of one network on RAVDESS: trained, the epoch chosen, tested; goes on where it stopped.

Everything random in an epoch hangs on the seed and the epoch's number alone, so that a training that
was stopped and went on ends where one in a single run does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from realtime_er.encoders.paper.checkpoints import write_state
from realtime_er.errors import ConfigError, CorpusError
from realtime_er.fusion.ravdess import RavdessNetwork
from realtime_er.training.mer.team import Team, join_team
from realtime_er.training.ravdess.batches import Batches, Clips
from realtime_er.training.ravdess.cache import RavdessCorpus
from realtime_er.training.ravdess.folds import Fold
from realtime_er.training.ravdess.recipe import RavdessRecipe

MODEL_FILE = "model.safetensors"
RESUME_FILE = "resume.pt"
_SCORED_AT_ONCE = 8


@dataclass(frozen=True)
class RavdessProgress:
    """State after an epoch; ``chosen_on`` says whose accuracy chooses ("val", or "TEST")."""

    fold: int
    epoch: int
    epochs: int
    train_loss: float
    chosen_on: str
    accuracy: float
    best: float
    elapsed_s: float


@dataclass(frozen=True)
class FoldRun:
    """A fold that is finished.

    Attributes:
        best_epoch: that was kept, from 1.
        test_clips: (actor, place) of what was tested.
        probabilities: float32 [N, 8], of the kept epoch.
        last_accuracy: of the last epoch on the test fold.
        history: figures of every epoch.
    """

    best_epoch: int
    test_clips: Clips
    probabilities: npt.NDArray[np.float32]
    last_accuracy: float
    history: list[dict[str, float]]


def fit_fold(
    net: RavdessNetwork,
    corpus: RavdessCorpus,
    fold: Fold,
    recipe: RavdessRecipe,
    folder: Path,
    signature: str,
    *,
    device: str = "cpu",
    workers: int = 1,
    progress: Callable[[RavdessProgress], None] | None = None,
) -> FoldRun:
    """Trains a network on a fold; ``folder`` gets the kept epoch and what is needed to go on.

    Args:
        net: fresh, or begun from unimodal encoders; holds the kept epoch afterwards.
        corpus: described clips.
        fold: with nobody in ``val`` the test fold itself chooses the epoch, as published.
        recipe: how.
        folder: made if it is not there.
        signature: of everything that decides the result; what was begun with another one is refused.
        device: torch's name of where to run; a team gives every member a GPU of its own.
        workers: threads that decode.
        progress: called after every epoch.

    Raises:
        CorpusError: a part of the fold has no clip.
        ConfigError: the folder was begun with other settings.
    """
    parts = {name: corpus.clips(getattr(fold, name)) for name in ("train", "val", "test")}
    for name, clips in parts.items():
        if not clips and (name != "val" or fold.val):
            actors = ", ".join(map(str, getattr(fold, name)))
            raise CorpusError(
                f"fold {fold.number}: no clip of actors {actors} ({name}); get them, or give folds "
                "of the actors that are there with --splits FILE"
            )
    if len(parts["train"]) < 2:
        raise CorpusError(f"fold {fold.number}: one clip is too few to train on")
    team = join_team(device)
    net.to(team.device)
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.rate)
    folder.mkdir(parents=True, exist_ok=True)
    begun = _begin(folder / RESUME_FILE, signature, net, optimiser, team.device)
    model = team.prepare(net, optimiser)
    batches = Batches(corpus, recipe, workers)
    choosing = parts["val"] or parts["test"]
    chosen_on = "val" if parts["val"] else "TEST"
    started_s = time.monotonic()
    for epoch in range(begun.epoch + 1, recipe.epochs + 1):
        loss = _epoch(model, net, optimiser, batches, parts["train"], recipe, epoch, team)
        accuracy = _accuracy(corpus, choosing, _scores(net, batches, choosing, team.device))
        better = accuracy > begun.best
        begun.best, begun.epoch = max(accuracy, begun.best), epoch
        begun.best_epoch = epoch if better else begun.best_epoch
        begun.history.append(
            {"epoch": epoch, "train_loss": loss, f"{chosen_on.lower()}_accuracy": accuracy}
        )
        if team.rank == 0:
            if better:
                write_state(net, folder / MODEL_FILE)
            _keep(folder / RESUME_FILE, signature, begun, net, optimiser)
            if progress is not None:
                elapsed_s = time.monotonic() - started_s
                progress(
                    RavdessProgress(fold.number, epoch, recipe.epochs, loss, chosen_on, accuracy,
                                    begun.best, elapsed_s)
                )  # fmt: skip
    last = _accuracy(corpus, parts["test"], _scores(net, batches, parts["test"], team.device))
    team.agree(stop=True)  # nobody reads the file before the first member has written it
    net.load_state_dict(load_file(folder / MODEL_FILE))
    probabilities = _scores(net, batches, parts["test"], team.device)
    return FoldRun(begun.best_epoch, parts["test"], probabilities, last, begun.history)


@dataclass
class _Begun:
    epoch: int
    best: float
    best_epoch: int
    history: list[dict[str, float]]


def _begin(
    path: Path,
    signature: str,
    net: RavdessNetwork,
    optimiser: torch.optim.Optimizer,
    device: str,
) -> _Begun:
    if not path.is_file():
        return _Begun(0, -1.0, 0, [])
    kept: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if kept["signature"] != signature:
        raise ConfigError(
            f"{path.parent}: begun with other settings or other clips; choose another --out, or "
            "remove that folder"
        )
    net.load_state_dict(kept["net"])
    optimiser.load_state_dict(kept["optimiser"])
    return _Begun(kept["epoch"], kept["best"], kept["best_epoch"], kept["history"])


def _keep(
    path: Path,
    signature: str,
    begun: _Begun,
    net: RavdessNetwork,
    optimiser: torch.optim.Optimizer,
) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    torch.save(
        {
            "signature": signature,
            "epoch": begun.epoch,
            "best": begun.best,
            "best_epoch": begun.best_epoch,
            "history": begun.history,
            "net": net.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        unfinished,
    )
    # Replaced in one step: a training that is killed leaves the epoch before.
    unfinished.replace(path)


def _epoch(
    model: torch.nn.Module,
    net: RavdessNetwork,
    optimiser: torch.optim.Optimizer,
    batches: Batches,
    clips: Clips,
    recipe: RavdessRecipe,
    epoch: int,
    team: Team,
) -> float:
    """One pass; the mean loss."""
    model.train()
    order = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    # Members of a team must not drop the same units.
    torch.manual_seed((recipe.seed * 100_003 + epoch) * 131 + team.rank)
    rows = torch.randperm(len(clips), generator=order).tolist()
    # Batch normalisation needs two clips in every member's part.
    whole = [part for part in _cut(rows, recipe.batch) if len(part) >= 2 * team.size]
    own = [[clips[row] for row in part[team.rank :: team.size]] for part in whole]
    total = 0.0
    for part, (pictures, cepstra, labels) in zip(
        whole, batches.read(own, recipe.seed * 100_003 + epoch), strict=True
    ):
        scores = model(pictures.to(team.device), cepstra.to(team.device))
        # A team's gradients are averaged, so each part counts as its share of the batch.
        share = team.size * len(labels) / len(part)
        loss = share * net.loss(scores, labels.to(team.device))
        optimiser.zero_grad()
        team.backward(loss)
        optimiser.step()
        total += float(loss.detach())
    return team.mean(total / max(1, len(whole)))


def _cut(rows: list[int], size: int) -> Iterator[list[int]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


@torch.no_grad()
def _scores(
    net: RavdessNetwork, batches: Batches, clips: Clips, device: str
) -> npt.NDArray[np.float32]:
    """Probabilities float32 [N, 8] of clips."""
    net.eval()
    parts = [clips[at : at + _SCORED_AT_ONCE] for at in range(0, len(clips), _SCORED_AT_ONCE)]
    found = [
        torch.softmax(net(pictures.to(device), cepstra.to(device)), dim=-1).cpu().numpy()
        for pictures, cepstra, _ in batches.read(parts, None)
    ]
    return np.concatenate(found)


def _accuracy(corpus: RavdessCorpus, clips: Clips, probabilities: npt.NDArray[np.float32]) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == corpus.labels(clips)))
