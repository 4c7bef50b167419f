"""Portraits as the pipeline crops them, for the face network's last stage.

FER+ was cropped by one detector and is grey from the start; these come out of colour photographs
through our own detector and crop. Their labels are rough, one each, so a portrait takes the votes
that FER+ pictures with its label have on average.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from realtime_er.encoders.bundle import bundle_dir
from realtime_er.messages import LABELS, ImageArray, TrackedFace
from realtime_er.perception.detectors import CompactDetector, FaceDetector
from realtime_er.perception.face import CropRule, crop_face
from realtime_er.training.corpora.ferplus import SIDE_PX, FaceSet
from realtime_er.training.detector.holdouts import Part, list_portraits, read_picture

LABEL_OF = {
    "neutral": "Neutral",
    "happiness": "Happy",
    "surprise": "Surprise",
    "sadness": "Sad",
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
}
"""What FER+ and the portraits call the project's labels."""


def read_photographs(
    data_dir: Path, part: Part, votes_of: FaceSet, rule: tuple[float, float]
) -> FaceSet | None:
    """Crops of one part's portraits; None where the corpus is not there.

    Args:
        data_dir: the corpora's folder, which holds ``portraits/``.
        part: people, named in ``training/detector/holdouts.py``.
        votes_of: FER+ train, whose votes they take.
        rule: ``scale`` and ``shift_y`` of the crop for the compact detector.

    Raises:
        WeightsMissing: the package's detector is gone.
    """
    labels = read_portrait_labels(data_dir)
    if not labels:
        return None
    paths = [path for path in list_portraits(data_dir, part) if path.name in labels]
    detector = CompactDetector(bundle_dir("compact", "detector"))
    kept, crops = portrait_crops(paths, detector, CropRule(*rule, SIDE_PX))
    truth = np.array([labels[paths[index].name] for index in kept], np.int64)
    leading = votes_of.leading()
    usual = np.eye(len(LABELS), dtype=np.float32)
    for index in np.unique(leading):
        usual[index] = votes_of.soft_targets[leading == index].mean(axis=0)
    return FaceSet(np.stack(crops), usual[truth], np.ones(len(kept), np.bool_))


def read_portrait_labels(data_dir: Path) -> dict[str, int]:
    """File name to project label of the portraits; labels the project lacks are left out."""
    path = data_dir / "portraits" / "labels.csv"
    if not path.is_file():
        return {}
    names = {theirs: LABELS.index(ours) for theirs, ours in LABEL_OF.items()}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["image"]: names[row["emotion"]] for row in rows if row.get("emotion") in names}


def portrait_crops(
    paths: list[Path], detector: FaceDetector, rule: CropRule
) -> tuple[list[int], list[ImageArray]]:
    """Crops of the largest face of each portrait in which there is one, and which those are.

    Raises:
        CorpusError: a portrait is no picture.
    """
    kept, crops = [], []
    for index, path in enumerate(paths):
        image = read_picture(path)
        # Room around the face, as a camera's picture has it: these portraits are tight.
        image = np.asarray(
            cv2.copyMakeBorder(image, 60, 60, 60, 60, cv2.BORDER_REPLICATE), np.uint8
        )
        found = detector.detect(image)
        if found:
            face = TrackedFace(0, found[0].box_px, found[0].score, found[0].landmarks_px)
            crops.append(crop_face(image, face, rule))
            kept.append(index)
    return kept, crops
