"""The figures of the face detector's card, on what decided nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.perception.detectors import FaceDetector, YuNetDetector
from realtime_er.training.detector.holdouts import (
    CLIPS,
    EMPTY_CLIPS,
    Part,
    find_photographs,
    list_portraits,
    person_of,
    read_picture,
)
from realtime_er.training.detector.measure import (
    Agreement,
    Picture,
    compare,
    false_alarms,
    frames,
    portraits,
    time_ms,
    windows,
)
from realtime_er.training.metrics import bootstrap_interval

_WINDOWS_PER_PHOTOGRAPH = 60
_WINDOWS_PER_FRAME = 4
_WINDOW_FRAMES_EVERY = 10
Column = npt.NDArray[np.float64]


def held_out_portraits(data_dir: Path, part: Part = "test") -> Iterable[Picture]:
    """Portraits of people who taught nothing."""
    paths = list_portraits(data_dir, part)
    return portraits(paths, {path.stem: person_of(path.stem) for path in paths})


def held_out_frames(clips_dir: Path, part: Part = "test", every: int = 2) -> Iterable[Picture]:
    """Frames of clips that taught nothing; clips that are not there are left out."""
    for name in CLIPS[part]:
        yield from frames(clips_dir / name, every)


def empty_pictures(
    clips_dir: Path, reference: FaceDetector, seed: int, part: Part = "test"
) -> Iterable[Picture]:
    """Pictures without a face: clips without one, parts of photographs, parts of frames."""
    for name in EMPTY_CLIPS[part]:
        yield from frames(clips_dir / name)
    for path in find_photographs(part):
        yield from windows(read_picture(path), path.name, _WINDOWS_PER_PHOTOGRAPH, seed)
    for name in CLIPS[part]:
        for number, picture in enumerate(frames(clips_dir / name, _WINDOW_FRAMES_EVERY)):
            found = reference.detect(picture.image)
            if len(found) == 1:
                yield from windows(
                    picture.image, f"beside {name}", _WINDOWS_PER_FRAME, seed + number, found[0]
                )


def agreement_metrics(agreed: Agreement, prefix: str, split: str, seed: int) -> dict[str, Any]:
    """Share with exactly one face, median overlap, landmark distances; intervals by group."""
    found: dict[str, Any] = {}
    away: Column = agreed.points
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(away).all(axis=1))
    mean_away: Column = np.asarray(away.mean(axis=1), np.float64)
    near: Column = np.asarray((away <= 0.08).mean(axis=1), np.float64)
    every = np.ones(len(agreed.found), np.bool_)
    columns: list[tuple[str, Column, npt.NDArray[np.bool_], str]] = [
        ("exactly_one_face", agreed.one(), every, "mean"),
        ("median_iou", agreed.overlap, every, "median"),
        ("median_landmark_distance", mean_away, known, "median"),
        ("landmarks_within_8_percent", near, known, "mean"),
    ]
    for name, values, rows, how in columns:
        if not rows.any():
            continue
        found[prefix + name] = entry(values[rows], agreed.groups[rows], how, split, seed)
    return found


def entry(
    values: Column, groups: npt.NDArray[np.str_], how: str, split: str, seed: int
) -> dict[str, Any]:
    """One figure as cards have it; whole groups are drawn again for its interval."""

    def figure(_: Column, drawn: Column) -> float:
        return float(np.median(drawn) if how == "median" else np.mean(drawn))

    several = len(np.unique(groups)) > 1
    low, high = bootstrap_interval(
        figure, values, values, 500, seed, groups=groups if several else None
    )
    return {
        "value": round(figure(values, values), 4),
        "interval_95": [round(low, 4), round(high, 4)],
        "n": len(values),
        "groups": len(np.unique(groups)),
        "split": split,
        "seed": seed,
    }


def detector_metrics(
    detector: FaceDetector, data_dir: Path, clips_dir: Path, teacher: Path, seed: int
) -> dict[str, Any]:
    """All figures of the card."""
    reference = YuNetDetector(teacher)
    split = "against YuNet at 320 px where it sees one face; {}; interval resamples {}"
    people = split.format("portraits of held-out people", "people")
    clips = split.format("every second frame of held-out clips", "clips")
    metrics = agreement_metrics(
        compare(detector, reference, held_out_frames(clips_dir)), "", clips, seed
    )
    metrics |= agreement_metrics(
        compare(detector, reference, held_out_portraits(data_dir)), "portraits_", people, seed
    )
    counts, groups = false_alarms(detector, empty_pictures(clips_dir, reference, seed))
    metrics["pictures_with_a_false_face"] = entry(
        (counts > 0).astype(np.float64), groups, "mean",
        "a clip without a face, parts of held-out photographs and of frames beside the face; "
        "interval resamples clips and photographs", seed,
    )  # fmt: skip
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    taken = time_ms(detector, image)
    metrics["milliseconds_640x480"] = {
        "value": round(float(np.median(taken)), 2),
        "p95": round(float(np.percentile(taken, 95)), 2),
        "n": len(taken),
        "split": "noise picture, one thread, shrinking and decoding included",
        "seed": seed,
    }
    return metrics
