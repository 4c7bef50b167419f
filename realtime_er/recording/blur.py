"""Faces made unrecognisable in the file: large squares of mean colour, from which nothing comes back.

A picture is written once it is known where its faces are: when a report of its time or later has
come. Blurred are the boxes of that report and of all reports of the second before the picture, each
with a margin, so that a face that moves, or that the detector misses now and then, stays covered.
When no report comes in time, the whole picture is made unrecognisable.

What the detector never finds is not blurred.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from realtime_er.messages import FaceReport, ImageArray, VideoFrame

Box = tuple[float, float, float, float]

PATIENCE_S = 0.5
"""How long a picture waits for the report on its faces."""

_MEMORY_S = 1.0
_MARGIN = 0.35
_CELLS_PER_FACE = 6
_CELLS_PER_PICTURE = 16


class FaceBlur:
    """Holds pictures until their faces are known. Owned by the thread that records.

    Attributes:
        n_whole: Pictures that were made unrecognisable as a whole.
    """

    def __init__(self) -> None:
        self._reports: deque[FaceReport] = deque()
        self._held: deque[VideoFrame] = deque()
        self.n_whole = 0

    @property
    def n_held(self) -> int:
        """Pictures that wait."""
        return len(self._held)

    def add_report(self, report: FaceReport) -> None:
        """Note where faces are; reports come in order of time."""
        self._reports.append(report)

    def add_frame(self, frame: VideoFrame) -> None:
        """Hold a picture; they come in order of time."""
        self._held.append(frame)

    def ready(self, now_s: float) -> list[VideoFrame]:
        """Pictures that can be written, blurred, in order.

        Args:
            now_s: Session time; infinity to wait for nothing more.
        """
        done = []
        while self._held:
            frame = self._held[0]
            newest_s = self._reports[-1].time_s if self._reports else -np.inf
            known = newest_s >= frame.time_s
            if not known and now_s - frame.time_s < PATIENCE_S:
                break
            self._held.popleft()
            done.append(self._blurred(frame, known=known))
        return done

    def _blurred(self, frame: VideoFrame, *, known: bool) -> VideoFrame:
        while self._reports and self._reports[0].time_s < frame.time_s - _MEMORY_S:
            self._reports.popleft()
        image = frame.image.copy()
        if known:
            pixelate(image, self._boxes(frame.time_s))
        else:
            self.n_whole += 1
            _pixelate(image, max(image.shape[:2]) / _CELLS_PER_PICTURE)
        image.setflags(write=False)
        return VideoFrame(frame.index, frame.time_s, image)

    def _boxes(self, time_s: float) -> list[Box]:
        boxes = []
        for report in self._reports:
            boxes += [face.box_px for face in report.faces]
            if report.time_s >= time_s:
                break  # the first one after the picture is the last that says anything about it
        return boxes


def pixelate(image: ImageArray, boxes: Iterable[Box]) -> None:
    """Replace each box, with a margin, by a few squares of mean colour, in place.

    Boxes that overlap are covered by one rectangle around them all.

    Args:
        image: uint8 BGR, shape (height, width, 3), writable.
        boxes: (left, top, width, height) in pixels; may reach out of the picture.
    """
    regions: list[_Region] = []
    for box in boxes:
        region = _region(box, image)
        if region.is_empty:
            continue
        overlapping = [other for other in regions if other.overlaps(region)]
        while overlapping:
            regions = [other for other in regions if other not in overlapping]
            for other in overlapping:
                region = region.around(other)
            overlapping = [other for other in regions if other.overlaps(region)]
        regions.append(region)
    for one in regions:
        _pixelate(image[one.top : one.bottom, one.left : one.right], one.cell_px)


@dataclass(frozen=True, slots=True)
class _Region:
    left: int
    top: int
    right: int
    bottom: int
    cell_px: float

    @property
    def is_empty(self) -> bool:
        return self.left >= self.right or self.top >= self.bottom

    def overlaps(self, other: _Region) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def around(self, other: _Region) -> _Region:
        return _Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
            max(self.cell_px, other.cell_px),
        )


def _region(box: Box, image: ImageArray) -> _Region:
    left, top, width, height = box
    margin = _MARGIN * max(width, height)
    return _Region(
        max(0, int(left - margin)),
        max(0, int(top - margin)),
        min(image.shape[1], int(np.ceil(left + width + margin))),
        min(image.shape[0], int(np.ceil(top + height + margin))),
        max(1.0, max(width, height) / _CELLS_PER_FACE),
    )


def _pixelate(region: ImageArray, cell_px: float) -> None:
    height, width = region.shape[:2]
    cells = (max(1, round(width / cell_px)), max(1, round(height / cell_px)))
    small = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    region[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
