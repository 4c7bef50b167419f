"""The face detector on people, clips and photographs that neither taught nor decided anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime_er.encoders.bundle import load_card
from realtime_er.errors import CorpusError, WeightsMissing
from realtime_er.perception.detectors import (
    CompactDetector,
    FaceDetector,
    HaarDetector,
    YuNetDetector,
)
from realtime_er.training.detector.compose import composed
from realtime_er.training.detector.data import find_teacher, read_bank
from realtime_er.training.detector.holdouts import (
    CLIPS,
    EMPTY_CLIPS,
    PHOTOGRAPHS,
    Part,
    find_photographs,
)
from realtime_er.training.detector.measure import (
    Picture,
    compare,
    false_alarms,
    match,
    time_ms,
)
from realtime_er.training.detector.report import (
    agreement_metrics,
    empty_pictures,
    entry,
    held_out_frames,
    held_out_portraits,
)
from realtime_er.training.evaluate.report import SEED, Goal, Report

_SCENES = 400
_SIZES_PX = ((10, 20), (20, 40), (40, 80), (80, 160), (160, 400))
_GOALS = {
    "exactly_one_face": Goal(0.98),
    "median_iou": Goal(0.7),
    "median_landmark_distance": Goal(0.08, False),
}
_WORDS = {
    "exactly_one_face": "share with exactly one face",
    "median_iou": "median IoU",
    "median_landmark_distance": "median landmark distance, face widths",
    "landmarks_within_8_percent": "share of landmarks within 8 % of the face width",
}


def evaluate_detector(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Measures the shipped detector beside YuNet, its teacher, and Haar.

    Every split reads the same held-out part: the people of the dev part chose the threshold, and
    nothing of the detector's corpora is kept elsewhere. What of it is not there is noted.

    Raises:
        CorpusError: neither portraits nor clips beside ``data_dir`` are there, or YuNet, which the
            detector is compared with, is not.
        WeightsMissing: the model is not there.
    """
    del out_dir  # no picture: there are no classes to confuse
    part: Part = "test"
    folder = models_dir / "compact-detector"
    report = Report.of("detector", split, load_card(folder))
    clips = data_dir.resolve().parent / "clips"
    materials = _materials(report, data_dir, clips, part)
    try:
        teacher = find_teacher(data_dir)
    except WeightsMissing as error:
        raise CorpusError(f"nothing to compare the detector with: {error}") from error
    yunet = YuNetDetector(teacher)
    detectors: list[FaceDetector] = [CompactDetector(folder), HaarDetector()]
    for detector in detectors:
        goals = _GOALS if detector.name == "compact" else {}
        for on, pictures_of in materials.items():
            agreed = compare(detector, yunet, pictures_of())
            for name, figure in agreement_metrics(agreed, "", split, SEED).items():
                unit = "clips" if "clips" in on else "people"
                _add(report, f"{on}, {detector.name}", _WORDS[name], figure, goals.get(name), unit)
            if detector.name == "compact":
                report.notes.append(
                    f"{on}: {agreed.skipped} pictures left out, in which YuNet (320 px) sees no "
                    "face or several."
                )
    for detector in (*detectors, yunet):
        counts, groups = false_alarms(detector, empty_pictures(clips, yunet, SEED, part))
        if len(counts) == 0:
            break
        share = (counts > 0).astype(np.float64)
        goal = Goal(0.01, False) if detector.name == "compact" else None
        figure = entry(share, groups, "mean", split, SEED)
        _add(report, f"pictures without a face, {detector.name}", "share with a face", figure, goal,
             "clips and photographs")  # fmt: skip
        for group in np.unique(groups):
            rows = groups == group
            report.add(f"{group}, {detector.name}", "share with a face", float(share[rows].mean()),
                       n=int(rows.sum()), goal=goal if group in EMPTY_CLIPS[part] else None)  # fmt: skip
    _add_scenes(report, [*detectors, yunet], data_dir, clips, teacher, part)
    picture = next(iter(next(iter(materials.values()))()))
    _add_times(report, [*detectors, yunet], picture)
    return report


def _materials(
    report: Report, data_dir: Path, clips: Path, part: Part
) -> dict[str, Callable[[], Iterable[Picture]]]:
    """What faces are looked for in: the frames and the portraits, as far as they are there.

    Raises:
        CorpusError: neither is.
    """
    found: dict[str, Callable[[], Iterable[Picture]]] = {}
    absent: list[str] = []
    if any((clips / name).is_file() for name in CLIPS[part]):
        found["frames of held-out clips"] = lambda: held_out_frames(clips, part)
    lost = [one for one in (*CLIPS[part], *EMPTY_CLIPS[part]) if not (clips / one).is_file()]
    if lost:
        absent.append(f"{clips} has no {', '.join(lost)}")
    try:
        first = next(iter(held_out_portraits(data_dir, part)), None)
    except CorpusError as error:
        absent.append(str(error))
    else:
        if first is not None:
            found["portraits of held-out people"] = lambda: held_out_portraits(data_dir, part)
        else:
            absent.append("no portrait is of a held-out person")
    if not found:
        raise CorpusError("; ".join(absent))
    if len(find_photographs(part)) < len(PHOTOGRAPHS[part]):
        absent.append("photographs without a face of scikit-learn and scikit-image")
    report.notes += [f"Not measured: {one}." for one in absent]
    return found


def _add(
    report: Report, on: str, measure: str, figure: dict[str, Any], goal: Goal | None, unit: str
) -> None:
    low, high = figure["interval_95"]
    report.add(
        on, measure, figure["value"], n=figure["n"], interval=(low, high), goal=goal,
        unit=f"{figure['groups']} {unit}" if figure["groups"] > 1 else "pictures",
    )  # fmt: skip


def _add_scenes(
    report: Report,
    detectors: list[FaceDetector],
    data_dir: Path,
    clips: Path,
    teacher: Path,
    part: Part,
) -> None:
    """Composed pictures of held-out people: several faces, many sizes, clutter, bad light."""
    try:
        bank = read_bank(data_dir, clips, teacher, part)
    except CorpusError as error:
        report.notes.append(f"Composed pictures not measured: {error}.")
        return
    for detector in detectors:
        found = match(detector, composed(bank, _SCENES, SEED))
        on = f"composed pictures, {detector.name}"
        report.add(on, "share of faces found", float(found.hit.mean()), n=len(found.hit))
        alarms = float((found.alarms > 0).mean())
        report.add(on, "share of pictures with a false face", alarms, n=len(found.alarms))
        for low, high in _SIZES_PX:
            rows = (found.size_px >= low) & (found.size_px < high)
            if rows.any():
                share = float(found.hit[rows].mean())
                report.add(on, f"found, {low} to {high} px of 320", share, n=int(rows.sum()))
    report.notes.append(
        "Composed pictures are made like the training's, of other people: they flatter the compact "
        "detector beside the others."
    )


def _add_times(report: Report, detectors: list[FaceDetector], picture: Picture) -> None:
    image = np.asarray(cv2.resize(picture.image, (640, 480)), np.uint8)
    for detector in detectors:
        taken = time_ms(detector, image)
        goal = Goal(5.0, False) if detector.name == "compact" else None
        on = f"a frame of 640 x 480, one thread, {detector.name}"
        report.add(on, "ms, median", float(np.median(taken)), n=len(taken), goal=goal)
        report.add(on, "ms, 95th percentile", float(np.percentile(taken, 95)), n=len(taken))
