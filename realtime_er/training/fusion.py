"""Trains the compact fusion head on label-matched triples, calibrates it, and says how well.

The published network (``fusion/gated.py``) with a sigmoid gate, 64 units, and an availability
mask, so that one small head serves all seven subsets of face, audio and text.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from realtime_er.encoders.bundle import Card, load_card, write_card
from realtime_er.fusion.gated import GatedAttentionFusion
from realtime_er.fusion.head import SUBSETS, softmax, subset_name
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.fusion_sources import (
    CALIBRATION_SPEAKERS,
    FACE_VIEWS,
    TEST_SPEAKERS,
    Source,
    draw_triples,
    read_sources,
)
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    unweighted_average_recall,
)
from realtime_er.training.onnx_files import strip_traces

GATED_DIM = 64
EPOCHS = 20
_TRIPLES_PER_EPOCH = 7 * 600
_BATCH = 70
_RATE = 5e-4
_WEIGHT_DECAY = 0.02
_DROPOUT = 0.3
_NOISE = 0.2
_SMOOTHING = 0.05
_SCORED_TRIPLES = 7 * 500
_RESAMPLES = 200
_WARNING = (
    "Triples are label-matched across corpora (a face, a voice and a text of the same label, from "
    "different people); they are not real multimodal clips. Fused scores say how well the head "
    "combines independent evidence, not how well it does on one person's real expression, where "
    "modalities disagree and err together; real use will be worse."
)


@dataclass(frozen=True)
class FusionProgress:
    """State after one epoch: its number from 1, of how many, mean loss, seconds so far."""

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float


def _mask_rows(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Availability of each row: every subset equally often."""
    table = np.array([[name in subset for name in MODALITIES] for subset in SUBSETS], np.float32)
    return table[rng.integers(0, len(SUBSETS), count)]


def fit(
    sources: dict[str, Source],
    *,
    seed: int,
    epochs: int,
    progress: Callable[[FusionProgress], None] | None = None,
) -> GatedAttentionFusion:
    """Trains one head on the training part; deterministic. Returns it in evaluation mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sizes = {name: sources[name].vectors.shape[1] for name in MODALITIES}
    net = GatedAttentionFusion(
        sizes["face"], sizes["audio"], sizes["text"], GATED_DIM, len(LABELS), _DROPOUT,
        gate="sigmoid", standardise=True,
    )  # fmt: skip
    spread: dict[str, torch.Tensor] = {}
    for name in MODALITIES:
        values = sources[name].vectors
        deviation = values.std(axis=0)
        # A unit that hardly ever moves must not have its noise blown up.
        deviation = np.maximum(deviation, 0.1 * deviation.mean())
        net.set_standardisation(
            name, torch.from_numpy(values.mean(axis=0)), torch.from_numpy(1.0 / deviation)
        )
        spread[name] = torch.from_numpy(deviation)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_WEIGHT_DECAY)
    batches = _TRIPLES_PER_EPOCH // _BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    started_s = time.monotonic()
    net.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for _ in range(batches):
            drawn, labels = draw_triples(sources, _BATCH, rng)
            vectors = [
                torch.from_numpy(drawn[name])
                + _NOISE * spread[name] * torch.randn(drawn[name].shape)
                for name in MODALITIES
            ]
            mask = torch.from_numpy(_mask_rows(_BATCH, rng))
            logits = net(*vectors, mask)
            loss = functional.cross_entropy(
                logits, torch.from_numpy(labels), label_smoothing=_SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            progress(FusionProgress(epoch, epochs, total / batches, elapsed_s))
    return net.eval()


@torch.no_grad()
def subset_logits(
    net: GatedAttentionFusion, drawn: dict[str, FloatArray]
) -> dict[str, npt.NDArray[np.float64]]:
    """Logits float64 [N, 7] of the same triples under each subset, by the subset's name."""
    vectors = [torch.from_numpy(drawn[name]) for name in MODALITIES]
    found = {}
    for subset in SUBSETS:
        row = torch.tensor([float(name in subset) for name in MODALITIES])
        logits = net(*vectors, row.expand(len(vectors[0]), 3))
        found[subset_name(subset)] = logits.numpy().astype(np.float64)
    return found


def find_temperature(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """The divisor of the logits with the least negative log-likelihood, from 0.3 to 5."""
    grid = np.exp(np.linspace(np.log(0.3), np.log(5.0), 141))
    losses = []
    for divisor in grid:
        scaled = logits / divisor
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        losses.append(float((normaliser - scaled[np.arange(len(labels)), labels]).mean()))
    return float(grid[int(np.argmin(losses))])


def _scores(
    net: GatedAttentionFusion,
    test: dict[str, Source],
    temperatures: dict[str, float],
    seed: int,
) -> dict[str, Any]:
    """Scores of each subset on test triples, with intervals over redrawn clips and triples."""
    split = f"test parts: faces and texts of their own, speakers {', '.join(TEST_SPEAKERS)}"

    def once(sources: dict[str, Source], count: int, number: int) -> dict[str, float]:
        drawn, labels = draw_triples(sources, count, np.random.default_rng(number))
        values: dict[str, float] = {}
        for name, logits in subset_logits(net, drawn).items():
            prediction = logits.argmax(axis=1)
            values[f"{name}.uar"] = unweighted_average_recall(labels, prediction)
            values[f"{name}.accuracy"] = accuracy(labels, prediction)
            for when, divisor in (("before", 1.0), ("after", temperatures[name])):
                values[f"{name}.ece_{when}"] = expected_calibration_error(
                    labels, softmax(logits / divisor)
                )
        return values

    value = once(test, _SCORED_TRIPLES, seed)
    rng = np.random.default_rng(seed)
    redrawn = []
    for number in range(_RESAMPLES):
        again = {name: test[name].resampled(rng) for name in MODALITIES}
        redrawn.append(once(again, _SCORED_TRIPLES // 5, seed + 1 + number))
    metrics: dict[str, Any] = {}
    for name, score in value.items():
        low, high = np.percentile([one[name] for one in redrawn], [2.5, 97.5])
        metrics[name] = {
            "value": round(score, 4),
            "interval_95": [round(float(low), 4), round(float(high), 4)],
            "n": _SCORED_TRIPLES,
            "split": split,
            "seed": seed,
        }
        if ".ece" in name:
            # A redrawn ECE is biased upwards (fewer, repeated rows), so it bounds nothing.
            del metrics[name]["interval_95"]
    return metrics


def superset_shortfalls(metrics: dict[str, Any]) -> dict[str, float]:
    """Subsets whose UAR is below that of their best part, and by how much."""
    found = {}
    for subset in SUBSETS:
        parts = [part for part in SUBSETS if part < subset]
        if parts:
            best = max(metrics[f"{subset_name(part)}.uar"]["value"] for part in parts)
            gap = best - metrics[f"{subset_name(subset)}.uar"]["value"]
            if gap > 0:
                found[subset_name(subset)] = round(gap, 4)
    return found


def export(net: GatedAttentionFusion, path: Path) -> None:
    """Writes the ONNX file: "face", "audio", "text", "mask" [N, ...] to "logits" [N, 7]."""
    sizes = [layer.in_features for layer in (net.fc_video, net.fc_audio, net.fc_text)]
    rows = torch.export.Dim("N", min=1, max=64)
    with warnings.catch_warnings():
        # The exporter warns about its own internals and about equal axis names.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (*(torch.zeros(3, size) for size in sizes), torch.ones(3, 3)),
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


def train_fusion(
    data_dir: Path,
    models_dir: Path,
    out_dir: Path,
    *,
    seed: int = 1,
    epochs: int = EPOCHS,
    threads: int = 1,
    progress: Callable[[FusionProgress], None] | None = None,
    bundle: str = "compact",
) -> Card:
    """Trains, calibrates, scores and exports the fusion head; a few minutes on one core.

    Args:
        data_dir: Folder that holds the corpora.
        models_dir: Folder that holds the bundle's ``compact-face``, ``-speech`` and ``-text``.
        out_dir: Model folder to write ``model.onnx`` and ``card.json`` into.
        seed: Seed of everything random.
        epochs: Passes of fresh triples.
        threads: Torch threads.
        progress: Called after every epoch.
        bundle: Prefix of the model folders.

    Returns:
        The card written.

    Raises:
        CorpusError: A corpus is absent.
        WeightsMissing: An encoder is absent.
    """
    torch.set_num_threads(threads)
    data_dir, models_dir, out_dir = Path(data_dir), Path(models_dir), Path(out_dir)
    sources = read_sources(data_dir, models_dir, bundle, seed)
    net = fit(sources["train"], seed=seed, epochs=epochs, progress=progress)
    drawn, labels = draw_triples(
        sources["calibration"], _SCORED_TRIPLES, np.random.default_rng(seed)
    )
    temperatures = {
        name: round(find_temperature(logits, labels), 4)
        for name, logits in subset_logits(net, drawn).items()
    }
    metrics = _scores(net, sources["test"], temperatures, seed)
    out_dir.mkdir(parents=True, exist_ok=True)
    export(net, out_dir / "model.onnx")
    kinds = {"face": "face", "audio": "speech", "text": "text"}
    encoders = {name: load_card(models_dir / f"{bundle}-{kinds[name]}") for name in MODALITIES}
    counts = {
        part: {name: len(np.unique(source.clips)) for name, source in by_name.items()}
        for part, by_name in sources.items()
    }
    return write_card(
        out_dir,
        {
            "id": f"{bundle}-fusion-{seed}",
            "kind": "fusion",
            "file": "model.onnx",
            "licence": "research use only (FER+, RAVDESS CC BY-NC-SA 4.0, EMO-DB, GoEmotions, "
            "MELD)",
            "architecture": "gated",
            "encoders": {name: card.id for name, card in encoders.items()},
            "encoder_sha256": {name: card.sha256 for name, card in encoders.items()},
            "labels": list(LABELS),
            "label_map": {label: [label] for label in LABELS},
            "embedding_dim": GATED_DIM,
            "input": {
                "face": f"float32 [N, {net.fc_video.in_features}], mean and population std",
                "audio": f"float32 [N, {net.fc_audio.in_features}], mean and population std",
                "text": f"float32 [N, {net.fc_text.in_features}]",
                "mask": "float32 [N, 3], 1 where face, audio, text is available",
            },
            "training": {
                "data": "embeddings the encoders never saw: FER+ valid, held-out speakers of "
                "RAVDESS and EMO-DB, GoEmotions and MELD dev",
                "warning": _WARNING,
                "recipe": f"gated attention, sigmoid gate, {GATED_DIM} units, AdamW {_RATE}, "
                f"{epochs} epochs of {_TRIPLES_PER_EPOCH} balanced triples, every subset equally "
                f"often, dropout {_DROPOUT}, input noise {_NOISE}, smoothing {_SMOOTHING}; face "
                f"statistics over up to {FACE_VIEWS} slightly changed views of one picture "
                "(imitates 1.5 s of video; a real face moves more)",
                "command": "realtime-er train fusion --data DIR",
                "seed": seed,
                "split": "by image, speaker, dialogue and comment; calibration speakers "
                f"{', '.join(CALIBRATION_SPEAKERS)}, test speakers {', '.join(TEST_SPEAKERS)}",
                "clips": counts,
            },
            "temperatures": temperatures,
            "headline": ["face+audio+text.uar", "face+audio+text.ece_after"],
            "metrics": metrics,
            "superset_below_best_part": superset_shortfalls(metrics),
            "prior": {label: 1.0 / len(LABELS) for label in LABELS},
            "prior_note": "uniform: triples are drawn balanced, so probabilities are for seven "
            "equally likely emotions, not for the frequencies of any corpus",
        },
    )
