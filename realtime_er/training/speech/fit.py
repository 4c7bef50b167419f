"""The training loop of the speech encoder, and its first training, towards the classes alone."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from realtime_er.training.checkpoints import read_checkpoint, write_checkpoint
from realtime_er.training.progress import Course, Tell
from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.features import SpeechBatch, SpeechMaterial, draw_batch
from realtime_er.training.speech.loss import LABELS, allowed_classes, class_loss, clip_weights
from realtime_er.training.speech.model import SpeechNet, pool

_EMA_DECAY = 0.995
_FIRST_RISE = 0.2  # part of the first training in which the rate rises


@dataclass(frozen=True)
class Keeping:
    """Where a training is told of, and kept to go on with.

    Attributes:
        run: Which of several ("fold 1").
        tell: Told within every epoch, and after it.
        folder: Gets ``curves.csv`` and a checkpoint after every epoch; None keeps nothing.
    """

    run: str = ""
    tell: Tell | None = None
    folder: Path | None = None

    def checkpoint(self) -> Path | None:
        """The run's checkpoint."""
        if self.folder is None:
            return None
        return self.folder / f"checkpoint-{self.run.replace(', ', '-').replace(' ', '-')}.pt"


_NOWHERE = Keeping()


@torch.no_grad()
def follow(average: SpeechNet, net: SpeechNet) -> None:
    """Moves the slow copy ``average`` a little towards ``net``; counters are copied."""
    pairs = zip(average.state_dict().values(), net.state_dict().values(), strict=True)
    for kept, new in pairs:
        if kept.is_floating_point():
            kept.lerp_(new, 1.0 - _EMA_DECAY)
        else:
            kept.copy_(new)


class FurtherTargets(Protocol):
    """What a training adds to the loss towards the classes; its own weights learn as well."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """Weights that are thrown away afterwards."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The same by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of nn.Module
        """Take them over."""
        ...

    def loss(
        self, embeddings: Tensor, pooled: Tensor, batch: SpeechBatch, chosen: Tensor
    ) -> Tensor:
        """The loss of a batch, [], from embeddings [B, S, D] and their statistics [B, 2 D]."""
        ...


def fit(
    material: SpeechMaterial,
    train: Sequence[int],
    recipe: SpeechRecipe,
    keeping: Keeping = _NOWHERE,
) -> SpeechNet:
    """Trains one network on the clips ``train`` (numbers within ``material``).

    The schedule is fixed; nothing is chosen by looking at the other clips. Deterministic for a
    recipe and a number of threads. Returns the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    return train_on(
        SpeechNet(len(LABELS)), material, train, recipe,
        epochs=recipe.epochs, peak_rate=recipe.peak_rate, rise=_FIRST_RISE, keeping=keeping,
    )  # fmt: skip


def train_on(
    net: SpeechNet,
    material: SpeechMaterial,
    train: Sequence[int],
    recipe: SpeechRecipe,
    *,
    epochs: int,
    peak_rate: float,
    rise: float,
    tries: int = 1,
    further: FurtherTargets | None = None,
    keeping: Keeping = _NOWHERE,
) -> SpeechNet:
    """Trains ``net`` (changed in place) with a one-cycle rate; goes on from its checkpoint.

    Args:
        net: From random weights or from a training before.
        material: The clips' versions.
        train: Numbers of the clips to learn from.
        recipe: Seed, size of a batch, and what both trainings share.
        epochs: Passes over ``train``.
        peak_rate: Highest rate.
        rise: Part of the steps in which the rate rises to it.
        tries: Crops drawn for each clip, of which the one with most speech is taken.
        further: What else is to be foretold; None for the classes alone.
        keeping: Where it is told of, with the loss towards the classes, and kept.

    Returns:
        The moving average of the weights, in evaluation mode.

    Raises:
        ConfigError: the checkpoint is of a run with other settings.
        CorpusError: the checkpoint is damaged.
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    members = torch.tensor(list(train))
    truth = torch.tensor([LABELS.index(clip.label) for clip in material.clips])
    allowed = allowed_classes(material.clips)
    weights = clip_weights(material.clips, train)
    average = copy.deepcopy(net)
    parameters = [*net.parameters(), *(further.parameters() if further else ())]
    optimiser = torch.optim.AdamW(parameters, lr=peak_rate, weight_decay=recipe.weight_decay)
    batches = len(members) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak_rate, total_steps=max(2, epochs * batches), pct_start=rise
    )
    checkpoint, plan = keeping.checkpoint(), {**asdict(recipe), "clips": len(members)}
    state = read_checkpoint(checkpoint, plan)
    done = int(state.get("epoch", 0))
    learning: dict[str, Any] = {"net": net, "average": average}
    learning |= {"optimiser": optimiser, "schedule": schedule}
    learning |= {"further": further} if further is not None else {}
    if done:
        for name, part in learning.items():
            part.load_state_dict(state[name])
        rng.set_state(state["drawing"])
        torch.set_rng_state(state["chance"])
    curves = keeping.folder / "curves.csv" if keeping.folder is not None else None
    course = Course(epochs, done=done, run=keeping.run, tell=keeping.tell, curves=curves)
    for epoch in range(done + 1, epochs + 1):
        net.train()
        order = members[torch.randperm(len(members), generator=rng)]
        for number in range(batches):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            batch = draw_batch(material, chosen, rng, tries)
            embeddings, _ = net.encode(batch.features)
            pooled = pool(embeddings, batch.steps)
            size = embeddings.shape[2]
            about = truth[chosen], allowed[chosen], weights[chosen]
            loss = class_loss(net.head(pooled), *about)
            step_loss = class_loss(net.step_head(pooled[:, :size]), *about)
            loss = loss + recipe.step_loss * step_loss
            towards_classes = float(loss.detach())
            if further is not None:
                loss = loss + further.loss(embeddings, pooled, batch, chosen)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            schedule.step()
            follow(average, net)
            course.batch(towards_classes, batches)
        if checkpoint is not None:
            state = {name: part.state_dict() for name, part in learning.items()}
            state |= {"drawing": rng.get_state(), "chance": torch.get_rng_state(), "epoch": epoch}
            write_checkpoint(checkpoint, plan, state)
        course.epoch()
    return average.eval()
