"""Clips to what Foal-Net reads, once: six seconds of sound, and CLIP's features of the frames.

Each utterance becomes ``NAME.npz`` in a folder, so that epochs and folds read it again without
decoding; a run that was stopped goes on. Features that exist already (``NAME.npy``, [F, D], as the
authors keep them) can stand in for the pictures.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.foal.wavlm import LONGEST_SAMPLES
from realtime_er.errors import CorpusError
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, ImageArray
from realtime_er.perception.detectors import FaceDetector
from realtime_er.training.clip_media import follow_face, read_pictures, read_sound
from realtime_er.training.clip_reading import UNREADABLE, why_unheard, why_unreadable
from realtime_er.training.corpora.manifest import ManifestRow

Image = Literal["whole", "face"]
"""What CLIP sees: the whole picture (of IEMOCAP the speaker's half), or the face alone."""

FORMAT = 2
SHORTEST_SAMPLES = 400
"""One state of WavLM; a shorter sound has none."""
_LONGEST_S = LONGEST_SAMPLES / SAMPLE_RATE_HZ
_FACE_SCALE = 1.3
_FACE_PX = 224


class PictureEncoder(Protocol):
    """What describes pictures; ``ClipImageEncoder`` is one."""

    dim: int
    sha256: str

    def encode(self, pictures: Sequence[ImageArray]) -> FloatArray:
        """Pictures uint8 [H, W, 3] BGR to float32 [N, dim]."""
        ...


@dataclass(frozen=True)
class Material:
    """One clip.

    Attributes:
        sound: float32 [S], at most six seconds at 16 kHz, not normalised.
        pictures: float32 [F, D], features of its frames.
        reason: why there is nothing; empty where there is.
    """

    sound: FloatArray
    pictures: FloatArray
    reason: str = ""


def _square(image: ImageArray, box_px: Sequence[float]) -> ImageArray | None:
    """The face and a little around it, float pixels [left, top, width, height] to 224 x 224."""
    left, top, width, height = box_px
    half = _FACE_SCALE * max(width, height) / 2
    middle_x, middle_y = left + width / 2, top + height / 2
    x0, x1 = (round(min(max(x, 0), image.shape[1])) for x in (middle_x - half, middle_x + half))
    y0, y1 = (round(min(max(y, 0), image.shape[0])) for y in (middle_y - half, middle_y + half))
    if x1 <= x0 or y1 <= y0:
        return None
    scaled = cv2.resize(image[y0:y1, x0:x1], (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(scaled, np.uint8)


class ClipPreparer:
    """Reads clips and keeps what the network needs of them. One owning thread.

    Args:
        folder: receives ``NAME.npz``; made when the first is written.
        clip: describes pictures; None where ``features`` has all of them.
        features: folder with ``NAME.npy`` or ``session0N/NAME.npy``, which win over pictures.
        image: what CLIP sees.
        rate_hz: frames per second, 30 as published.
        detector: finds faces; needed for ``image`` "face".
    """

    def __init__(
        self,
        folder: Path,
        clip: PictureEncoder | None,
        *,
        features: Path | None = None,
        image: Image = "whole",
        rate_hz: float = 30.0,
        detector: FaceDetector | None = None,
    ) -> None:
        self._folder = folder
        self._clip = clip
        self._features = features
        self._image: Image = image
        self._rate_hz = rate_hz
        self._detector = detector

    def path_of(self, row: ManifestRow) -> Path:
        """Where the clip's file is, or will be."""
        return self._folder / f"{row.id.rpartition('/')[2]}.npz"

    def prepare(self, row: ManifestRow, root: Path) -> Path:
        """The clip's file, from an earlier run where nothing has changed since.

        A clip that cannot be used has a file as well; ``load_material`` tells the reason.

        Args:
            row: the clip.
            root: the corpus' folder.
        """
        path = self.path_of(row)
        given = self._given(path.stem)
        told = [
            FORMAT, asdict(row), str(root.resolve()), _state_of(root / row.audio),
            _state_of(root / row.video), self._image, self._rate_hz,
            self._clip.sha256 if self._clip is not None and given is None else "",
            sha256_of(given) if given is not None else "",
        ]  # fmt: skip
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        if _key_of(path) != key:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = self.read(row, root, given)
            half = path.with_suffix(".part.npz")
            np.savez(
                half, key=np.array(key), reason=np.array(found.reason), sound=found.sound,
                pictures=found.pictures,
            )  # fmt: skip
            half.replace(path)
        return path

    def read(self, row: ManifestRow, root: Path, given: Path | None = None) -> Material:
        """A clip's sound and features; never fails, but says why there is nothing.

        Args:
            row: the clip.
            root: where its files begin.
            given: features that exist already.
        """
        try:
            sound = read_sound(row, root)
        except UNREADABLE as error:
            return _nothing(why_unreadable(error, root / (row.audio or row.video)))
        reason = why_unheard(sound)
        if sound is None or reason:
            return _nothing(reason)
        if len(sound) < SHORTEST_SAMPLES:
            return _nothing(f"{len(sound)} samples of sound are too short for one state")
        try:
            pictures = self._described(row, root) if given is None else self._from(given)
        except CorpusError as error:
            return _nothing(str(error))
        except UNREADABLE as error:
            return _nothing(why_unreadable(error, given or root / row.video))
        return Material(sound[:LONGEST_SAMPLES].astype(np.float32), pictures)

    def read_file(self, path: Path) -> Material:
        """A recording with sound and pictures, or with given features, but no label; see ``read``."""
        row = ManifestRow(f"media/{path.stem}", "media", "test", path.name, "", ("",))
        return self.read(row, path.parent, self._given(path.stem))

    def _given(self, name: str) -> Path | None:
        if self._features is None:
            return None
        choices = (self._features, self._features / f"session0{name[4:5]}")
        return next((at / f"{name}.npy" for at in choices if (at / f"{name}.npy").is_file()), None)

    def _from(self, path: Path) -> FloatArray:
        values = np.load(path, allow_pickle=False)
        if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
            raise CorpusError(f"{path}: expected finite [frames, numbers], found {values.shape}")
        most = round(_LONGEST_S * self._rate_hz)
        return np.asarray(values[:most], np.float32)

    def _described(self, row: ManifestRow, root: Path) -> FloatArray:
        if not row.video:
            raise CorpusError("has no pictures, and no features of them in --features")
        if self._clip is None:
            raise CorpusError("has no features in --features, and there is no CLIP to make them")
        frames = read_pictures(row, root, self._rate_hz, _LONGEST_S)
        if self._image == "whole":
            pictures = [picture for _, picture in frames]
            if not pictures:
                raise CorpusError("no picture can be decoded")
            return self._clip.encode(pictures)
        if self._detector is None:
            raise CorpusError("faces are wanted, but there is no detector")
        track = follow_face(frames, self._detector, _square)
        if track is None:
            raise CorpusError("no face was found")
        return self._clip.encode(list(track.squares))


def _state_of(path: Path) -> list[int]:
    """What tells whether a file was replaced; nothing where there is none."""
    if not path.is_file():
        return []
    told = path.stat()
    return [told.st_size, told.st_mtime_ns]


def _nothing(reason: str) -> Material:
    return Material(np.zeros(0, np.float32), np.zeros((0, 0), np.float32), reason)


def _key_of(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return str(stored["key"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return ""  # half written by a run that was killed: done again


def load_material(path: Path) -> Material:
    """What ``ClipPreparer.prepare`` wrote.

    Raises:
        CorpusError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Material(stored["sound"], stored["pictures"], str(stored["reason"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: missing or damaged; delete it and start again") from error
