"""The face encoder on FER+, as published and as other cameras would show the same faces."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.face import FaceEncoder
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import CorpusError, SpecMismatch
from realtime_er.fusion.head import softmax
from realtime_er.messages import LABELS
from realtime_er.perception.detectors import FaceDetector, HaarDetector
from realtime_er.perception.face import CropRule
from realtime_er.training.corpora.ferplus import (
    VOTE_NAMES,
    FaceSet,
    Split,
    read_ferplus,
    read_pictures,
)
from realtime_er.training.detector.holdouts import list_portraits, person_of
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import SEED, Goal, Report, add_recalls
from realtime_er.training.face.photographs import (
    LABEL_OF,
    portrait_crops,
    read_portrait_labels,
)
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    unweighted_average_recall,
)

_CHUNK = 256
_CLASSES_8 = VOTE_NAMES[:8]
Images = npt.NDArray[np.uint8]


def evaluate_face(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Measures the face encoder on ``ferplus/SPLIT.npz``.

    Raises:
        CorpusError: that part is not there, or nothing in it can be scored.
        WeightsMissing: the model is not there.
    """
    card = load_card(models_dir / "compact-face")
    report = Report.of("face", split, card)
    faces = read_ferplus(data_dir, cast("Split", split))
    probabilities = _probabilities(card, faces.images)
    truth, prediction = faces.leading(), probabilities.argmax(axis=1).astype(np.int64)
    agreed = faces.agreed
    if not agreed.any():
        raise CorpusError(f"FER+ {split}: no picture in which one label has most of the votes")
    on = f"FER+ {split}, majority"
    _add_scores(report, on, truth[agreed], prediction[agreed], goals=True)
    add_recalls(report, on, LABELS, truth[agreed], prediction[agreed], unit="faces")
    _add_scores(report, f"FER+ {split}, all", truth, prediction)
    new = _unseen(report, data_dir, faces)
    if new is not None:
        _add_scores(
            report, f"FER+ {split}, majority, no picture twice or in train",
            truth[agreed & new], prediction[agreed & new],
        )  # fmt: skip
        report.notes.append(
            f"{int((~new).sum())} of {len(new)} pictures stand in train too or repeat another one, "
            "pixel by pixel; the shipped encoder's training left those of valid out."
        )
    _add_eight(report, data_dir, cast("Split", split), card)
    _add_disturbed(report, faces, card, split)
    _add_portraits(report, data_dir, models_dir)
    taken = _time_ms(FaceEncoder(models_dir / "compact-face"), faces.images[0])
    report.add(
        "one face", "ms of compute, median", float(np.median(taken)), n=200, goal=Goal(3.0, False)
    )
    gap = expected_calibration_error(truth[agreed], probabilities[agreed])
    report.add(
        on, "expected calibration error", gap, n=int(agreed.sum()), note="before the fusion head's"
        " temperature; raw softmax"
    )  # fmt: skip
    stem = f"face-{split}"
    report.pictures.append(
        pictures.confusion(
            out_dir / f"{stem}-confusion.png", on, LABELS, truth[agreed], prediction[agreed]
        )
    )
    report.pictures.append(
        pictures.reliability(
            out_dir / f"{stem}-reliability.png",
            "face encoder",
            {on: (truth[agreed], probabilities[agreed])},
        )
    )
    return report


def _add_scores(
    report: Report,
    on: str,
    truth: npt.NDArray[np.int64],
    prediction: npt.NDArray[np.int64],
    *,
    goals: bool = False,
    unit: str = "faces",
    groups: npt.NDArray[np.str_] | None = None,
) -> None:
    report.measure(
        on, "accuracy", accuracy, truth, prediction, unit=unit, groups=groups,
        goal=Goal(0.87) if goals else None,
    )  # fmt: skip
    report.measure(
        on, "UAR", unweighted_average_recall, truth, prediction, unit=unit, groups=groups,
        goal=Goal(0.75) if goals else None,
    )  # fmt: skip


def _probabilities(card: Card, images: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Softmax over the project's seven, float64 [N, 7], for [N, 48, 48] grey levels."""
    session = onnx_session(card.path)
    found = []
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK, None].astype(np.float32)
        logits = session.run(["logits"], {"image": chunk})[0].astype(np.float64)
        found.append(card.to_project_labels(softmax(logits)))
    return np.concatenate(found).astype(np.float64)


def _unseen(report: Report, data_dir: Path, faces: FaceSet) -> npt.NDArray[np.bool_] | None:
    """Which pictures stand neither in train nor earlier in the same part; None without train."""
    try:
        images, _ = read_pictures(data_dir, "train")
    except CorpusError as error:
        report.notes.append(f"Nobody knows which of them stand in train: {error}.")
        return None
    seen = {image.tobytes() for image in images}
    fresh = np.zeros(len(faces), np.bool_)
    for index, image in enumerate(faces.images):
        pixels = image.tobytes()
        fresh[index] = pixels not in seen
        seen.add(pixels)
    return fresh


def _add_eight(report: Report, data_dir: Path, split: Split, card: Card) -> None:
    """The published protocol: eight classes, pictures in which one has more than half the votes."""
    images, given = read_pictures(data_dir, split)
    votes = given.astype(np.int64)
    lead = votes.argmax(axis=1)
    rows = (2 * votes.max(axis=1) > votes.sum(axis=1)) & (lead < len(_CLASSES_8))
    if not rows.any():
        return
    seven = _probabilities(card, images[rows]).argmax(axis=1)
    place = {LABELS.index(ours): _CLASSES_8.index(theirs) for theirs, ours in LABEL_OF.items()}
    prediction = np.array([place[int(one)] for one in seven], np.int64)
    contempt = int((lead[rows] == _CLASSES_8.index("contempt")).sum())
    on = f"FER+ {split}, 8 classes, majority"
    _add_scores(report, on, lead[rows].astype(np.int64), prediction)
    report.notes.append(
        f"{on}: the encoder has no contempt, so those {contempt} pictures always count as wrong."
    )


def _warped(images: Images, scale: float, turn_deg: float, shift_px: float) -> Images:
    """Each picture scaled, turned one way or the other and shifted somewhere, borders repeated."""
    rng = np.random.default_rng(SEED)
    out = np.empty_like(images)
    middle = (images.shape[2] - 1) / 2
    for index, image in enumerate(images):
        turn = turn_deg * float(rng.choice([-1.0, 1.0]))
        matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), turn, scale), np.float64)
        way = float(rng.uniform(0, 2 * np.pi))
        matrix[:, 2] += shift_px * np.array([np.cos(way), np.sin(way)])
        out[index] = cv2.warpAffine(
            image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
    return out


def _dark(images: Images) -> Images:
    noise = np.random.default_rng(SEED).normal(0.0, 2.0, images.shape)
    return np.clip(images * 0.2 + noise, 0, 255).astype(np.uint8)


def _coarse(images: Images) -> Images:
    out = np.empty_like(images)
    for index, image in enumerate(images):
        small = cv2.resize(image, (30, 30), interpolation=cv2.INTER_AREA)
        out[index] = cv2.resize(small, (image.shape[1], image.shape[0]))
    return out


def _coloured(images: Images) -> Images:
    """Through a colour camera: skin and light colour each picture, then grey as the pipeline does."""
    rng = np.random.default_rng(SEED)
    out = np.empty_like(images)
    levels = np.arange(256) / 255.0
    for index, image in enumerate(images):
        powers = np.array([1.25, 1.0, 0.8]) * np.exp(rng.normal(0.0, 0.15, 3))
        gains = np.exp(rng.normal(0.0, 0.12, 3))
        table = np.clip(levels[:, None] ** powers * gains * 255.0, 0, 255).astype(np.uint8)
        colour = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), table[None])
        out[index] = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    return out


DISTURBANCES: dict[str, Callable[[Images], Images]] = {
    "looser (face at 0.8)": lambda images: _warped(images, 0.8, 0.0, 0.0),
    "tighter (face at 1.2)": lambda images: _warped(images, 1.2, 0.0, 0.0),
    "shifted by 5 px of 48": lambda images: _warped(images, 1.0, 0.0, 5.0),
    "rotated by 15 degrees": lambda images: _warped(images, 1.0, 15.0, 0.0),
    "colour camera": _coloured,
    "dark (a fifth of the light, noise)": _dark,
    "30 px": _coarse,
}
"""What other cameras and detectors do to a crop; deterministic."""


def _add_disturbed(report: Report, faces: FaceSet, card: Card, split: str) -> None:
    truth = faces.leading()[faces.agreed]
    for name, change in DISTURBANCES.items():
        prediction = _probabilities(card, change(faces.images[faces.agreed])).argmax(axis=1)
        _add_scores(report, f"FER+ {split}, majority, {name}", truth, prediction.astype(np.int64))


def _add_portraits(report: Report, data_dir: Path, models_dir: Path) -> None:
    """Photographs through detector, crop and encoder; their labels are rough and very skewed."""
    from realtime_er.perception.detectors import CompactDetector

    labels = read_portrait_labels(data_dir)
    if not labels:
        report.notes.append("The portraits are not there: nothing on other cameras' photographs.")
        return
    try:
        paths = [path for path in list_portraits(data_dir, "test") if path.name in labels]
    except CorpusError as error:
        report.notes.append(f"Portraits not measured: {error}.")
        return
    encoder = FaceEncoder(models_dir / "compact-face")
    folder = models_dir / "compact-detector"
    detectors: list[FaceDetector] = [HaarDetector()]
    if (folder / "card.json").is_file():
        detectors.insert(0, CompactDetector(folder))
    for detector in detectors:
        try:
            rule = CropRule(*encoder.crop_rule(detector.name), encoder.size_px)
        except SpecMismatch as error:
            report.notes.append(f"Portraits with detector {detector.name!r} not measured: {error}.")
            continue
        try:
            kept, crops = portrait_crops(paths, detector, rule)
        except CorpusError as error:
            report.notes.append(f"Portraits not measured: {error}.")
            return
        if not kept:
            continue
        truth = np.array([labels[paths[index].name] for index in kept], np.int64)
        prediction = _probabilities(encoder.card, np.stack(crops)).argmax(axis=1)
        on = f"portraits of held-out people, rough labels, crops by {detector.name}"
        people = np.array([person_of(paths[index].stem) for index in kept])
        _add_scores(report, on, truth, prediction.astype(np.int64), unit="people", groups=people)


def _time_ms(encoder: FaceEncoder, image: Images) -> npt.NDArray[np.float64]:
    taken = []
    for _ in range(210):
        started_s = time.process_time()
        encoder.encode(image)
        taken.append(1000.0 * (time.process_time() - started_s))
    return np.array(taken[10:])
