"""Trains the compact speech encoder on acted emotional speech, and says how well.

A network is trained twice: from scratch towards the classes, then on with Whisper's states as
further targets (:mod:`realtime_er.training.speech_refine`).

Two results with different meanings: five folds over speakers tell what the *recipe* is worth; the
shipped encoder is trained once on a fixed set of speakers, and the speakers it never heard
(:data:`HELD_OUT`) are what fusion, calibration and their evaluation may use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.metrics import accuracy, bootstrap_interval, unweighted_average_recall
from realtime_er.training.speech_export import (
    HEAD_FILE,
    MODEL_FILE,
    card_of,
    export_encoder,
    export_head,
)
from realtime_er.training.speech_features import SpeechMaterial, prepare
from realtime_er.training.speech_fit import EPOCHS, SpeechProgress, fit
from realtime_er.training.speech_loss import CORPUS_LABELS, LABELS, allowed_classes
from realtime_er.training.speech_model import FRAMES_PER_STEP, SpeechNet, clip_features, pool
from realtime_er.training.speech_refine import REFINE_EPOCHS, refine
from realtime_er.training.speech_teacher import standardised, whisper_states

__all__ = [
    "CORPUS_LABELS", "EPOCHS", "FOLDS", "HELD_OUT", "LABELS", "REFINE_EPOCHS", "VERSIONS",
    "PooledClips", "SpeechProgress", "evaluate", "fit", "join", "metrics_of", "predictions",
    "read_clips", "refine", "save_pooled", "ship", "split", "train_speech",
]  # fmt: skip

VERSIONS = 10
HELD_OUT = (*(f"ravdess-{actor:02d}" for actor in range(15, 21)), "emodb-12", "emodb-14")
"""Speakers that the shipped encoder never heard: three men and three women, a man and a woman."""
FOLDS = tuple(
    tuple(f"ravdess-{actor:02d}" for actor in range(first, first + 4)) + german
    for first, german in (
        (1, ("emodb-03", "emodb-08")),
        (5, ("emodb-09", "emodb-10")),
        (9, ("emodb-11", "emodb-13")),
        (13, ("emodb-12",)),
        (17, ("emodb-14",)),
    )
)


@dataclass(frozen=True)
class PooledClips:
    """Clips as a model that never heard their speakers sees them.

    Attributes:
        clips: the clips, N.
        statistics: float32 [N, 192], mean and population std over steps.
        logits: float32 [N, 9], of the pooled head, over :data:`LABELS`.
    """

    clips: list[SpeechClip]
    statistics: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


def read_clips(data_dir: Path) -> list[SpeechClip]:
    """Both corpora, RAVDESS first.

    Raises:
        CorpusError: one is absent.
    """
    return ravdess.read_ravdess(data_dir) + emodb.read_emodb(data_dir)


@torch.no_grad()
def evaluate(net: SpeechNet, material: SpeechMaterial, chosen: Sequence[int]) -> PooledClips:
    """Whole, undisturbed clips through the network; only whole steps count, as in a stream."""
    statistics, logits = [], []
    for number in chosen:
        index = torch.tensor([number])
        steps = int(material.frames[0, number]) // FRAMES_PER_STEP
        power = material.power(torch.zeros(1, dtype=torch.long), index)
        embeddings, _ = net.encode(clip_features(power[:, : steps * FRAMES_PER_STEP]))
        pooled = pool(embeddings, torch.tensor([steps]))
        statistics.append(pooled[0].numpy())
        logits.append(net.head(pooled)[0].numpy())
    return PooledClips(
        [material.clips[number] for number in chosen],
        np.stack(statistics).astype(np.float32),
        np.stack(logits).astype(np.float32),
    )


def predictions(pooled: PooledClips) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """True and predicted class numbers within :data:`LABELS`, int64 [N] each.

    Only the classes that a clip's corpus has compete, as in the published protocols.
    """
    truth = np.array([LABELS.index(clip.label) for clip in pooled.clips], dtype=np.int64)
    competing = np.where(allowed_classes(pooled.clips).numpy(), pooled.logits, -np.inf)
    return truth, competing.argmax(axis=1).astype(np.int64)


def split(clips: Sequence[SpeechClip], held_out: Sequence[str]) -> tuple[list[int], list[int]]:
    """Clip numbers of the other speakers, and of the held-out ones."""
    apart = set(held_out)
    return (
        [number for number, clip in enumerate(clips) if clip.speaker not in apart],
        [number for number, clip in enumerate(clips) if clip.speaker in apart],
    )


def join(parts: Sequence[PooledClips]) -> PooledClips:
    """Several sets of clips as one; their statistics may come from different networks."""
    return PooledClips(
        [clip for part in parts for clip in part.clips],
        np.concatenate([part.statistics for part in parts]),
        np.concatenate([part.logits for part in parts]),
    )


def train_speech(
    data_dir: Path,
    out_dir: Path,
    *,
    seed: int = 1,
    epochs: int = EPOCHS,
    refine_epochs: int = REFINE_EPOCHS,
    threads: int = 1,
    folds: bool = False,
    folds_path: Path | None = None,
    progress: Callable[[SpeechProgress], None] | None = None,
) -> Card:
    """Trains the shipped encoder, exports it, and measures model and recipe.

    Args:
        data_dir: folder that holds ``ravdess_speech/`` and ``emodb/``.
        out_dir: where ``model.onnx``, ``head.onnx`` and ``card.json`` go.
        seed: of disturbances, weights and order.
        epochs: of the first training of each network, from scratch.
        refine_epochs: of its second training, with a teacher; 0 leaves it out.
        threads: torch threads; another number may change the last digits.
        folds: train the five fold networks too (five times the time), for the recipe's figures.
        folds_path: where to keep the folds' pooled results (npz). Each fold has its own embedding
            space, so these serve analysis, never the training of a fusion head.
        progress: called after each epoch, in this thread.

    Raises:
        CorpusError: a corpus is absent.
        WeightsMissing: the teacher, Whisper tiny.en, is absent.
    """
    torch.set_num_threads(threads)
    clips = read_clips(data_dir)
    heard = whisper_states(clips, threads) if refine_epochs else None
    material = prepare(clips, VERSIONS, seed)

    def trained(train: Sequence[int], run: str) -> SpeechNet:
        net = fit(material, train, seed=seed, epochs=epochs, run=run, progress=progress)
        if heard is None:
            return net
        teacher = standardised(*heard, train)
        run = f"{run}, with teacher"
        return refine(
            net, material, teacher, train, seed=seed, epochs=refine_epochs, run=run,
            progress=progress,
        )  # fmt: skip

    train, test = split(clips, HELD_OUT)
    net = trained(train, "shipped")
    parts: list[PooledClips] = []
    for number, speakers in enumerate(FOLDS if folds else (), start=1):
        rest, fold = split(material.clips, speakers)
        parts.append(evaluate(trained(rest, f"fold {number}"), material, fold))
    recipe = join(parts) if parts else None
    if recipe is not None and folds_path is not None:
        save_pooled(recipe, folds_path)
    trained_on = [material.clips[number] for number in train]
    held_out = evaluate(net, material, test)
    return ship(
        net, trained_on, held_out, recipe, out_dir,
        seed=seed, epochs=epochs, refine_epochs=refine_epochs,
    )  # fmt: skip


def ship(
    net: SpeechNet,
    trained_on: Sequence[SpeechClip],
    held_out: PooledClips,
    recipe: PooledClips | None,
    out_dir: Path,
    *,
    seed: int,
    epochs: int,
    refine_epochs: int,
) -> Card:
    """Exports a network with its card: ``held_out`` tells of itself, ``recipe`` of the folds."""
    out_dir.mkdir(parents=True, exist_ok=True)
    export_encoder(net, out_dir / MODEL_FILE)
    export_head(net, out_dir / HEAD_FILE)
    metrics = metrics_of(held_out, "held_out", f"held-out speakers {', '.join(HELD_OUT)}", seed)
    if recipe is not None:
        metrics |= metrics_of(
            recipe, "folds", "5 folds over speakers, other networks of this recipe", seed
        )
    card = card_of(
        LABELS, metrics, HELD_OUT, seed=seed, epochs=(epochs, refine_epochs), trained_on=trained_on
    )
    return write_card(out_dir, card)


def metrics_of(pooled: PooledClips, name: str, where: str, seed: int) -> dict[str, Any]:
    """Accuracy and UAR per corpus as card entries; intervals from resampling whole speakers."""
    truth, prediction = predictions(pooled)
    corpus = np.array([clip.corpus for clip in pooled.clips])
    speaker = np.array([clip.speaker for clip in pooled.clips])
    entries: dict[str, Any] = {}
    for of in CORPUS_LABELS:
        rows = corpus == of
        measures = (
            ("accuracy", accuracy, prediction),
            ("uar", unweighted_average_recall, prediction),
            ("accuracy_nine_classes", accuracy, pooled.logits.argmax(axis=1)),
        )
        for measure, function, found in measures:
            low, high = bootstrap_interval(
                function, truth[rows], found[rows], seed=seed, groups=speaker[rows]
            )
            entries[f"{name}_{of}_{measure}"] = {
                "value": round(function(truth[rows], found[rows]), 4),
                "interval_95": [round(low, 4), round(high, 4)],
                "n": int(rows.sum()),
                "speakers": len(set(speaker[rows])),
                "split": where,
                "seed": seed,
            }
    return entries


def save_pooled(pooled: PooledClips, path: Path) -> None:
    """Writes npz: ids, corpus, speaker, label (strings), statistics [N, 192], logits [N, 9]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        ids=np.array([clip.id for clip in pooled.clips]),
        corpus=np.array([clip.corpus for clip in pooled.clips]),
        speaker=np.array([clip.speaker for clip in pooled.clips]),
        label=np.array([clip.label for clip in pooled.clips]),
        statistics=pooled.statistics,
        logits=pooled.logits,
    )
