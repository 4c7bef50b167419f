"""RAVDESS clips described once: one file per actor (``actor_01.npz``), resumable.

Faces are kept as JPEG squares (some 0.3 MB a clip), so that all 24 actors fit into memory.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError, MediaError
from realtime_er.messages import FloatArray, ImageArray
from realtime_er.perception.detectors import FaceDetector
from realtime_er.training.corpora.manifest import ManifestRow
from realtime_er.training.corpora.ravdess import LABELS
from realtime_er.training.corpora.ravdess_video import read_ravdess_video
from realtime_er.training.ravdess.landmarks import Landmarks
from realtime_er.training.ravdess.media import (
    JPEG_QUALITY,
    N_FRAMES,
    SIDE_PX,
    ClipMaterial,
    decode_face,
    read_clip,
)

REPORT_FILE = "report.csv"
_FORMAT = 1


@dataclass(frozen=True)
class Actor:
    """One actor's clips.

    Attributes:
        number: 1 to 24.
        ids: str [N], such as "ravdess/01-01-03-01-01-01-24".
        labels: int64 [N], in the order of ``corpora.ravdess.LABELS``.
        cepstra: float32 [N, 13, 212].
        jpeg: uint8 [bytes], all faces one after another.
        ends: int64 [N, frames], where each face's file ends in ``jpeg``.
    """

    number: int
    ids: npt.NDArray[np.str_]
    labels: npt.NDArray[np.int64]
    cepstra: FloatArray
    jpeg: ImageArray
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """Changes with the clips, and with what was cut from them or heard in them."""
        told = hashlib.sha256("\n".join(self.ids.tolist()).encode())
        # Where the faces' files end differs as soon as one face is cut elsewhere.
        for part in (self.labels, self.ends, self.cepstra):
            told.update(part.tobytes())
        return told.hexdigest()

    def faces(self, clip: int) -> ImageArray:
        """A clip's faces, uint8 [frames, side, side, 3], RGB."""
        ends = self.ends.reshape(-1)
        first = clip * self.ends.shape[1]
        squares = []
        for place in range(first, first + self.ends.shape[1]):
            start = int(ends[place - 1]) if place else 0
            squares.append(decode_face(self.jpeg[start : int(ends[place])]))
        return np.stack(squares)


@dataclass(frozen=True)
class RavdessCorpus:
    """Every actor that is there, by number."""

    actors: dict[int, Actor]

    def clips(self, actors: Sequence[int]) -> list[tuple[int, int]]:
        """(actor, place) of every clip of some actors, in order; absent ones have none."""
        known = [number for number in actors if number in self.actors]
        return [(number, place) for number in known for place in range(len(self.actors[number]))]

    def labels(self, clips: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
        """Labels int64 of clips."""
        return np.array([self.actors[actor].labels[place] for actor, place in clips], np.int64)


def prepare_ravdess(
    root: Path,
    cache_dir: Path,
    make_detector: Callable[[], FaceDetector],
    *,
    landmarks_dir: Path | None = None,
    n_frames: int = N_FRAMES,
    side_px: int = SIDE_PX,
    workers: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> RavdessCorpus:
    """Describes the corpus, or reads what was described before.

    Clips that cannot be read are passed by and stand in ``report.csv`` with the reason, as do those
    that were read in an unusual way.

    Args:
        root: RAVDESS as distributed (see ``corpora/ravdess_video.py``).
        cache_dir: receives the files.
        make_detector: makes a face detector; called once per worker thread.
        landmarks_dir: OpenFace's CSV files; None to find every face with the detector.
        n_frames: faces per clip.
        side_px: of their squares.
        workers: threads that read clips.
        say: told what is being done.

    Raises:
        CorpusError: the corpus is not there, a landmark file is not OpenFace's, or no clip could be
            read.
    """
    listing = read_ravdess_video(root)
    landmarks = None if landmarks_dir is None else Landmarks(landmarks_dir)
    by_actor: dict[int, list[ManifestRow]] = {}
    for row in listing.rows:
        by_actor.setdefault(int(row.speaker), []).append(row)
    cache_dir.mkdir(parents=True, exist_ok=True)
    reader = _Reader(root, landmarks, make_detector, n_frames, side_px)
    actors: dict[int, Actor] = {}
    notes: list[tuple[str, str, str]] = []
    for number, rows in sorted(by_actor.items()):
        path = cache_dir / f"actor_{number:02d}.npz"
        signature = reader.signature(rows)
        known = _load(path, number, signature)
        if known is None:
            say(f"actor {number:02d}: {len(rows)} clips")
            known = reader.read(number, rows, workers)
            _save(path, *known, signature)
        actor, told = known
        notes += told
        if len(actor):
            actors[number] = actor
    _write_report(cache_dir / REPORT_FILE, notes)
    skipped = sum(kind == "skipped" for _, kind, _ in notes)
    if not actors:
        raise CorpusError(f"{root}: no clip could be read; see {cache_dir / REPORT_FILE}")
    if notes:
        say(f"{skipped} clips skipped, {len(notes) - skipped} noted: {cache_dir / REPORT_FILE}")
    return RavdessCorpus(actors)


Notes = list[tuple[str, str, str]]


class _Reader:
    def __init__(
        self,
        root: Path,
        landmarks: Landmarks | None,
        make_detector: Callable[[], FaceDetector],
        n_frames: int,
        side_px: int,
    ) -> None:
        self._root = root
        self._landmarks = landmarks
        self._make_detector = make_detector
        self._own = threading.local()
        self._n_frames = n_frames
        self._side_px = side_px

    def signature(self, rows: Sequence[ManifestRow]) -> str:
        """Changes when another reading would give other numbers."""
        told = {
            "format": _FORMAT,
            "frames": self._n_frames,
            "side_px": self._side_px,
            "quality": JPEG_QUALITY,
            "detector": self._detector().name,
            "landmarks": None if self._landmarks is None else str(self._landmarks.root.resolve()),
            "clips": [[row.id, (self._root / row.video).stat().st_size] for row in rows],
        }
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def _detector(self) -> FaceDetector:
        found: FaceDetector | None = getattr(self._own, "detector", None)
        if found is None:
            found = self._own.detector = self._make_detector()
        return found

    def _clip(self, row: ManifestRow) -> ClipMaterial | MediaError:
        path = self._root / row.video
        boxes = None if self._landmarks is None else self._landmarks.boxes(path.stem)
        try:
            return read_clip(
                path, self._detector(), boxes, n_frames=self._n_frames, side_px=self._side_px
            )
        except MediaError as error:
            return error

    def read(self, number: int, rows: Sequence[ManifestRow], workers: int) -> tuple[Actor, Notes]:
        """Reads an actor's clips."""
        with ThreadPoolExecutor(max_workers=workers) as pool:
            found = list(pool.map(self._clip, rows))
        notes: Notes = []
        kept: list[tuple[ManifestRow, ClipMaterial]] = []
        for row, material in zip(rows, found, strict=True):
            if isinstance(material, MediaError):
                notes.append((row.id, "skipped", str(material)))
                continue
            kept.append((row, material))
            told = [material.note] if material.note else []
            if self._landmarks is not None and material.by_landmarks < self._n_frames:
                told.append(f"landmarks of {material.by_landmarks} of {self._n_frames} frames")
            if told:
                notes.append((row.id, "noted", "; ".join(told)))
        return _actor(number, kept, self._n_frames), notes


def _actor(number: int, kept: Sequence[tuple[ManifestRow, ClipMaterial]], n_frames: int) -> Actor:
    files = [file for _, material in kept for file in material.faces]
    ends = np.cumsum([len(file) for file in files], dtype=np.int64)
    return Actor(
        number,
        np.array([row.id for row, _ in kept], np.str_),
        np.array([LABELS.index(row.native[0]) for row, _ in kept], np.int64),
        np.stack([material.cepstra for _, material in kept]) if kept else np.zeros((0, 0, 0), "f4"),
        np.concatenate(files) if files else np.zeros(0, np.uint8),
        ends.reshape(len(kept), n_frames),
    )


def _save(path: Path, actor: Actor, notes: Notes, signature: str) -> None:
    # Every member of a team describes the clips: each writes a file of its own.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as stream:
        np.savez(
            stream,
            ids=actor.ids,
            labels=actor.labels,
            cepstra=actor.cepstra,
            jpeg=actor.jpeg,
            ends=actor.ends,
            meta=np.array(json.dumps({"signature": signature, "notes": notes})),
        )
    # Replaced in one step: a run that is killed leaves no half file under the final name.
    unfinished.replace(path)


def _load(path: Path, number: int, signature: str) -> tuple[Actor, Notes] | None:
    """What is there, or None where it is not, is damaged or was described in another way."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            if meta["signature"] != signature:
                return None
            columns = {name: archive[name] for name in ("ids", "labels", "cepstra", "jpeg", "ends")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Actor(number, **columns), [(one, kind, why) for one, kind, why in meta["notes"]]


def _write_report(path: Path, notes: Notes) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("clip", "what", "why"))
        writer.writerows(notes)
