"""Fits the temperatures of late fusion on held-out features and writes a folder that names them.

late.json   modality to temperature
card.json   encoders with hashes, figures with both kinds of weights, how it was made
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.errors import ConfigError, SpecMismatch
from realtime_er.fusion.late import (
    LateWeights,
    OwnHead,
    class_weights,
    label_columns,
    own_vector,
    weighted_mean,
)
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.corpora.label_schemes import LabelScheme
from realtime_er.training.features import Features, joint_encoders
from realtime_er.training.mer.data import Material
from realtime_er.training.mer.encoders import Encoders
from realtime_er.training.mer.scores import decide, interval, measure
from realtime_er.training.mer.train import split_parts

LATE_FILE = "late.json"
GRID = np.exp(np.linspace(np.log(0.2), np.log(5.0), 129))
"""Temperatures that are tried."""


def train_late(
    features: Sequence[Features],
    own_heads: Mapping[str, OwnHead],
    encoders: Mapping[str, Mapping[str, str]],
    scheme: LabelScheme,
    out_dir: Path,
    *,
    published_split: bool = False,
    resamples: int = 1000,
) -> Card:
    """Fits one temperature for each modality and scores the fusion with both kinds of weights.

    The encoders must not have seen the validation part in training, or they look surer than
    they are.

    Args:
        features: of one corpus or several, all of the same encoders.
        own_heads: modality to its encoder's own classifier.
        encoders: modality to "id" and "sha256" of those encoders.
        scheme: labels; classes out of the seven, one a clip.
        out_dir: receives the files; made if it is not there.
        published_split: see ``mer.split_parts``.
        resamples: for the intervals.

    Returns:
        The card written.

    Raises:
        ConfigError: the labels are not of the seven, or a clip may have several.
        CorpusError: a part is empty, or a label is not in the map.
        SpecMismatch: the features are of other encoders.
    """
    if scheme.multi or not set(scheme.classes) <= set(LABELS):
        raise ConfigError(
            f"late fusion gives one of {', '.join(LABELS)}; labels {scheme.name} are others, "
            "use --labels seven or a file"
        )
    described = joint_encoders(features)
    for name, one in described.items():
        given = encoders.get(name)
        if given is None or given["sha256"] != one["sha256"]:
            raise SpecMismatch(
                f"the features are of the {name} encoder {one['id']}, not of "
                f"{given['id'] if given else 'none'}; give --encoders that they were extracted with"
            )
    parts = split_parts(features, scheme, published_split=published_split)
    fitted = {
        name: _fit(name, own_heads[name], parts.val, scheme)
        for column, name in enumerate(MODALITIES)
        if name in described and parts.val.mask[:, column].any()
    }
    temperatures = {name: one["temperature"] for name, one in fitted.items()}
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / LATE_FILE).write_text(
        json.dumps({"temperatures": temperatures}, indent=2) + "\n", encoding="utf-8"
    )
    metrics: dict[str, Any] = {}
    for split, material in (("val", parts.val), ("test", parts.test)):
        if material is None:
            continue
        for kind in get_args(LateWeights):
            scores = _scores(own_heads, temperatures, material, scheme, kind)
            metrics |= _figures(f"{split}.{kind}", scores, material, resamples)
    corpora = sorted({one.corpus for one in features})
    return write_card(
        out_dir,
        {
            "id": f"late-{'+'.join(corpora)}",
            "kind": "fusion",
            "file": LATE_FILE,
            "licence": "research use only: as the corpora it was fitted on",
            "architecture": "late",
            "encoders": {name: described[name]["id"] for name in fitted},
            "encoder_sha256": {name: described[name]["sha256"] for name in fitted},
            "labels": list(LABELS),
            "label_map": {label: [label] for label in LABELS},
            "calibration": fitted,
            "training": {
                "data": ", ".join(corpora),
                "labels": {name: dict(scheme.maps.get(name, {})) for name in corpora},
                "clips": {"val": len(parts.val), "test": len(parts.test or ())},
                "command": "realtime-er train late",
            },
            "headline": [
                f"{'val' if parts.test is None else 'test'}.{kind}.UAR"
                for kind in get_args(LateWeights)
            ],
            "metrics": metrics,
        },
    )


def own_heads_of(encoders: Encoders) -> dict[str, OwnHead]:
    """Modality to the classifier that its encoder brings along."""
    found: dict[str, OwnHead] = {}
    for name in MODALITIES:
        encoder: Any = getattr(encoders, name)
        if encoder is not None:
            found[name] = encoder.own_head
    return found


def _own_columns(
    modality: str, head: OwnHead, material: Material, temperature: float
) -> FloatArray:
    """float32 [N, 7] of one modality's classifier; NaN where the modality is absent."""
    logits = head.logits(own_vector(modality, material.vectors[modality]))
    columns = label_columns(logits, head.labels, temperature)
    columns[material.mask[:, MODALITIES.index(modality)] == 0] = np.nan
    return columns


def _fit(modality: str, head: OwnHead, val: Material, scheme: LabelScheme) -> dict[str, float]:
    """The temperature with the least log loss on the clips whose label the classifier knows."""
    truth = np.array([LABELS.index(name) for name in scheme.classes])[val.classes]

    def loss(temperature: float) -> tuple[float, int]:
        told = _own_columns(modality, head, val, temperature)[np.arange(len(val)), truth]
        told = told[~np.isnan(told)].astype(np.float64)
        return float(-np.log(np.maximum(told, 1e-12)).mean()), len(told)

    losses = [loss(float(value))[0] for value in GRID]
    best = float(GRID[int(np.argmin(losses))])
    before, n = loss(1.0)
    return {
        "temperature": round(best, 4),
        "log_loss": round(min(losses), 4),
        "log_loss_before": round(before, 4),
        "n": n,
    }


def _scores(
    own_heads: Mapping[str, OwnHead],
    temperatures: Mapping[str, float],
    material: Material,
    scheme: LabelScheme,
    kind: LateWeights,
) -> FloatArray:
    """float32 [N, classes of the scheme]."""
    names = list(temperatures)
    values = np.stack(
        [_own_columns(name, own_heads[name], material, temperatures[name]) for name in names]
    )
    known = ~np.isnan(values).all(axis=(0, 1))
    prior = np.where(known, 1.0 / known.sum(), np.nan).astype(np.float32)
    weights = class_weights(kind)
    fused = weighted_mean(values, np.stack([weights[name] for name in names]), prior)
    columns = [LABELS.index(name) for name in scheme.classes]
    return np.nan_to_num(fused[:, columns], nan=-1.0)


def _figures(
    prefix: str, scores: FloatArray, material: Material, resamples: int
) -> dict[str, dict[str, Any]]:
    guess, truth = decide(scores, multi=False), material.targets
    found: dict[str, dict[str, Any]] = {}
    for name, value in measure(truth, guess, multi=False).items():
        ends = interval(name, truth, guess, material.groups, multi=False, resamples=resamples)
        found[f"{prefix}.{name}"] = {"value": round(value, 4), "n": len(material)}
        if ends is not None:
            found[f"{prefix}.{name}"]["interval_95"] = [round(end, 4) for end in ends]
    return found
