"""CMU-MOSEI (Zadeh et al. 2018): monologues from the web, several emotions at once.

As distributed (the raw archive, the labels of the SDK, and its folds)::

    CMU_MOSEI_Labels.csd                          HDF5: seven scores of each segment
    cmu_mosei_std_folds.py                        which video is in which part
    Raw/Transcript/Segmented/Combined/VIDEO.txt   VIDEO___CLIP___START___END___WORDS
    Raw/Videos/Segmented/Combined/VIDEO_CLIP.mp4  or Raw/Videos/Full/Combined/VIDEO.mp4

An emotion is present where its score is above zero.
"""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.label_schemes import NO_EMOTION
from realtime_er.training.corpora.layout import first_dir, first_file, visible
from realtime_er.training.corpora.manifest import Listing, ManifestRow, Skipped, list_rows

CORPUS = "mosei"
LAYOUT = "Raw/Transcript/Segmented/Combined and Raw/Videos beside CMU_MOSEI_Labels.csd"
SCORES = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
"""Columns of the labels."""
_TABLE_ORDER = ("happy", "sad", "anger", "surprise", "fear", "disgust")
_FOLD_NAMES = {
    "train": ("standard_train_fold", "train"),
    "val": ("standard_valid_fold", "val"),
    "test": ("standard_test_fold", "test"),
}
# Transcripts round their times, so the same segment may begin a little elsewhere in the labels.
_SAME_START_S = 0.05

Segments = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def read_mosei(root: Path) -> Listing:
    """Lists the labelled segments.

    Args:
        root: folder that holds the labels, the folds, and ``Raw`` (or what is in it).

    Returns:
        Rows with present emotions as own labels, the strongest first (equal ones in the order of
        the published tables), or ``NO_EMOTION``. Segments without label, fold or video are left
        out with the reason.

    Raises:
        CorpusError: the layout is another, or a file cannot be read.
    """
    root = Path(root)
    base = root / "Raw" if (root / "Raw").is_dir() else root
    transcripts = first_dir(base, ["Transcript/Segmented/Combined"], CORPUS, LAYOUT)
    videos = first_dir(base, ["Videos/Segmented/Combined", "Videos/Full/Combined"], CORPUS, LAYOUT)
    segmented = videos.parent.name == "Segmented"
    labels = read_scores(
        first_file(
            root,
            ["CMU_MOSEI_Labels.csd", "labels/CMU_MOSEI_Labels.csd", "CMU_MOSEI_All_Labels.csd"],
            CORPUS,
            "the SDK's labels",
        )
    )
    part_of = read_folds(
        first_file(
            root, ["cmu_mosei_std_folds.py", "folds.json"], CORPUS, "the SDK's standard folds"
        )
    )
    rows: list[ManifestRow] = []
    skipped: list[Skipped] = []
    for path in visible(transcripts, "*.txt"):
        segments, broken = _segments(path)
        skipped.extend(broken)
        for clip, start_s, end_s, text in segments:
            identity = f"{CORPUS}/{path.stem}_{clip}"
            video = videos / (f"{path.stem}_{clip}.mp4" if segmented else f"{path.stem}.mp4")
            native = _native(labels.get(path.stem), start_s)
            reason = None
            if path.stem not in part_of:
                reason = "its video is in no fold"
            elif native is None:
                reason = "has no label"
            elif not video.is_file():
                reason = f"{video} is missing"
            if reason is not None or native is None:
                skipped.append(Skipped(identity, reason or "has no label"))
                continue
            rows.append(
                ManifestRow(
                    id=identity,
                    corpus=CORPUS,
                    split=part_of[path.stem],
                    video=video.relative_to(root).as_posix(),
                    audio="",
                    native=native,
                    start_s=None if segmented else start_s,
                    end_s=None if segmented else end_s,
                    speaker="",
                    group=path.stem,
                    text=text,
                )
            )
    if not rows:
        why = f" ({skipped[0].id}: {skipped[0].reason})" if skipped else ""
        raise CorpusError(f"{CORPUS}: no labelled segment in {root}{why}; expected {LAYOUT}")
    return list_rows(rows, skipped)


def _segments(path: Path) -> tuple[list[tuple[str, float, float, str]], list[Skipped]]:
    segments: list[tuple[str, float, float, str]] = []
    broken: list[Skipped] = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            _, clip, start, end, text = line.strip().split("___", 4)
            segments.append((clip, float(start), float(end), text.strip()))
        except ValueError:
            reason = f"{path}, line {number} is not VIDEO___CLIP___START___END___WORDS"
            broken.append(Skipped(f"{CORPUS}/{path.stem}", reason))
    return segments, broken


def _native(segments: Segments | None, start_s: float) -> tuple[str, ...] | None:
    if segments is None:
        return None
    starts, scores = segments
    nearest = int(np.argmin(np.abs(starts - start_s)))
    if abs(starts[nearest] - start_s) > _SAME_START_S:
        return None
    score = {name: float(scores[nearest, SCORES.index(name)]) for name in _TABLE_ORDER}
    if not all(math.isfinite(value) for value in score.values()):
        return None
    present = [name for name in _TABLE_ORDER if score[name] > 0.0]
    return tuple(sorted(present, key=lambda name: -score[name])) or (NO_EMOTION,)


def read_scores(path: Path) -> dict[str, Segments]:
    """Reads the SDK's labels.

    Args:
        path: a computational sequence (HDF5).

    Returns:
        Video to starts in seconds, float64 [N], and scores, float64 [N, 7], columns ``SCORES``.

    Raises:
        CorpusError: h5py is not installed, or the file is not that.
    """
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise CorpusError(f"{CORPUS}: {path} needs h5py; run: pip install h5py") from error
    found: dict[str, Segments] = {}
    try:
        with h5py.File(path, "r") as file:
            (sequence,) = file.values()
            for video, entry in sequence["data"].items():
                starts = np.asarray(entry["intervals"], np.float64)[:, 0]
                scores = np.asarray(entry["features"], np.float64)
                if scores.shape != (len(starts), len(SCORES)):
                    raise ValueError(f"{video} has scores {list(scores.shape)}")
                if len(starts):
                    found[str(video)] = (starts, scores)
    except (OSError, KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise CorpusError(
            f"{CORPUS}: {path} is not the SDK's label file ({error}); expected one group with "
            f"data/VIDEO/intervals and data/VIDEO/features [N, {len(SCORES)}]"
        ) from error
    return found


def read_folds(path: Path) -> dict[str, str]:
    """Reads which video is in which part, without running the SDK's file.

    Args:
        path: ``cmu_mosei_std_folds.py``, or JSON with "train", "val" and "test".

    Returns:
        Video to "train", "val" or "test".

    Raises:
        CorpusError: it holds no such lists, or a video stands in two.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lists = json.loads(text) if path.suffix == ".json" else _assigned(text)
    except (ValueError, SyntaxError) as error:
        raise CorpusError(f"{CORPUS}: {path} cannot be read: {error}") from error
    part_of: dict[str, str] = {}
    for part, names in _FOLD_NAMES.items():
        videos = next((lists[name] for name in names if isinstance(lists.get(name), list)), None)
        if videos is None:
            raise CorpusError(f"{CORPUS}: {path} has no list {names[0]}")
        for video in videos:
            if part_of.setdefault(str(video), part) != part:
                raise CorpusError(f"{CORPUS}: {path} has {video} in two parts")
    return part_of


def _assigned(source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            values[statement.targets[0].id] = ast.literal_eval(statement.value)
    return values
