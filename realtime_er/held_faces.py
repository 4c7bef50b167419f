"""Faces of a file that wait for each other, so that a GPU encodes many in one pass.

Only where nobody waits for them: files, as fast as possible. What is handed on is the same as one by
one, in the same order. Nothing here waits: what holds them asks at every frame whether to go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy.typing as npt

from realtime_er.encoders.protocols import BatchFaceModel
from realtime_er.messages import Embedding, FaceReport, FloatArray

HELD_S = 2.0
"""Recorded time for which a face is held at most: ticks wait for it, and the file for the ticks."""


def with_embedding(report: FaceReport, vector: FloatArray, encoder_id: str) -> FaceReport:
    """A report whose target (it has one) has been encoded."""
    assert report.target_id is not None
    time_s, target_id = report.time_s, report.target_id
    embedding = Embedding("face", time_s, time_s, vector, encoder_id, target_id)
    return replace(report, embedding=embedding)


class HeldFaces:
    """Reports in the order of their times, and the pictures that are still to be encoded.

    Owned by the face thread.
    """

    def __init__(self, encoder: BatchFaceModel) -> None:
        self._encoder = encoder
        self._reports: list[FaceReport] = []
        self._pictures: dict[int, npt.NDArray[Any]] = {}  # by the report's place

    def __len__(self) -> int:
        return len(self._reports)

    def add(self, report: FaceReport, picture: npt.NDArray[Any] | None) -> None:
        """Hold a report; without a picture there is nothing to encode of it."""
        if picture is not None and report.target_id is not None:
            self._pictures[len(self._reports)] = picture
        self._reports.append(report)

    def is_full(self, time_s: float) -> bool:
        """Whether to go on now that the file has been seen up to ``time_s``."""
        if not self._reports:
            return False
        enough = len(self._pictures) >= self._encoder.batch_size
        return enough or time_s - self._reports[0].time_s >= HELD_S

    def release(self) -> list[FaceReport]:
        """Encode what waits, in one pass; all reports in order."""
        reports, pictures = self._reports, self._pictures
        self._reports, self._pictures = [], {}
        if pictures:
            vectors = self._encoder.encode_many(list(pictures.values()))
            for place, vector in zip(pictures, vectors, strict=True):
                reports[place] = with_embedding(reports[place], vector, self._encoder.encoder_id)
        return reports
