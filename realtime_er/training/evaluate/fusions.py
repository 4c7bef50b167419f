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
from realtime_er.fusion.head import SUBSETS, FusionInput, OnnxFusionHead, subset_name
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.calibration import Floats
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.chance import ECE_GOAL, add_chance
from realtime_er.training.evaluate.fusion_parts import test_part
from realtime_er.training.evaluate.report import SEED, Goal, Report
from realtime_er.training.fusion.scores import (
    DRAWS,
    FILE,
    Answers,
    abstention_gain,
    ask,
    even_weights,
    read_answers,
    redraws,
    weighted_accuracy,
)
from realtime_er.training.metrics import expected_calibration_error

TRIPLES = 7 * 1000
_WARNING = (
    "Rows with several modalities are triples matched by label across corpora, not real multimodal "
    "clips, and real use will be worse. Every label counts the same, as in the head's prior. "
    f"Intervals draw clips again within each label, {DRAWS} times."
)
_FOLDS = (
    "What heads of the shipped recipe said of folds that they never saw, with temperatures of the "
    "other folds; saved by the training, nothing is trained here. The shipped head has learned from "
    "all folds; --split test measures that head itself."
)


class Bench:
    """A head's calibrated answers on one part. One owning thread."""

    def __init__(self, data_dir: Path, split: str, models_dir: Path) -> None:
        self.folder = models_dir / "compact-fusion"
        self.card: Card = load_card(self.folder)
        self._session = onnx_session(self.card.path)
        self._temperature = {
            subset: float(self.card.raw["temperatures"][subset_name(subset)]) for subset in SUBSETS
        }
        if split == "test":
            self.table = self._of_test(data_dir, models_dir)
        else:
            self.table = read_answers(self.folder / FILE, self.card.sha256)
        self.guesses = {name: one.probabilities() for name, one in self.table.items()}
        self.weights = {name: even_weights(one.labels) for name, one in self.table.items()}

    def logits(self, vectors: Mapping[str, FloatArray], subset: frozenset[str]) -> FloatArray:
        """Calibrated float32 [N, 7] of some evidence under one subset."""
        mask = np.array([name in subset for name in MODALITIES], np.float32)
        feed = {name: vectors[name] for name in MODALITIES}
        feed["mask"] = np.repeat(mask[None], len(vectors["face"]), axis=0)
        found = np.asarray(self._session.run(["logits"], feed)[0], np.float32)
        return found / np.float32(self._temperature[subset])

    def sizes(self) -> dict[str, int]:
        """How many values a vector of each modality has."""
        shapes = {node.name: node.shape for node in self._session.get_inputs()}
        return {name: int(shapes[name][1]) for name in MODALITIES}

    def of(self, name: str) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        """Labels [N], probabilities [N, 7] and weights [N] under one subset."""
        return self.table[name].labels, self.guesses[name], self.weights[name]

    def _of_test(self, data_dir: Path, models_dir: Path) -> dict[str, Answers]:
        parts = test_part(data_dir, models_dir, SEED)
        for name, source in parts.items():
            absent = sorted(set(range(len(LABELS))) - set(source.labels.tolist()))
            if absent:
                lacking = ", ".join(LABELS[index] for index in absent)
                raise CorpusError(f"{data_dir}: the test part of {name} has no {lacking}")
        return ask(self.logits, parts, TRIPLES, SEED)


def evaluate_fusion(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Scores of all seven subsets, and whether more evidence is ever worse.

    Raises:
        CorpusError: a part is not there.
        WeightsMissing: a model is not there.
    """
    bench = Bench(data_dir, split, models_dir)
    report = _report("fusion", split, bench)
    uar = {name: weighted_accuracy(*bench.of(name)) for name in bench.table}
    again = [
        {name: weighted_accuracy(*bench.of(name)[:2], drawn[name]) for name in bench.table}
        for drawn in redraws(bench.table, SEED)
    ]
    for name, one in bench.table.items():
        interval = _interval([draw[name] for draw in again])
        report.add(name, "UAR", uar[name], n=len(one.labels), interval=interval, unit="clips")
    for subset in SUBSETS:
        parts = [subset_name(part) for part in SUBSETS if part < subset]
        if not parts:
            continue
        name = subset_name(subset)
        count = len(bench.table[name].labels)
        best = max(parts, key=lambda part: uar[part])
        low, high = _interval([draw[name] - draw[best] for draw in again])
        report.add(
            name, f"UAR above its best part ({best})", uar[name] - uar[best], n=count,
            interval=(low, high), unit="clips",
        )  # fmt: skip
        report.add(
            name, "upper end of that interval", high, goal=Goal(0.0),
            note="at least 0: the interval does not say that a part alone is better",
        )  # fmt: skip
    _add_absence(report, bench, models_dir)
    everything = subset_name(SUBSETS[-1])
    labels, guesses, _ = bench.of(everything)
    prediction = guesses.argmax(axis=1).astype(np.int64)
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
    rng = np.random.default_rng(SEED)

    def made_up() -> dict[str, FloatArray]:
        return {
            name: rng.normal(size=(70, size)).astype(np.float32)
            for name, size in bench.sizes().items()
        }

    vectors, stale = made_up(), made_up()
    gap, answers, asked = 0.0, 0, 0
    for row in range(70):
        for subset in SUBSETS:
            given: dict[str, Any] = {name: vectors[name][row] for name in subset}
            values = head.probabilities(FusionInput(**given))
            asked += 1
            own = values.get(subset)
            answers += int(own is not None and bool(np.isfinite(own).all()))
    for subset in SUBSETS[:-1]:
        other = {name: vectors[name] if name in subset else 10 * stale[name] for name in MODALITIES}
        change = bench.logits(vectors, subset) - bench.logits(other, subset)
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
    report = _report("calibration", split, bench)
    report.notes.append(
        "The interval of a calibration error is of redrawn clips, minus what redrawing adds to it "
        "(its mean minus the figure): a redrawn error is too high, since rows repeat. The error "
        "by chance alone is what a head that is never wrong about its confidence would show on as "
        "many clips with these weights: a clip of a rare label weighs as much as dozens of a common "
        "one; beside it stands how many of such heads would reach the goal. With each corpus's own "
        "frequencies instead, the probabilities are multiplied by them and made to sum to one, as "
        "anyone may who knows what to expect."
    )
    draws = list(redraws(bench.table, SEED))
    for name, one in bench.table.items():
        labels, guesses, weights = bench.of(name)
        error = expected_calibration_error(labels, guesses, weights=weights)
        again = np.array(
            [expected_calibration_error(labels, guesses, weights=draw[name]) for draw in draws]
        )
        low, high = np.percentile(again - (again.mean() - error), [2.5, 97.5])
        interval = (max(0.0, float(low)), float(high))
        report.add(name, "expected calibration error", error, n=len(labels), interval=interval,
                   unit="clips", goal=ECE_GOAL)  # fmt: skip
        if name in MODALITIES:
            clips = one.clips[name]
            add_chance(report, name, clips, guesses, weights)
            _add_own_frequencies(report, name, labels, guesses, clips)
    for name, one in bench.table.items():
        labels, guesses, weights = bench.of(name)
        gain = abstention_gain(labels, guesses, weights)
        interval = _interval([abstention_gain(labels, guesses, draw[name]) for draw in draws])
        report.add(name, "accuracy gained on the surest 70 %", gain, n=len(one.labels),
                   interval=interval, unit="clips", goal=Goal(0.05))  # fmt: skip
    panels = {name: bench.of(name)[:2] for name in bench.table}
    report.pictures.append(
        pictures.reliability(
            out_dir / f"calibration-{split}-reliability.png",
            "calibrated fusion head",
            panels,
            bench.weights,
        )
    )
    return report


def _add_own_frequencies(
    report: Report,
    name: str,
    labels: npt.NDArray[np.int64],
    guesses: Floats,
    clips: npt.NDArray[np.int64],
) -> None:
    """One modality with the frequencies of its corpora as the prior, every row the same weight."""
    expected = guesses * np.bincount(labels, minlength=len(LABELS))
    expected = expected / expected.sum(axis=1, keepdims=True)
    even = np.ones(len(labels))
    on = f"{name}, its corpora's frequencies"
    report.add(on, "expected calibration error", expected_calibration_error(labels, expected),
               n=len(labels), goal=ECE_GOAL)  # fmt: skip
    add_chance(report, on, clips, expected, even)


def _report(name: str, split: str, bench: Bench) -> Report:
    report = Report.of(name, split, bench.card)
    report.notes.append(_WARNING)
    if split != "test":
        report.notes.append(_FOLDS)
    return report


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
