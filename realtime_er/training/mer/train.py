"""Trains the publication's fusion head on files of features and writes a folder that names them.

model.safetensors        the head, published names
face+audio.safetensors   and so on: heads of fewer modalities, where they were asked for
card.json                encoders with hashes, classes, figures, prior, how it was made
history.json             losses and figures of every epoch
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realtime_er.encoders.bundle import Card, load_card, sha256_of, write_card
from realtime_er.encoders.paper.checkpoints import write_state
from realtime_er.encoders.paper.own_labels import project_label
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.gated import GatedAttentionFusion, load_head, probabilities
from realtime_er.fusion.head import SUBSETS, subset_name
from realtime_er.messages import LABELS, MODALITIES
from realtime_er.training.corpora.label_schemes import SCHEMES, LabelScheme
from realtime_er.training.features import Features, joint_encoders, with_test_part
from realtime_er.training.mer.data import Material, gather
from realtime_er.training.mer.fit import (
    MerProgress,
    find_temperature,
    fit_head,
    head_logits,
)
from realtime_er.training.mer.recipe import MerRecipe
from realtime_er.training.mer.scores import THRESHOLD, class_recalls, decide, interval, measure
from realtime_er.training.mer.team import is_first

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class Parts:
    """Training, validation and test part of one corpus or several; test may be None."""

    train: Material
    val: Material
    test: Material | None

    def with_modalities(self, kept: Sequence[str]) -> Parts:
        """The same with the other modalities absent."""
        return Parts(
            self.train.with_modalities(kept),
            self.val.with_modalities(kept),
            None if self.test is None else self.test.with_modalities(kept),
        )


def split_parts(
    features: Sequence[Features],
    scheme: LabelScheme,
    modalities: Sequence[str] = MODALITIES,
    *,
    published_split: bool = False,
) -> Parts:
    """The three parts of corpora.

    Args:
        features: of the same encoders.
        scheme: classes and maps.
        modalities: those that are read.
        published_split: a corpus without a test part (AFEW) is scored on the part that also chose
            the epoch, as published; otherwise a tenth of its training groups chooses.

    Raises:
        CorpusError: a part is empty or a label is not in the map.
        SpecMismatch: the corpora were described by different encoders.
    """
    settled = list(features) if published_split else [with_test_part(one) for one in features]
    train, val = (gather(settled, scheme, split, modalities) for split in ("train", "val"))
    tested = [one if _has_test(one) else _scored_on_val(one) for one in settled]
    tested = [one for one in tested if _has_test(one)]
    test = gather(tested, scheme, "test", modalities) if tested else None
    return Parts(train, val, None if test is None else test.with_sizes(train.sizes()))


def _has_test(features: Features) -> bool:
    return bool((features.splits == "test").any())


def _scored_on_val(features: Features) -> Features:
    splits = np.where(features.splits == "val", "test", features.splits)
    return replace(features, splits=splits)


def score(
    net: GatedAttentionFusion, material: Material, *, multi: bool, resamples: int = 0
) -> dict[str, Any]:
    """Every figure of a head on some clips.

    Args:
        net: on the CPU, in evaluation mode.
        material: what to score.
        multi: whether a clip may have several classes.
        resamples: for 95 % intervals over speakers or dialogues; 0 for none.

    Returns:
        ``metrics`` (column to share of 1), ``interval_95`` (column to both ends), ``recalls`` (of
        every class, NaN where it never occurs), ``n``.
    """
    scores = head_logits(net, material)
    if multi:
        scores = probabilities(torch.from_numpy(scores), multi_label=True).numpy()
    guess, truth = decide(scores, multi=multi), material.targets
    metrics = measure(truth, guess, multi=multi)
    ends = {
        name: interval(name, truth, guess, material.groups, multi=multi, resamples=resamples)
        for name in metrics
    }
    return {
        "metrics": metrics,
        "interval_95": {name: found for name, found in ends.items() if found is not None},
        "recalls": class_recalls(truth, guess),
        "n": len(material),
    }


def train_mer(
    features: Sequence[Features],
    scheme: LabelScheme,
    recipe: MerRecipe,
    out_dir: Path,
    *,
    modalities: Sequence[str] = MODALITIES,
    device: str = "cpu",
    published_split: bool = False,
    progress: Callable[[MerProgress], None] | None = None,
    resamples: int = 1000,
) -> Card | None:
    """Trains, calibrates and scores a head, and writes its folder.

    Args:
        features: of one corpus or several, all of the same encoders.
        scheme: classes, and what the corpora's labels become.
        recipe: how.
        out_dir: receives the files; made if it is not there.
        modalities: those that are read.
        device: torch's name of where to run.
        published_split: see :func:`split_parts`.
        progress: called after every epoch.
        resamples: for the intervals.

    Returns:
        The card written; None in the processes of a team that write nothing.

    Raises:
        CorpusError: a part is empty, or a label is not in the map.
        SpecMismatch: the corpora were described by different encoders.
        ConfigError: the recipe contradicts the labels.
    """
    parts = split_parts(features, scheme, modalities, published_split=published_split)
    fitted = fit_head(
        parts.train, parts.val, recipe, multi=scheme.multi, device=device, progress=progress
    )
    heads: dict[str, str] = {}
    temperatures: dict[str, float] = {}
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, own in _subsets(parts, modalities):
        net = fitted.net
        if recipe.subset_heads:
            net = fit_head(own.train, own.val, recipe, multi=scheme.multi, device=device).net
            heads[name] = f"{name}.safetensors"
            if is_first():
                write_state(net, out_dir / heads[name])
        if len(own.val):
            temperatures[name] = find_temperature(
                head_logits(net, own.val), own.val.targets, multi=scheme.multi
            )
    if is_first():
        write_state(fitted.net, out_dir / MODEL_FILE)
        history = [_plain(epoch) for epoch in fitted.history]
        (out_dir / "history.json").write_text(json.dumps(history, indent=1) + "\n", "utf-8")
        names = {"encoders": joint_encoders(features), "modalities": list(modalities)}
        card = _card(parts, scheme, recipe, resamples, fitted.net, fitted.best_epoch, names)
        card["temperatures"] = temperatures
        card["training"]["split"] = _told_split(features, published_split=published_split)
        if heads:
            card["subset_heads"] = {
                name: {"file": file, "sha256": sha256_of(out_dir / file)}
                for name, file in heads.items()
            }
        write_card(out_dir, card)
        return load_mer(out_dir)[1]
    return None


def load_mer(
    folder: Path, encoders: dict[str, str] | None = None
) -> tuple[GatedAttentionFusion, Card]:
    """A trained head and its card.

    Args:
        folder: what ``train_mer`` wrote.
        encoders: modality to sha256 of the encoders in use, which must be those it learned from.

    Raises:
        WeightsMissing: a file is not there.
        SpecMismatch: the files contradict each other, or the encoders are others.
    """
    card = load_card(folder)
    known = card.raw.get("encoder_sha256", {})
    for modality, sha256 in (encoders or {}).items():
        if known.get(modality) != sha256:
            trained = card.raw.get("encoders", {}).get(modality, "none")
            raise SpecMismatch(
                f"{folder}: trained with the {modality} encoder {trained}, not with the one in use "
                f"({sha256[:12]}); use that encoder, or train a head for this one"
            )
    return load_head(card.path, gate=card.raw.get("gate", "softmax")), card


def _subsets(parts: Parts, modalities: Sequence[str]) -> list[tuple[str, Parts]]:
    """Every smaller subset of the modalities that the training part has."""
    there = [
        name
        for column, name in enumerate(MODALITIES)
        if name in modalities and parts.train.mask[:, column].any()
    ]
    smaller = [subset for subset in SUBSETS if subset < set(there)]
    return [(subset_name(subset), parts.with_modalities(tuple(subset))) for subset in smaller]


def _card(
    parts: Parts,
    scheme: LabelScheme,
    recipe: MerRecipe,
    resamples: int,
    net: GatedAttentionFusion,
    best_epoch: int,
    names: dict[str, Any],
) -> dict[str, Any]:
    counts = parts.train.targets.mean(axis=0)
    balanced = recipe.class_weights and not scheme.multi
    prior = np.full(len(counts), 1.0 / len(counts)) if balanced else counts
    own = {label: [c for c in scheme.classes if project_label(c) == label] for label in LABELS}
    corpora = sorted(set(parts.train.corpora.tolist()))
    metrics: dict[str, Any] = {}
    for split, material in (("val", parts.val), ("test", parts.test)):
        if material is None:
            continue
        found = score(net, material, multi=scheme.multi, resamples=resamples)
        for name, value in found["metrics"].items():
            metrics[f"{split}.{name}"] = _plain(
                {"value": round(value, 4), "n": found["n"], "split": split, "seed": recipe.seed}
            )
            if name in found["interval_95"]:
                ends = [round(end, 4) for end in found["interval_95"][name]]
                metrics[f"{split}.{name}"]["interval_95"] = ends
        recalls = dict(zip(scheme.classes, found["recalls"], strict=True))
        metrics[f"{split}.recalls"] = _plain({k: round(v, 4) for k, v in recalls.items()})
    criterion = recipe.criterion(multi=scheme.multi)
    return {
        "id": f"mer-{'+'.join(corpora)}-{scheme.name}-{recipe.seed}",
        "kind": "fusion",
        "file": MODEL_FILE,
        "licence": "research use only: as the corpora it was trained on",
        "architecture": "gated",
        "gate": recipe.gate,
        "encoders": {name: one["id"] for name, one in names["encoders"].items()},
        "encoder_sha256": {name: one["sha256"] for name, one in names["encoders"].items()},
        "labels": list(scheme.classes),
        "label_map": own,
        "multi_label": scheme.multi,
        "threshold": THRESHOLD if scheme.multi else None,
        "embedding_dim": recipe.gated_dim,
        "input": {
            **{name: f"float32 [N, {size}]" for name, size in parts.train.sizes().items()},
            "mask": "float32 [N, 3], 1 where face, audio, text is available",
        },
        "modalities": names["modalities"],
        "temperature": find_temperature(
            head_logits(net, parts.val), parts.val.targets, multi=scheme.multi
        ),
        "prior": dict(zip(scheme.classes, [round(float(p), 6) for p in prior], strict=True)),
        "prior_note": "uniform: the loss is balanced" if balanced else "frequencies in training",
        "training": {
            "data": ", ".join(corpora),
            "recipe": asdict(recipe),
            "labels": {name: dict(scheme.maps.get(name, {})) for name in corpora},
            "best_epoch": best_epoch,
            "selected_by": f"val {criterion}",
            "clips": {
                "train": len(parts.train),
                "val": len(parts.val),
                "test": 0 if parts.test is None else len(parts.test),
            },
            "left_out": parts.train.left_out,
            "command": "realtime-er train mer",
        },
        "headline": [f"{'val' if parts.test is None else 'test'}.{criterion}"],
        "metrics": metrics,
    }


def _told_split(features: Sequence[Features], *, published_split: bool) -> str:
    lacking = [one.corpus for one in features if not _has_test(one)]
    if not lacking:
        return "official parts"
    if published_split:
        return f"{', '.join(lacking)}: the validation part chose the epoch and is the test part too"
    return f"{', '.join(lacking)}: val is the test part, a tenth of the training groups chose"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values for JSON, which has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def scheme_for(features: Sequence[Features]) -> LabelScheme:
    """The labels that the publication scores a corpus with: its own six, or the seven."""
    only = {one.corpus for one in features}
    usual = {"iemocap": "iemocap6", "mosei": "mosei6"}
    name = usual.get(next(iter(only)), "seven") if len(only) == 1 else "seven"
    return SCHEMES[name]
