"""Foal-Net's clips in batches: in memory one batch at a time, drawn evenly over the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from realtime_er.encoders.foal.wavlm import prepare_sound, stack_sounds
from realtime_er.errors import CorpusError
from realtime_er.fusion.foal import FoalBatch, FoalNet
from realtime_er.messages import FloatArray
from realtime_er.training.foal.clips import Material, load_material
from realtime_er.training.mer.team import Team


class FoalData:
    """Prepared clips on disk.

    Args:
        paths: files of ``foal_clips.ClipPreparer``.
        labels: class of each.

    Attributes:
        names: of the clips, in order.
        labels: int64 [N].
        picture_dim: length of a frame's features.

    Raises:
        CorpusError: no clip, or a file is damaged.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int]) -> None:
        if not paths:
            raise CorpusError("no clip is left; see the reasons in skipped.csv")
        self._paths = list(paths)
        self.names = [path.stem for path in paths]
        self.labels = np.array(labels, np.int64)
        self.picture_dim = int(load_material(paths[0]).pictures.shape[1])

    def __len__(self) -> int:
        return len(self._paths)

    def batch(self, rows: Sequence[int] | npt.NDArray[np.intp], *, normalise: bool) -> FoalBatch:
        """Reads some clips.

        Raises:
            CorpusError: a file is damaged, or features differ in length.
        """
        found = [load_material(self._paths[int(row)]) for row in rows]
        for material, row in zip(found, rows, strict=True):
            if material.pictures.shape[1:] != (self.picture_dim,):
                raise CorpusError(
                    f"{self._paths[int(row)]}: features {list(material.pictures.shape)}, not of "
                    f"{self.picture_dim} numbers; describe all clips with one CLIP"
                )
        return make_batch(found, normalise=normalise)


def make_batch(clips: Sequence[Material], *, normalise: bool) -> FoalBatch:
    """Clips with sound and pictures as the network reads them.

    Args:
        clips: at least one.
        normalise: see ``encoders.foal.wavlm.prepare_sound``.
    """
    sounds, samples = stack_sounds([prepare_sound(c.sound, normalise=normalise) for c in clips])
    lengths = [len(clip.pictures) for clip in clips]
    pictures = torch.zeros(len(clips), max(lengths), clips[0].pictures.shape[1])
    for row, clip in enumerate(clips):
        pictures[row, : lengths[row]] = torch.from_numpy(clip.pictures)
    seen = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return FoalBatch(sounds, samples, pictures, seen)


def balanced_rows(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices drawn with replacement, every class that occurs as likely as another.

    Args:
        labels: int64 [N].
        count: how many to draw.
        seed: the same seed draws the same.

    Returns:
        int64 [count].
    """
    weights = 1.0 / np.bincount(labels)[labels].astype(np.float64)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(torch.from_numpy(weights), count, True, generator=generator)
    rows: npt.NDArray[np.int64] = drawn.numpy()
    return rows


@torch.no_grad()
def predict(
    net: FoalNet,
    data: FoalData,
    rows: Sequence[int],
    batch: int,
    team: Team,
    cast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    *,
    normalise: bool,
) -> FloatArray:
    """Logits without labels, in evaluation mode; every process takes a share and knows all.

    Args:
        net: on the team's device.
        data: the clips.
        rows: which of them.
        batch: clips at once, over all processes.
        team: the processes.
        cast: makes the context of the forward pass.
        normalise: of sound.

    Returns:
        float32 [len(rows), C].
    """
    net.eval()
    share = list(rows)[team.rank :: team.size]
    size = max(1, batch // team.size)
    own: list[FloatArray] = []
    for start in range(0, len(share), size):
        ready = data.batch(share[start : start + size], normalise=normalise).to(team.device)
        with cast():
            own.append(net(ready).logits.float().cpu().numpy())
    classes = net.cls_head.out_features
    known = np.concatenate(own) if own else np.zeros((0, classes), np.float32)
    if team.size < 2:
        return known
    told: list[Any] = [None] * team.size
    torch.distributed.all_gather_object(told, known)
    logits = np.zeros((len(rows), classes), np.float32)
    for rank, part in enumerate(told):
        logits[rank :: team.size] = part
    return logits
