"""The fusion head under all seven subsets of face, voice and words, and how sure it is.

No corpus here has all three of one person at one moment, so triples are matched by label across
corpora, as in training: the figures say how independent evidence combines, not how well one
person's face, voice and words go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import CorpusError
from realtime_er.fusion.head import (
    SUBSETS,
    FusionInput,
    OnnxFusionHead,
    softmax,
    subset_name,
)
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.fusion_parts import test_part, valid_part
from realtime_er.training.evaluate.report import SEED, Goal, Report
from realtime_er.training.fusion_sources import Source, draw_triples
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    unweighted_average_recall,
)

TRIPLES = 7 * 500
_DRAWS = 200
_FEWER = 7 * 100
_KEPT_SHARE = 0.7
_WARNING = (
    "Triples are matched by label across corpora and balanced over the seven labels; they are not "
    "real multimodal clips, and real use will be worse. Intervals redraw clips within each label "
    f"and triples, {_DRAWS} times."
)
Table = dict[str, npt.NDArray[np.float64]]


class Bench:
    """A head and the data of one part. One owning thread."""

    def __init__(self, data_dir: Path, split: str, models_dir: Path) -> None:
        self.folder = models_dir / "compact-fusion"
        self.card: Card = load_card(self.folder)
        self.parts = (test_part if split == "test" else valid_part)(data_dir, models_dir, SEED)
        for name, source in self.parts.items():
            absent = sorted(set(range(len(LABELS))) - set(source.labels.tolist()))
            if absent:
                lacking = ", ".join(LABELS[index] for index in absent)
                raise CorpusError(f"{data_dir}: the {split} part of {name} has no {lacking}")
        self._session = onnx_session(self.card.path)
        self._temperature = {
            subset: float(self.card.raw["temperatures"][subset_name(subset)]) for subset in SUBSETS
        }

    def probabilities(self, drawn: Mapping[str, FloatArray]) -> Table:
        """Calibrated float64 [N, 7] of the same triples under each subset, by its name."""
        found = {}
        for subset in SUBSETS:
            mask = np.array([name in subset for name in MODALITIES], np.float32)
            feed = {name: drawn[name] for name in MODALITIES}
            feed["mask"] = np.repeat(mask[None], len(drawn["face"]), axis=0)
            logits = self._session.run(["logits"], feed)[0].astype(np.float64)
            found[subset_name(subset)] = softmax(logits / self._temperature[subset]).astype(
                np.float64
            )
        return found

    def drawn(
        self, count: int, seed: int, parts: Mapping[str, Source] | None = None
    ) -> tuple[Table, npt.NDArray[np.int64]]:
        """Probabilities by subset and labels of ``count`` triples."""
        sources = dict(self.parts if parts is None else parts)
        vectors, labels = draw_triples(sources, count, np.random.default_rng(seed))
        return self.probabilities(vectors), labels

    def redrawn(self) -> list[tuple[Table, npt.NDArray[np.int64]]]:
        """The same with clips drawn again, for intervals."""
        rng = np.random.default_rng(SEED)
        found = []
        for number in range(_DRAWS):
            again = {name: source.resampled(rng) for name, source in self.parts.items()}
            found.append(self.drawn(_FEWER, SEED + 1 + number, again))
        return found


def evaluate_fusion(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Scores of all seven subsets, and whether more evidence is ever worse.

    Raises:
        CorpusError: a part is not there.
        WeightsMissing: a model is not there.
    """
    bench = Bench(data_dir, split, models_dir)
    report = Report.of("fusion", split, bench.card)
    report.notes.append(_WARNING)
    table, labels = bench.drawn(TRIPLES, SEED)
    draws = bench.redrawn()
    uar = {name: _uar(values, labels) for name, values in table.items()}
    again = [{name: _uar(values, own) for name, values in one.items()} for one, own in draws]
    for name in table:
        interval = _interval([one[name] for one in again])
        report.add(name, "UAR", uar[name], n=TRIPLES, interval=interval, unit="clips")
    for subset in SUBSETS:
        parts = [subset_name(part) for part in SUBSETS if part < subset]
        if not parts:
            continue
        name = subset_name(subset)
        best = max(parts, key=lambda part: uar[part])
        low, high = _interval([one[name] - one[best] for one in again])
        report.add(
            name, f"UAR above its best part ({best})", uar[name] - uar[best], n=TRIPLES,
            interval=(low, high), unit="clips",
        )  # fmt: skip
        report.add(
            name, "upper end of that interval", high, goal=Goal(0.0),
            note="at least 0: the interval does not say that a part alone is better",
        )  # fmt: skip
    _add_absence(report, bench, models_dir)
    everything = subset_name(SUBSETS[-1])
    prediction = table[everything].argmax(axis=1).astype(np.int64)
    for index, label in enumerate(LABELS):
        # Triples share clips, so an interval over triples would be too narrow: none is given.
        share = float(np.mean(prediction[labels == index] == index))
        report.add(everything, f"recall {label}", share, n=int((labels == index).sum()))
    report.pictures.append(
        pictures.confusion(
            out_dir / f"fusion-{split}-confusion.png", everything, LABELS, labels, prediction
        )
    )
    return report


def _add_absence(report: Report, bench: Bench, models_dir: Path) -> None:
    """What is absent must not matter, whatever stands there; and every subset must answer."""
    encoders = {name: str(bench.card.raw["encoders"][name]) for name in MODALITIES}
    head = OnnxFusionHead(models_dir / "compact-fusion", encoders)
    vectors, _ = draw_triples(dict(bench.parts), 70, np.random.default_rng(SEED))
    rng = np.random.default_rng(SEED)
    gap, answers, asked = 0.0, 0, 0
    for row in range(70):
        for subset in SUBSETS:
            given: dict[str, Any] = {name: vectors[name][row] for name in subset}
            values = head.probabilities(FusionInput(**given))
            asked += 1
            own = values.get(subset)
            answers += int(own is not None and bool(np.isfinite(own).all()))
    for subset in SUBSETS[:-1]:
        stale = {
            name: vectors[name]
            if name in subset
            else rng.normal(0, 10, vectors[name].shape).astype(np.float32)
            for name in MODALITIES
        }
        name = subset_name(subset)
        change = bench.probabilities(vectors)[name] - bench.probabilities(stale)[name]
        gap = max(gap, float(np.abs(change).max()))
    report.add("each of the seven subsets", "share answered", answers / asked, n=asked,
               goal=Goal(1.0))  # fmt: skip
    report.add(
        "other values where a modality is absent", "largest change", gap, n=70 * 6,
        goal=Goal(1e-6, False),
    )  # fmt: skip


def evaluate_calibration(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Expected calibration error and the worth of abstaining, for each subset.

    Raises:
        CorpusError: a part is not there.
        WeightsMissing: a model is not there.
    """
    bench = Bench(data_dir, split, models_dir)
    report = Report.of("calibration", split, bench.card)
    report.notes.append(_WARNING)
    report.notes.append(
        "The interval of a calibration error is of redrawn clips, minus what redrawing adds to it "
        "(its mean minus the figure): a redrawn error is too high, since rows repeat."
    )
    table, labels = bench.drawn(TRIPLES, SEED)
    draws = bench.redrawn()
    for name, values in table.items():
        gap = expected_calibration_error(labels, values)
        again = np.array([expected_calibration_error(own, one[name]) for one, own in draws])
        low, high = np.percentile(again - (again.mean() - gap), [2.5, 97.5])
        interval = (max(0.0, float(low)), float(high))
        report.add(name, "expected calibration error", gap, n=TRIPLES, interval=interval,
                   unit="clips", goal=Goal(0.03, False))  # fmt: skip
    for name, values in table.items():
        gain = abstention_gain(labels, values)
        interval = _interval([abstention_gain(own, one[name]) for one, own in draws])
        report.add(name, "accuracy gained on the surest 70 %", gain, n=TRIPLES, interval=interval,
                   unit="clips", goal=Goal(0.05))  # fmt: skip
    panels = {name: (labels, values) for name, values in table.items()}
    report.pictures.append(
        pictures.reliability(
            out_dir / f"calibration-{split}-reliability.png", "calibrated fusion head", panels
        )
    )
    return report


def abstention_gain(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    """Accuracy on the 70 % of rows with the highest confidence, minus accuracy on all."""
    prediction = probabilities.argmax(axis=1)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    kept = order[: max(1, round(_KEPT_SHARE * len(labels)))]
    return accuracy(labels[kept], prediction[kept]) - accuracy(labels, prediction)


def _uar(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    return unweighted_average_recall(labels, values.argmax(axis=1))


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
