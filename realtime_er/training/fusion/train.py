"""Trains the compact fusion head on label-matched triples, calibrates it, and says how well.

The published network (``fusion/gated.py``) with a sigmoid gate, 64 units, and an availability
mask, so that one small head serves all seven subsets of face, audio and text.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from realtime_er.encoders.bundle import Card, load_card, sha256_of, write_card
from realtime_er.fusion.gated import GatedAttentionFusion
from realtime_er.fusion.head import SUBSETS, subset_name
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.calibration import find_temperature
from realtime_er.training.fusion.scores import (
    FILE,
    Answers,
    ask,
    even_weights,
    joined,
    redraws,
    save_answers,
    weighted_accuracy,
)
from realtime_er.training.fusion.sources import (
    FACE_VIEWS,
    FOLDS,
    Folded,
    Source,
    draw_triples,
    read_sources,
)
from realtime_er.training.metrics import expected_calibration_error
from realtime_er.training.onnx_files import strip_traces
from realtime_er.training.progress import Course, Tell
from realtime_er.training.purpose import PEOPLE
from realtime_er.training.recipes import FusionRecipe

_SCORED_TRIPLES = 7 * 250
# New weights under the same seed get a new number: recordings name the head by its id.
_VERSION = 3
_WARNING = (
    "Triples are label-matched across corpora (a face, a voice and a text of the same label, from "
    "different people); they are not real multimodal clips. Fused scores say how well the head "
    "combines independent evidence, not how well it does on one person's real expression, where "
    "modalities disagree and err together; real use will be worse."
)


def _mask_rows(count: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Availability of each row: every subset equally often."""
    table = np.array([[name in subset for name in MODALITIES] for subset in SUBSETS], np.float32)
    return table[rng.integers(0, len(SUBSETS), count)]


def fit(
    sources: Mapping[str, Source],
    recipe: FusionRecipe,
    *,
    run: str = "",
    progress: Tell | None = None,
) -> GatedAttentionFusion:
    """Trains one head on the training part; deterministic. Returns it in evaluation mode."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    sizes = {name: sources[name].vectors.shape[1] for name in MODALITIES}
    net = GatedAttentionFusion(
        sizes["face"], sizes["audio"], sizes["text"], recipe.gated_dim, len(LABELS), recipe.dropout,
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
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    batches = max(1, recipe.triples // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * batches)
    course = Course(recipe.epochs, run=run, tell=progress)
    net.train()
    for _epoch in range(recipe.epochs):
        for _ in range(batches):
            rows, labels = draw_triples(sources, recipe.batch, rng)
            drawn = {name: sources[name].vectors[rows[name]] for name in MODALITIES}
            vectors = [
                torch.from_numpy(drawn[name])
                + recipe.noise * spread[name] * torch.randn(drawn[name].shape)
                for name in MODALITIES
            ]
            mask = torch.from_numpy(_mask_rows(recipe.batch, rng))
            logits = net(*vectors, mask)
            loss = functional.cross_entropy(
                logits, torch.from_numpy(labels), label_smoothing=recipe.smoothing
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            course.batch(float(loss.detach()), batches)
        course.epoch()
    return net.eval()


@torch.no_grad()
def logits_of(
    net: GatedAttentionFusion, vectors: Mapping[str, FloatArray], subset: frozenset[str]
) -> FloatArray:
    """Logits float32 [N, 7] of one subset of the modalities."""
    row = torch.tensor([float(name in subset) for name in MODALITIES])
    given = [torch.from_numpy(vectors[name]) for name in MODALITIES]
    found: FloatArray = net(*given, row.expand(len(given[0]), 3)).numpy()
    return found


def cross_fit(
    sources: Mapping[str, Folded],
    recipe: FusionRecipe,
    progress: Tell | None = None,
) -> tuple[dict[str, Answers], dict[str, float]]:
    """What heads say of the folds that they never saw, calibrated on the other folds.

    Returns:
        Answers by subset, calibrated, and the temperatures found on all folds together, which are
        those of a head trained on all of them.
    """
    parts = []
    for fold in range(FOLDS):
        net = fit(
            {name: one.without(fold) for name, one in sources.items()}, recipe,
            run=f"fold {fold + 1}", progress=progress,
        )  # fmt: skip
        apart = {name: one.of(fold) for name, one in sources.items()}
        parts.append(ask(partial(logits_of, net), apart, _SCORED_TRIPLES, recipe.seed + fold))
    calibrated = []
    for fold, part in enumerate(parts):
        found = temperatures(joined([one for number, one in enumerate(parts) if number != fold]))
        calibrated.append(
            {name: replace(one, logits=one.logits / found[name]) for name, one in part.items()}
        )
    return joined(calibrated), temperatures(joined(parts))


def temperatures(table: Mapping[str, Answers]) -> dict[str, float]:
    """The temperature of each subset under the uniform prior."""
    return {
        name: round(find_temperature(one.logits, one.labels, even_weights(one.labels)), 4)
        for name, one in table.items()
    }


def _scores(table: Mapping[str, Answers], seed: int) -> dict[str, Any]:
    """Figures of each subset for the card, with intervals over redrawn clips."""
    weights = {name: even_weights(one.labels) for name, one in table.items()}
    guesses = {name: one.probabilities() for name, one in table.items()}
    again: dict[str, list[float]] = {name: [] for name in table}
    for drawn in redraws(table, seed):
        for name, one in table.items():
            again[name].append(weighted_accuracy(one.labels, guesses[name], drawn[name]))
    metrics: dict[str, Any] = {}
    about = {"split": f"{FOLDS} folds, each told by a head that never saw it", "seed": seed}
    for name, one in table.items():
        value = weighted_accuracy(one.labels, guesses[name], weights[name])
        low, high = np.percentile(again[name], [2.5, 97.5])
        metrics[f"{name}.uar"] = {
            "value": round(value, 4),
            "interval_95": [round(float(low), 4), round(float(high), 4)],
            "n": len(one.labels),
            **about,
        }
        error = expected_calibration_error(one.labels, guesses[name], weights=weights[name])
        metrics[f"{name}.ece"] = {"value": round(error, 4), "n": len(one.labels), **about}
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
    recipe: FusionRecipe | None = None,
    *,
    threads: int = 1,
    progress: Tell | None = None,
    bundle: str = "compact",
) -> Card:
    """Trains, calibrates, scores and exports the fusion head; a few minutes on one core.

    Args:
        data_dir: Folder that holds the corpora.
        models_dir: Folder that holds the bundle's ``compact-face``, ``-speech`` and ``-text``.
        out_dir: Model folder to write ``model.onnx`` and ``card.json`` into.
        recipe: How; None for that of the shipped head.
        threads: Torch threads.
        progress: Told within every epoch, and after it.
        bundle: Prefix of the model folders.

    Returns:
        The card written.

    Raises:
        CorpusError: A corpus is absent.
        WeightsMissing: An encoder is absent.
    """
    torch.set_num_threads(threads)
    data_dir, models_dir, out_dir = Path(data_dir), Path(models_dir), Path(out_dir)
    how = recipe or FusionRecipe()
    sources = read_sources(data_dir, models_dir, bundle, how.seed)
    answers, found = cross_fit(sources, how, progress)
    whole = {name: one.source for name, one in sources.items()}
    net = fit(whole, how, run="shipped", progress=progress)
    out_dir.mkdir(parents=True, exist_ok=True)
    export(net, out_dir / "model.onnx")
    save_answers(out_dir / FILE, answers, sha256_of(out_dir / "model.onnx"))
    metrics = _scores(answers, how.seed)
    kinds = {"face": "face", "audio": "speech", "text": "text"}
    encoders = {name: load_card(models_dir / f"{bundle}-{kinds[name]}") for name in MODALITIES}
    counts = {
        name: {label: len(np.unique(one.clips[one.labels == index]))
               for index, label in enumerate(LABELS)}
        for name, one in whole.items()
    }  # fmt: skip
    return write_card(
        out_dir,
        {
            "id": f"{bundle}-fusion-{_VERSION}" + (f"-seed-{how.seed}" if how.seed != 1 else ""),
            "kind": "fusion",
            "file": "model.onnx",
            "licence": "research use only (FER+, RAVDESS CC BY-NC-SA 4.0, EMO-DB, GoEmotions, "
            "MELD)",
            "architecture": "gated",
            "encoders": {name: card.id for name, card in encoders.items()},
            "encoder_sha256": {name: card.sha256 for name, card in encoders.items()},
            "labels": list(LABELS),
            "label_map": {label: [label] for label in LABELS},
            "embedding_dim": how.gated_dim,
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
                "recipe": f"gated attention, sigmoid gate, {how.gated_dim} units, AdamW {how.rate}, "
                f"{how.epochs} epochs of {how.triples} balanced triples, every subset equally "
                f"often, dropout {how.dropout}, input noise {how.noise}, smoothing {how.smoothing}; face "
                f"statistics over up to {FACE_VIEWS} slightly changed views of one picture "
                "(imitates 1.5 s of video; a real face moves more)",
                "command": "realtime-er train fusion --data DIR --config config/train/fusion.toml",
                "seed": how.seed,
                "split": f"the shipped head has learned from all clips; figures and temperatures "
                f"are of {FOLDS} heads of the same recipe, each asked about the images, speakers, "
                "dialogues and comments that it never saw; each fold's figures with temperatures "
                "of the other folds",
                "clips": counts,
            },
            "not_for": "anything that depends on how face, voice and words of one person go together, "
            f"which was never measured; {PEOPLE}",
            "temperatures": found,
            "headline": ["face+audio+text.uar", "face+audio+text.ece"],
            "metrics": metrics,
            "superset_below_best_part": superset_shortfalls(metrics),
            "prior": {label: 1.0 / len(LABELS) for label in LABELS},
            "prior_note": "uniform: triples are drawn balanced, so probabilities are for seven "
            "equally likely emotions, not for the frequencies of any corpus",
        },
    )
