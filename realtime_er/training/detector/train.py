"""Trains the compact face detector, exports it, chooses its threshold and says how good it is.

YuNet teaches; what the student is worth is measured on people, clips and photographs that neither
taught nor decided anything (:mod:`realtime_er.training.detector.holdouts`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import ModelError
from realtime_er.perception.detectors import CompactDetector
from realtime_er.training.denormals import denormals_flushed
from realtime_er.training.detector.compose import composed
from realtime_er.training.detector.data import Bank, find_teacher, read_bank
from realtime_er.training.detector.fit import EPOCHS, REFINE_EPOCHS, fit
from realtime_er.training.detector.holdouts import CLIPS, EMPTY_CLIPS, PHOTOGRAPHS
from realtime_er.training.detector.light import drawn_room, strange
from realtime_er.training.detector.measure import Picture, false_alarms, match, windows
from realtime_er.training.detector.model import PAD_PX, Deployed, DetectorNet
from realtime_er.training.detector.report import detector_metrics
from realtime_er.training.onnx_files import strip_traces
from realtime_er.training.progress import Tell

_OPSET = 17
_TOLERANCE_PX = 0.05
_LONGEST_PX = 320
_LEAST_PX = 192
_MOST_OVERLAP = 0.5
_THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
_DEV_SCENES = 300
_ALARM_COST = 5.0


def train_detector(
    data_dir: str | Path,
    out_dir: str | Path,
    *,
    seed: int = 1,
    epochs: int = EPOCHS,
    threads: int = 1,
    progress: Tell | None = None,
    clips_dir: Path | None = None,
    teacher: Path | None = None,
) -> Card:
    """Trains, exports and measures the detector; about half an hour on one core.

    A run that was stopped goes on from ``checkpoint.pt`` in ``out_dir``; the loss of each epoch is in
    ``curves.csv`` there.

    Args:
        data_dir: the corpora's folder, which holds ``portraits/``.
        out_dir: receives ``model.onnx`` and ``card.json``; made if it is not there.
        seed: of weights and pictures.
        epochs: hundreds of batches of 24 composed pictures.
        threads: torch threads.
        progress: told within every epoch, and after it.
        clips_dir: the clips; None for ``clips`` beside ``data_dir``.
        teacher: YuNet's file; None for the configured one, else ``models`` beside ``data_dir``.

    Returns:
        The card written.

    Raises:
        CorpusError: portraits or clips are absent.
        WeightsMissing: the teacher is absent.
        ModelError: the exported graph does not compute what was trained.
        ValueError: ``epochs`` is below 1.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    data, folder = Path(data_dir), Path(out_dir)
    clips = data.resolve().parent / "clips" if clips_dir is None else clips_dir
    teacher_path = find_teacher(data) if teacher is None else teacher
    cv2.setNumThreads(1)
    bank = read_bank(data, clips, teacher_path, "train", folder / "cache")
    checkpoint = folder / "checkpoint.pt"
    with denormals_flushed():
        net = fit(
            bank,
            seed=seed,
            epochs=epochs,
            threads=threads,
            checkpoint=checkpoint,
            progress=progress,
            curves=folder / "curves.csv",
        )
    dev = read_bank(data, clips, teacher_path, "dev", folder / "cache")
    card = ship(net, dev, folder, data, clips, teacher_path, seed=seed, epochs=epochs)
    checkpoint.unlink(missing_ok=True)
    for left in (folder / "cache").glob("teacher-*.npz"):
        left.unlink()
    (folder / "cache").rmdir()
    return card


def ship(
    net: DetectorNet,
    dev: Bank,
    folder: Path,
    data_dir: Path,
    clips_dir: Path,
    teacher: Path,
    *,
    seed: int,
    epochs: int,
) -> Card:
    """Exports a network, chooses its threshold on ``dev``, measures it on ``test``, writes both."""
    folder.mkdir(parents=True, exist_ok=True)
    export(net, folder / "model.onnx")
    card = _card(folder, net, dev, seed=seed, epochs=epochs)
    card["decision"]["min_score"] = 0.5
    write_card(folder, card)
    card["decision"]["min_score"] = _threshold(folder, dev, seed)
    card["decision"]["chosen"] = (
        "the strictest threshold within 0.01 of the best on the dev part: share of portraits with "
        f"one face, plus share of composed faces found, minus {_ALARM_COST:g} times the share of "
        "pictures with a false face"
    )
    write_card(folder, card)
    card["metrics"] = detector_metrics(CompactDetector(folder), data_dir, clips_dir, teacher, seed)
    return write_card(folder, card)


def export(net: DetectorNet, path: Path) -> None:
    """Writes the ONNX file: "image" uint8 [H, W, 3] to "score", "box" and "points".

    Raises:
        ModelError: it does not compute what the network computes.
    """
    net = net.eval().to(memory_format=torch.contiguous_format)
    deployed = Deployed(net).eval()
    with warnings.catch_warnings():
        # The TorchScript exporter folds batch norms into one plain file, and says it is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            deployed,
            (torch.zeros(256, 320, 3, dtype=torch.uint8),),
            str(path),
            input_names=["image"],
            output_names=["score", "box", "points"],
            dynamic_axes={
                "image": {0: "height", 1: "width"},
                "score": {0: "rows", 1: "columns"},
                "box": {0: "rows", 1: "columns"},
                "points": {0: "rows", 1: "columns"},
            },
            opset_version=_OPSET,
            dynamo=False,
        )
    strip_traces(path)
    session = onnx_session(path)
    for shape in ((256, 320), (192, 128)):
        image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = deployed(torch.from_numpy(image))
        given = session.run(["score", "box", "points"], {"image": image})
        for name, ours, theirs in zip(("score", "box", "points"), expected, given, strict=True):
            # Boxes of cells without a face may be huge; a share of them is what counts.
            gap = np.abs(ours.numpy() - theirs) / (1.0 + 1e-3 * np.abs(theirs))
            if gap.max() > _TOLERANCE_PX:
                raise ModelError(f"{path}: exported {name} differs from the network's")


def _threshold(folder: Path, dev: Bank, seed: int) -> float:
    """What pays best on the dev part; of nearly equal thresholds the strictest."""
    worth = {}
    for min_score in _THRESHOLDS:
        detector = CompactDetector(folder, min_score=min_score)
        portraits = (dev.portrait(index).image for index in range(len(dev.portraits)))
        one = float(np.mean([len(detector.detect(image)) == 1 for image in portraits]))
        found = match(detector, composed(dev, _DEV_SCENES, seed + 1000))
        counts, _ = false_alarms(detector, _dev_rooms(dev, seed))
        alarms = float(np.mean(np.concatenate([counts, found.alarms]) > 0))
        worth[min_score] = one + float(found.hit.mean()) - _ALARM_COST * alarms
    best = max(worth.values())
    return max(one for one, value in worth.items() if value >= best - 0.01)


def _dev_rooms(dev: Bank, seed: int) -> Iterable[Picture]:
    for number, room in enumerate(dev.rooms):
        yield from windows(room, f"photograph {number}", 60, seed)
    rng = np.random.default_rng(seed)
    for _ in range(100):
        yield Picture(drawn_room(256, 320, rng), "drawn")
    parts = [one.image for room in dev.rooms for one in windows(room, "", 10, seed + 1)]
    for _ in range(100 if parts else 0):
        first, second = (parts[int(rng.integers(len(parts)))] for _ in range(2))
        other = np.asarray(cv2.resize(second, (first.shape[1], first.shape[0])), np.uint8)
        yield Picture(strange(first.copy(), other, rng), "made strange")


def _card(folder: Path, net: DetectorNet, dev: Bank, *, seed: int, epochs: int) -> dict[str, Any]:
    return {
        "id": f"compact-detector-{seed}",
        "kind": "detector",
        "file": "model.onnx",
        "licence": "weights for research use: portraits and clips are research use, the teacher "
        "YuNet (OpenCV Zoo) is MIT",
        "labels": [],
        "parameters": sum(one.numel() for one in net.parameters()),
        "input": {
            "image": "uint8 [H, W, 3] BGR, H and W multiples of multiple_px: shrunk or enlarged "
            "until the longer side is between least_px and longest_px, then padded below and on "
            "the right by repeating the border",
            "longest_px": _LONGEST_PX,
            "least_px": _LEAST_PX,
            "multiple_px": PAD_PX,
        },
        "outputs": {
            "score": "float32 [H/8, W/8], 0 but at local peaks",
            "box": "float32 [H/8, W/8, 4]: left, top, width, height, px",
            "points": "float32 [H/8, W/8, 10]: right eye, left eye, nose, right and left corner of "
            "the mouth, as the person has them; x and y in turn, px",
        },
        "decision": {"min_score": None, "most_overlap": _MOST_OVERLAP},
        "training": {
            "data": "portraits (muxspace facial_expressions) and frames of clips, labelled by "
            "YuNet (score >= 0.7, pictures with doubts left out), photographs without a face from "
            "scikit-learn and scikit-image, drawn backgrounds",
            "recipe": f"{epochs * 100} batches of 24 composed pictures: people cut out of clips, "
            "often with a portrait's face, portraits that fill the picture, several pasted faces "
            f"among pasted things, none; then {REFINE_EPOCHS * 100} batches of harder ones: faces "
            "of few pixels, stained or partly hidden, more and stranger rooms without a face; "
            "light, colour, blur, noise, compression; focal loss, overlap loss, landmark loss; "
            "AdamW with cosine decay, weight average",
            "command": "realtime-er train detector --data DIR --config config/train/detector.toml",
            "seed": seed,
            "selection": "the threshold on the dev part. The harder pictures were added after a "
            "first version without them had been measured on the held-out part (exactly one face "
            "in 0.987 of the clips' frames and 0.922 of the portraits, a false face in 0.152 of "
            "the pictures without one); tiny pictures are enlarged, and the threshold's rule was "
            "settled, after the second one had been (thresholds 0.45 and 0.55: 0.998 and 0.973 of "
            "the frames, false faces 0.098 and 0.039): the held-out figures are a little optimistic",
            "split": "by person, clip and photograph, named in training/detector/holdouts.py",
            "held_out_clips": [*CLIPS["test"], *EMPTY_CLIPS["test"]],
            "held_out_photographs": list(PHOTOGRAPHS["test"]),
        },
        "limits": "One frontal to half-turned face or a few. Faces smaller than a quarter of the "
        "picture's longer side are missed more often than by the teacher (composed pictures of "
        "held-out people: 0.61 found at 40 to 80 px of 320, 0.42 at 20 to 40; the teacher 0.97 and "
        "0.55), as are film stills of some dozen pixels; heads on coins count as faces. Real rooms "
        "in training are two, and people with their hair and shoulders six, so unusual scenes are "
        "less sure than the figures say. It finds faces, it knows nobody.",
        "not_for": "knowing who somebody is; counting people, or saying that nobody is there, where "
        "anything depends on it",
        "headline": ["exactly_one_face", "median_iou"],
        "metrics": {},
    }
