"""FER+ (Barsoum et al. 2016): 48 x 48 grey faces, ten annotators' votes each, as soft targets.

The files are ``DIR/ferplus/{train,valid,test}.npz`` with ``images`` (uint8 [N, 48, 48]) and ``votes``
(uint8 [N, 10]). The published splits overlap (pictures of ``valid`` stand in ``train`` too) and
repeat themselves, so ``train`` is cleaned here by pixels before anything is learned from it.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError

SIDE_PX = 48
VOTE_NAMES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not-a-face",
)
# FER+ columns in the project's order: Neutral, Happy, Sad, Surprise, Fear, Disgust, Angry.
_KEPT_COLUMNS = (0, 1, 3, 2, 6, 5, 4)
_DROPPED_COLUMNS = (7, 8, 9)

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class FaceSet:
    """Faces of one split, in file order.

    Attributes:
        images: uint8 [N, 48, 48], grey levels 0..255.
        soft_targets: float32 [N, 7], vote shares in project label order; every row sums to 1.
        agreed: bool [N], whether one project label has more than half of *all* votes, those for
            contempt, unknown and not-a-face included: the pictures with a majority vote.
    """

    images: npt.NDArray[np.uint8]
    soft_targets: npt.NDArray[np.float32]
    agreed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of faces."""
        return int(self.images.shape[0])

    def leading(self) -> npt.NDArray[np.int64]:
        """Label index with most votes, int64 [N]; a tie goes to the earlier project label."""
        label: npt.NDArray[np.int64] = np.argmax(self.soft_targets, axis=1).astype(np.int64)
        return label


def soft_targets(
    votes: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Turns ten-column votes into shares over the seven project labels.

    Contempt, unknown and not-a-face votes are dropped and the rest renormalised. A picture in
    which one of those three has strictly more votes than every project label is not kept.

    Args:
        votes: integer [N, 10], columns as in ``VOTE_NAMES``.

    Returns:
        Shares, float32 [N, 7] (rows that are not kept hold zeros), and which rows are kept,
        bool [N].

    Raises:
        ValueError: ``votes`` is not [N, 10].
    """
    if votes.ndim != 2 or votes.shape[1] != len(VOTE_NAMES):
        raise ValueError(f"votes must be [N, {len(VOTE_NAMES)}], got {votes.shape}")
    kept_votes = votes[:, _KEPT_COLUMNS].astype(np.float64)
    lead = kept_votes.max(axis=1)
    kept = (lead > 0) & (votes[:, _DROPPED_COLUMNS].max(axis=1) <= lead)
    total = np.where(kept, kept_votes.sum(axis=1), 1.0)
    shares = np.where(kept[:, None], kept_votes / total[:, None], 0.0)
    return shares.astype(np.float32), kept


def read_ferplus(data_dir: str | Path, split: Split) -> FaceSet:
    """Reads one cleaned split.

    From ``train``, every picture that also stands in ``valid`` is removed, and of pictures equal
    pixel by pixel only the first is kept. The other parts are left whole but for undecided
    pictures, so that their numbers compare with published ones.

    Args:
        data_dir: the corpora's folder, which holds ``ferplus/``.
        split: ``"train"``, ``"valid"`` or ``"test"``.

    Returns:
        The faces with their soft targets.

    Raises:
        CorpusError: a file is missing, unreadable, or not what it should be.
    """
    images, votes = read_pictures(Path(data_dir), split)
    if split == "train":
        held_out, _ = read_pictures(Path(data_dir), "valid")
        fresh = _first_seen(images, {image.tobytes() for image in held_out})
        images, votes = images[fresh], votes[fresh]
    shares, kept = soft_targets(votes)
    lead = votes[:, _KEPT_COLUMNS].max(axis=1)
    agreed = 2 * lead.astype(np.int64) > votes.sum(axis=1, dtype=np.int64)
    return FaceSet(images=images[kept], soft_targets=shares[kept], agreed=agreed[kept])


def _first_seen(images: npt.NDArray[np.uint8], excluded: set[bytes]) -> npt.NDArray[np.bool_]:
    seen = set(excluded)
    fresh = np.zeros(len(images), dtype=np.bool_)
    for index, image in enumerate(images):
        pixels = image.tobytes()
        fresh[index] = pixels not in seen
        seen.add(pixels)
    return fresh


def read_pictures(
    data_dir: Path, split: Split
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]:
    """Every picture of a split as published, uint8 [N, 48, 48], and its votes, integer [N, 10].

    Raises:
        CorpusError: the file is missing, unreadable, or not what it should be.
    """
    path = data_dir / "ferplus" / f"{split}.npz"
    if not path.is_file():
        raise CorpusError(
            f"FER+ {split} split not found: {path}; give the folder that holds 'ferplus/' "
            "with --data DIR or REALTIME_ER_DATA"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, votes = archive["images"], archive["votes"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusError(f"FER+ {split} split cannot be read: {path} ({error})") from error
    if images.ndim != 3 or images.shape[1:] != (SIDE_PX, SIDE_PX) or images.dtype != np.uint8:
        raise CorpusError(f"FER+ {split}: images must be uint8 [N, 48, 48] in {path}")
    if len(images) == 0:
        raise CorpusError(f"FER+ {split}: no picture in {path}")
    if votes.shape != (len(images), len(VOTE_NAMES)) or votes.dtype.kind not in "ui":
        raise CorpusError(f"FER+ {split}: votes must be integers [{len(images)}, 10] in {path}")
    return images, votes
