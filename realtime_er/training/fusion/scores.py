"""What a fusion head says under each subset of the modalities, and figures on it.

Every label counts the same in all figures (the head's prior is uniform), so rows have weights:
accuracy is then the unweighted average recall. Rows of one modality are all that there are; rows of
several are label-matched triples. Intervals draw clips again within each label; a row counts as
often as all its clips were drawn.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError
from realtime_er.fusion.head import SUBSETS, softmax, subset_name
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.calibration import Floats
from realtime_er.training.fusion.sources import Source, draw_triples

FILE = "folds.npz"
DRAWS = 200
_KEPT_SHARE = 0.7

Run = Callable[[Mapping[str, FloatArray], frozenset[str]], npt.NDArray[np.floating]]
"""Vectors by modality, [N, D] each, and a subset to logits [N, 7]."""


@dataclass(frozen=True)
class Answers:
    """What a head says under one subset.

    Attributes:
        logits: float32 [N, 7].
        labels: int64 [N].
        clips: modality of the subset to int64 [N], the number of the clip in each row.
    """

    logits: FloatArray
    labels: npt.NDArray[np.int64]
    clips: dict[str, npt.NDArray[np.int64]]

    def probabilities(self, temperature: float = 1.0) -> Floats:
        """float64 [N, 7]."""
        return softmax(self.logits.astype(np.float64) / temperature).astype(np.float64)


def ask(run: Run, sources: Mapping[str, Source], triples: int, seed: int) -> dict[str, Answers]:
    """A head's answers under all seven subsets, by the subset's name."""
    rows, labels = draw_triples(sources, triples, np.random.default_rng(seed))
    drawn = {name: sources[name].vectors[rows[name]] for name in MODALITIES}
    found = {}
    for subset in SUBSETS:
        if len(subset) == 1:
            (only,) = subset
            source = sources[only]
            # What is absent is never read; it only has to have the right shape.
            vectors = {
                name: np.zeros((len(source.labels), sources[name].vectors.shape[1]), np.float32)
                for name in MODALITIES
            } | {only: source.vectors}
            own, clips = source.labels, {only: source.clips}
        else:
            vectors, own = drawn, labels
            clips = {name: sources[name].clips[rows[name]] for name in sorted(subset)}
        logits = np.asarray(run(vectors, subset), np.float32)
        found[subset_name(subset)] = Answers(logits, own, clips)
    return found


def joined(parts: Sequence[Mapping[str, Answers]]) -> dict[str, Answers]:
    """Answers of several heads to clips of their own as one."""
    found = {}
    for name in parts[0]:
        each = [part[name] for part in parts]
        found[name] = Answers(
            np.concatenate([one.logits for one in each]),
            np.concatenate([one.labels for one in each]),
            {key: np.concatenate([one.clips[key] for one in each]) for key in each[0].clips},
        )
    return found


def even_weights(
    labels: npt.NDArray[np.int64], counts: npt.NDArray[np.floating] | None = None
) -> Floats:
    """float64 [N] of sum 1 in which every label that occurs has the same share.

    Args:
        labels: int64 [N].
        counts: how often each row counts; None for once.
    """
    own = np.ones(len(labels)) if counts is None else counts.astype(np.float64)
    totals = np.bincount(labels, own, len(LABELS))
    weights = own / np.where(totals > 0.0, totals, 1.0)[labels]
    return np.asarray(weights / weights.sum(), np.float64)


def redraws(table: Mapping[str, Answers], seed: int) -> Iterator[dict[str, Floats]]:
    """Weights of every subset's rows, by its name, for clips drawn again; ``DRAWS`` times."""
    rng = np.random.default_rng(seed)
    singles = {name: table[name] for name in MODALITIES}
    known = {name: np.unique(one.clips[name]) for name, one in singles.items()}
    places = {
        (name, modality): np.searchsorted(known[modality], clips)
        for name, one in table.items()
        for modality, clips in one.clips.items()
    }
    groups = []
    for modality, one in singles.items():
        place = places[modality, modality]
        groups += [
            (modality, np.unique(place[one.labels == label])) for label in range(len(LABELS))
        ]
    for _ in range(DRAWS):
        counts = {modality: np.zeros(len(clips)) for modality, clips in known.items()}
        for modality, members in groups:
            if len(members):
                drawn = rng.integers(0, len(members), len(members))
                counts[modality][members] = np.bincount(drawn, minlength=len(members))
        yield {
            name: even_weights(
                one.labels,
                np.prod([counts[key][places[name, key]] for key in one.clips], axis=0),
            )
            for name, one in table.items()
        }


def weighted_accuracy(
    labels: npt.NDArray[np.int64], probabilities: Floats, weights: Floats
) -> float:
    """Share of the weight that is right; with even weights, the unweighted average recall."""
    return float(weights @ (probabilities.argmax(axis=1) == labels) / weights.sum())


def abstention_gain(labels: npt.NDArray[np.int64], probabilities: Floats, weights: Floats) -> float:
    """Accuracy on the surest 70 % of the weight, minus accuracy on all."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    kept = order[np.cumsum(weights[order]) <= _KEPT_SHARE * weights.sum() + 1e-9]
    kept = kept if len(kept) else order[:1]
    return weighted_accuracy(labels[kept], probabilities[kept], weights[kept]) - weighted_accuracy(
        labels, probabilities, weights
    )


def save_answers(path: Path, table: Mapping[str, Answers], head_sha256: str) -> None:
    """Writes calibrated answers as npz; they belong to the head with this hash."""
    columns: dict[str, npt.NDArray[np.generic]] = {"head": np.array(head_sha256)}
    for name, one in table.items():
        columns[f"{name}.logits"] = one.logits.astype(np.float16)
        columns[f"{name}.labels"] = one.labels.astype(np.int8)
        columns |= {f"{name}.{key}": clips.astype(np.int32) for key, clips in one.clips.items()}
    np.savez_compressed(path, **columns)  # type: ignore[arg-type]


def read_answers(path: Path, head_sha256: str) -> dict[str, Answers]:
    """Calibrated answers of all subsets, by the subset's name.

    Raises:
        CorpusError: the file is not there, is something else, or belongs to another head.
    """
    again = "make it with: realtime-er train fusion --data DIR --out MODELS"
    if not path.is_file():
        raise CorpusError(f"{path}: missing; {again}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            head = str(archive["head"])
            found = {
                subset_name(subset): Answers(
                    archive[f"{subset_name(subset)}.logits"].astype(np.float32),
                    archive[f"{subset_name(subset)}.labels"].astype(np.int64),
                    {
                        key: archive[f"{subset_name(subset)}.{key}"].astype(np.int64)
                        for key in sorted(subset)
                    },
                )
                for subset in SUBSETS
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: not what a fusion head said of its folds: {error}") from error
    if head != head_sha256:
        raise CorpusError(f"{path}: what another head said; {again}")
    return found
