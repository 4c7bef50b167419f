"""OpenFace's landmarks of RAVDESS videos, one CSV file per clip, one row per frame.

As distributed ("RAVDESS Facial Landmark Tracking"): ``01-01-03-01-01-01-01.csv``, columns 297 to 364
the 68 points' x and 365 to 432 their y (counted from zero), in pixels of 1280 x 720.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError

N_POINTS = 68
FIRST_X, FIRST_Y = 297, 365
WIDTH_PX, HEIGHT_PX = 1280, 720

Box = tuple[float, float, float, float]
"""Left, top, width, height as shares of the picture."""


class Landmarks:
    """The CSV files under a folder, found once.

    Args:
        root: folder that holds them, at any depth.

    Raises:
        CorpusError: there is no CSV file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = {
            path.stem: path for path in sorted(root.rglob("*.csv")) if path.name[0] != "."
        }
        if not self._files:
            raise CorpusError(
                f"{root}: no landmark file such as 01-01-03-01-01-01-01.csv; leave --landmarks out "
                "to find faces with the detector"
            )

    def boxes(self, stem: str) -> list[Box | None] | None:
        """A clip's boxes, one for each frame, None where tracking failed.

        Args:
            stem: the clip's name. The same clip without sound (02-...) has the same picture.

        Returns:
            None where there is no file for it.

        Raises:
            CorpusError: its file is not OpenFace's.
        """
        path = self._files.get(stem) or self._files.get(f"02{stem[2:]}")
        return None if path is None else read_boxes(path)


def read_boxes(path: Path) -> list[Box | None]:
    """Boxes around the 68 points, one for each row.

    Raises:
        CorpusError: the file cannot be read, or its rows are not OpenFace's.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: landmarks cannot be read ({error})") from error
    header = rows.pop(0) if rows and not _is_number(rows[0][0]) else []
    for name, place in (("x_0", FIRST_X), ("y_0", FIRST_Y)):
        if name in header and header.index(name) != place:
            raise CorpusError(
                f"{path}: column {name} is {header.index(name)}, expected {place} (from zero); "
                "these are not the landmarks that come with RAVDESS"
            )
    success = header.index("success") if "success" in header else None
    boxes: list[Box | None] = []
    for number, row in enumerate(rows, start=1):
        if len(row) < FIRST_Y + N_POINTS:
            raise CorpusError(
                f"{path}: row {number} has {len(row)} columns, expected {FIRST_Y + N_POINTS} or "
                "more (OpenFace's, with gaze, eyes, pose and 68 points)"
            )
        failed = success is not None and row[success] in ("0", "0.0")
        boxes.append(None if failed else _box(row))
    return boxes


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _box(row: list[str]) -> Box | None:
    try:
        x = np.array(row[FIRST_X : FIRST_X + N_POINTS], np.float64) / WIDTH_PX
        y = np.array(row[FIRST_Y : FIRST_Y + N_POINTS], np.float64) / HEIGHT_PX
    except ValueError:
        return None
    left, right = _span(x)
    top, bottom = _span(y)
    edges = (left, top, right - left, bottom - top)
    # Where tracking failed the points lie on one another.
    whole = all(math.isfinite(edge) for edge in edges) and min(edges[2:]) > 1e-3
    return edges if whole else None


def _span(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())
