"""Trains any compact head of the registry, calibrates it, and writes it as a live model folder.

Clips are drawn as label-matched triples (as in ``training/fusion``); every subset of the modalities is
trained equally often. The epoch is chosen on a validation part, never on what is reported.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from realtime_er.encoders.bundle import Card, load_card, write_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import ConfigError, ModelError
from realtime_er.fusion.head import SUBSETS, subset_name
from realtime_er.fusion.registry import Reads, kind_of
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.calibration import find_temperature
from realtime_er.training.compare.features import Corpus, Steps
from realtime_er.training.metrics import unweighted_average_recall
from realtime_er.training.onnx_files import strip_traces
from realtime_er.training.recipes import FusionRecipe

ALL = subset_name(MODALITIES)
_VAL_TRIPLES = 7 * 150
_AT_ONCE = 700

Rows = Mapping[str, npt.NDArray[np.int64]]
"""Modality to rows of a corpus."""


class Auxiliary(Protocol):
    """A loss beside the head's own, with parameters that training moves and nobody keeps."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained with it."""
        ...

    def __call__(self, inputs: list[Tensor], labels: Tensor) -> Tensor:
        """A scalar, of what the head was called with and labels int64 [B]."""
        ...


class Pool:
    """A part of the corpus, ready to draw triples from.

    Args:
        corpus: every modality's clips.
        rows: those of the part.
        reads: "statistics" for vectors, "sequence" for steps.
    """

    def __init__(self, corpus: Corpus, rows: Rows, reads: Reads) -> None:
        if reads == "maps":
            raise ConfigError("feature maps are not cached; train the head with --data RAVDESS")
        self.sequence = reads == "sequence"
        self.parts = {name: corpus[name].take(rows[name]) for name in MODALITIES}
        self.values = {
            name: torch.from_numpy(steps.values if self.sequence else _vectors(name, steps))
            for name, steps in self.parts.items()
        }
        self.lengths = {name: torch.from_numpy(s.lengths) for name, s in self.parts.items()}
        self._by_label = {
            name: [np.flatnonzero(steps.labels == label) for label in range(len(LABELS))]
            for name, steps in self.parts.items()
        }

    @property
    def sizes(self) -> dict[str, int]:
        """Modality to the length of what a network is fed."""
        return {name: value.shape[-1] for name, value in self.values.items()}

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
        """Balanced triples: rows of every modality, and int64 [count] labels."""
        labels = np.arange(count, dtype=np.int64) % len(LABELS)
        rows = {}
        for name in MODALITIES:
            chosen = np.zeros(count, np.int64)
            for label, own in enumerate(self._by_label[name]):
                places = labels == label
                chosen[places] = rng.choice(own, int(places.sum()))
            rows[name] = chosen
        return rows, labels

    def inputs(self, rows: Rows, mask: Tensor) -> list[Tensor]:
        """What a network is called with."""
        picked = {name: torch.from_numpy(rows[name]) for name in MODALITIES}
        found = [*(self.values[name][picked[name]] for name in MODALITIES), mask]
        if self.sequence:
            found.append(torch.stack([self.lengths[n][picked[n]] for n in MODALITIES], 1))
        return found

    def spread(self, modality: str) -> tuple[Tensor, Tensor]:
        """Mean and deviation [D] of a modality over its rows and their steps."""
        values = self.values[modality].numpy()
        if self.sequence:
            steps = np.arange(values.shape[1]) < self.lengths[modality].numpy()[:, None]
            values = values[steps]
        deviation = values.std(axis=0)
        # A unit that hardly ever moves must not have its noise blown up.
        deviation = np.maximum(deviation, 0.1 * deviation.mean())
        return torch.from_numpy(values.mean(axis=0)), torch.from_numpy(deviation)


def _vectors(modality: str, steps: Steps) -> FloatArray:
    """What a live head reads: mean and deviation over time; of an utterance its one embedding."""
    return steps.values[:, 0] if modality == "text" else steps.statistics()


@dataclass(frozen=True)
class FittedHead:
    """A trained head, of its best epoch, in evaluation mode.

    Attributes:
        net: the network.
        best_epoch: from 1.
        val_uar: that chose it.
        temperature: of the scores with every modality there, found on the validation part.
        train_s: seconds of training.
    """

    net: nn.Module
    best_epoch: int
    val_uar: float
    temperature: float
    train_s: float


def parameter_count(net: nn.Module) -> int:
    """Trained numbers in a network."""
    return sum(one.numel() for one in net.parameters())


def fit_compact(
    name: str,
    reads: Reads,
    train: Pool,
    val: Pool,
    recipe: FusionRecipe,
    *,
    auxiliary: Callable[[nn.Module, int], Auxiliary] | None = None,
) -> FittedHead:
    """Trains one head; deterministic for a seed and a thread count.

    Args:
        name: of the registry.
        reads: what it is fed.
        train: what it learns from.
        val: what chooses the epoch and the temperatures.
        recipe: the shipped head's; ``gated_dim`` and ``smoothing`` are the networks' own.
        auxiliary: makes a further loss from the network and the seed.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    net: Any = kind_of(name).builder(reads)(train.sizes, recipe.dropout)
    noise = []
    for modality in MODALITIES:
        shift, deviation = train.spread(modality)
        net.set_standardisation(modality, shift, 1.0 / deviation)
        noise.append(recipe.noise * deviation)
    beside = None if auxiliary is None else auxiliary(net, recipe.seed)
    trained = [*net.parameters(), *([] if beside is None else beside.parameters())]
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=recipe.weight_decay)
    batches = max(1, recipe.triples // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * batches)
    held, truth = val.draw(_VAL_TRIPLES, np.random.default_rng(recipe.seed))
    best, best_epoch, state = -1.0, 0, copy.deepcopy(net.state_dict())
    started_s = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1):
        net.train()
        for _ in range(batches):
            rows, labels = train.draw(recipe.batch, rng)
            inputs = train.inputs(rows, _masks(recipe.batch, rng))
            for place, spread in enumerate(noise):
                inputs[place] = inputs[place] + spread * torch.randn(inputs[place].shape)
            wanted = torch.from_numpy(labels)
            loss = net.loss(net(*inputs), wanted)
            if beside is not None:
                loss = loss + beside(inputs, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        scores = compact_scores(net, val, held)
        uar = unweighted_average_recall(truth, scores.argmax(axis=1))
        if uar > best:
            best, best_epoch, state = uar, epoch, copy.deepcopy(net.state_dict())
    train_s = time.perf_counter() - started_s
    net.load_state_dict(state)
    temperature = find_temperature(compact_scores(net, val, held), truth)
    return FittedHead(net.eval(), best_epoch, best, temperature, train_s)


def subset_temperatures(net: nn.Module, val: Pool, seed: int) -> dict[str, float]:
    """The temperature of every subset of the modalities, by its name, as a live head needs them."""
    held, truth = val.draw(_VAL_TRIPLES, np.random.default_rng(seed))
    return {
        subset_name(subset): round(
            find_temperature(compact_scores(net, val, held, subset), truth), 4
        )
        for subset in SUBSETS
    }


def _masks(count: int, rng: np.random.Generator) -> Tensor:
    """Every subset of the modalities equally often, float [count, 3]."""
    table = np.array([[name in subset for name in MODALITIES] for subset in SUBSETS], np.float32)
    return torch.from_numpy(table[rng.integers(0, len(SUBSETS), count)])


@torch.no_grad()
def compact_scores(
    net: nn.Module, pool: Pool, rows: Rows, subset: frozenset[str] = frozenset(MODALITIES)
) -> npt.NDArray[np.float64]:
    """Scores float64 [N, 7] of some rows with a subset of their modalities."""
    net.eval()
    count = len(rows[MODALITIES[0]])
    mask = torch.tensor([float(name in subset) for name in MODALITIES])
    found = []
    for first in range(0, count, _AT_ONCE):
        part = {name: rows[name][first : first + _AT_ONCE] for name in MODALITIES}
        size = len(part[MODALITIES[0]])
        found.append(net(*pool.inputs(part, mask.expand(size, 3))).numpy())
    return np.concatenate(found).astype(np.float64)


def call_ms(net: nn.Module, inputs: list[Tensor], calls: int = 100) -> float:
    """Median milliseconds of one call on one thread.

    Args:
        net: in evaluation mode.
        inputs: what it is called with, one row.
        calls: how many are timed.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    try:
        with torch.no_grad():
            net(*inputs)
            for _ in range(calls):
                started_s = time.perf_counter()
                net(*inputs)
                times.append(time.perf_counter() - started_s)
    finally:
        torch.set_num_threads(before)
    return 1000.0 * float(np.median(times))


def export_compact(net: nn.Module, sizes: Mapping[str, int], path: Path) -> None:
    """Writes the ONNX file of a head on vectors, as ``head.OnnxFusionHead`` reads it.

    Raises:
        ModelError: the exporter fixed the number of rows, so that no live session could call it.
    """
    rows = torch.export.Dim("N", min=1, max=64)
    with warnings.catch_warnings():
        # The exporter warns about its own internals and about equal axis names.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (*(torch.zeros(3, sizes[name]) for name in MODALITIES), torch.ones(3, 3)),
            str(path),
            input_names=[*MODALITIES, "mask"],
            output_names=["logits"],
            dynamic_shapes=tuple({0: rows} for _ in range(4)),
            dynamo=True,
            opset_version=18,
            external_data=False,
            verbose=False,
        )
    strip_traces(path)
    rows_told = onnx_session(path).get_inputs()[0].shape[0]
    if isinstance(rows_told, int):
        path.unlink()
        raise ModelError(
            f"{path}: the exported network reads exactly {rows_told} rows; its code must not take "
            "len() of a batch (shape[0] stays open)"
        )


def save_compact(
    folder: Path,
    name: str,
    fitted: FittedHead,
    val: Pool,
    models_dir: Path,
    *,
    recipe: FusionRecipe,
    metrics: Mapping[str, Any],
    split: str,
) -> Card:
    """Writes a head on vectors as a model folder that ``live --head`` opens.

    Args:
        folder: made if it is not there.
        name: of the registry.
        fitted: the head.
        val: what chose its epoch, and now its temperatures.
        models_dir: folder of the encoders it was trained on.
        recipe: how.
        metrics: for the card, see the shipped cards.
        split: what it was trained, chosen and scored on, in words.

    Raises:
        ModelError: the network cannot be exported for live use, or an encoder is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    export_compact(fitted.net, val.sizes, folder / "model.onnx")
    kinds = {"face": "face", "audio": "speech", "text": "text"}
    cards = {one: load_card(models_dir / f"compact-{kinds[one]}") for one in MODALITIES}
    return write_card(
        folder,
        {
            "id": f"compact-fusion-{name}-{recipe.seed}",
            "kind": "fusion",
            "file": "model.onnx",
            "licence": "research use only (FER+, RAVDESS CC BY-NC-SA 4.0, EMO-DB, GoEmotions, "
            "MELD)",
            "architecture": name,
            "encoders": {one: card.id for one, card in cards.items()},
            "encoder_sha256": {one: card.sha256 for one, card in cards.items()},
            "labels": list(LABELS),
            "label_map": {label: [label] for label in LABELS},
            "input": {
                **{one: f"float32 [N, {size}]" for one, size in val.sizes.items()},
                "mask": "float32 [N, 3], 1 where face, audio, text is available",
            },
            "training": {
                "data": "embeddings the encoders never saw, label-matched across corpora: not real "
                "multimodal clips",
                "split": split,
                "best_epoch": fitted.best_epoch,
                "epochs": recipe.epochs,
                "seed": recipe.seed,
                "command": "realtime-er evaluate compare --save DIR",
            },
            "temperatures": subset_temperatures(fitted.net, val, recipe.seed),
            "headline": [f"{ALL}.uar"],
            "metrics": dict(metrics),
            "prior": {label: 1.0 / len(LABELS) for label in LABELS},
            "prior_note": "uniform: triples are drawn balanced",
        },
    )
