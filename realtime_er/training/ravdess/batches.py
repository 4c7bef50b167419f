"""Clips of RAVDESS to what the networks read: decoded, augmented, normalised, batched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor

from realtime_er.messages import FloatArray, ImageArray
from realtime_er.training.ravdess.cache import RavdessCorpus
from realtime_er.training.ravdess.recipe import RavdessRecipe

MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)
"""ImageNet's, of red, green and blue in 0..1."""
_TRIES = 10
_RATIOS = (3.0 / 4.0, 4.0 / 3.0)

Clips = Sequence[tuple[int, int]]


def normalised(faces: ImageArray) -> FloatArray:
    """Faces as the video encoder reads them.

    Args:
        faces: uint8 [T, H, W, 3], RGB.

    Returns:
        float32 [3, T, H, W].
    """
    scale = 1.0 / (255.0 * np.array(STD_RGB, np.float32))
    shift = np.array(MEAN_RGB, np.float32) / np.array(STD_RGB, np.float32)
    values = faces.astype(np.float32) * scale - shift
    return np.ascontiguousarray(values.transpose(3, 0, 1, 2))


def augmented(faces: ImageArray, recipe: RavdessRecipe, rng: np.random.Generator) -> ImageArray:
    """A random crop, scaled back, and mirrored half of the time.

    Drawn once for the whole clip, because a face does not jump from frame to frame; with
    ``recipe.per_frame`` once for each frame, as published.

    Args:
        faces: uint8 [T, S, S, 3].
        recipe: scales, and whether frames differ.
        rng: what is drawn from.
    """
    side = faces.shape[1]
    changed = np.empty_like(faces)
    crop, mirror = _crop(side, recipe, rng), rng.random() < 0.5
    for place, face in enumerate(faces):
        if recipe.per_frame and place:
            crop, mirror = _crop(side, recipe, rng), rng.random() < 0.5
        top, left, high, wide = crop
        part = face[top : top + high, left : left + wide]
        square = cv2.resize(part, (side, side), interpolation=cv2.INTER_LINEAR)
        changed[place] = square[:, ::-1] if mirror else square
    return changed


def _crop(side: int, recipe: RavdessRecipe, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height, width; the whole picture when no draw fits into it."""
    low, high = sorted((recipe.scale_low, recipe.scale_high))
    for _ in range(_TRIES):
        area = side * side * float(rng.uniform(low, high))
        ratio = float(np.exp(rng.uniform(*np.log(_RATIOS))))
        wide, tall = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < wide <= side and 0 < tall <= side:
            top = int(rng.integers(0, side - tall + 1))
            left = int(rng.integers(0, side - wide + 1))
            return top, left, tall, wide
    return 0, 0, side, side


class Batches:
    """Reads batches in threads, one ahead of the one in use.

    Args:
        corpus: described clips.
        recipe: what training changes in them.
        workers: threads that decode.
    """

    def __init__(self, corpus: RavdessCorpus, recipe: RavdessRecipe, workers: int) -> None:
        self._corpus = corpus
        self._recipe = recipe
        self._workers = workers

    def read(self, batches: Sequence[Clips], seed: int | None) -> Iterator[tuple[Tensor, ...]]:
        """Pictures float [B, 3, T, S, S], cepstra float [B, 13, 212] and labels int64 [B].

        Args:
            batches: clips of each.
            seed: of the augmentation, which a clip's place then decides; None for none.
        """
        with ThreadPoolExecutor(max_workers=self._workers) as pool:

            def begin(number: int) -> list[Future[FloatArray]]:
                clips = batches[number] if number < len(batches) else ()
                return [
                    pool.submit(self._pictures, clip, None if seed is None else [seed, *clip])
                    for clip in clips
                ]

            ahead = begin(0)
            for number, clips in enumerate(batches):
                now, ahead = ahead, begin(number + 1)
                pictures = torch.from_numpy(np.stack([one.result() for one in now]))
                cepstra = np.stack([self._corpus.actors[a].cepstra[place] for a, place in clips])
                labels = torch.from_numpy(self._corpus.labels(clips))
                yield pictures, torch.from_numpy(cepstra), labels

    def _pictures(self, clip: tuple[int, int], seed: list[int] | None) -> FloatArray:
        actor, place = clip
        faces = self._corpus.actors[actor].faces(place)
        if seed is not None and self._recipe.augment:
            faces = augmented(faces, self._recipe, np.random.default_rng(seed))
        return normalised(faces)
