"""Trains the compact speech encoder from scratch on acted emotional speech, and says how well.

Two results with different meanings: five folds over speakers tell what the *recipe* is worth; the
shipped encoder is trained once on a fixed set of speakers, and the speakers it never heard
(:data:`HELD_OUT`) are what fusion, calibration and their evaluation may use.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

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
from realtime_er.training.speech_features import SpeechMaterial, draw_batch, prepare
from realtime_er.training.speech_model import FRAMES_PER_STEP, SpeechNet, clip_features, pool

LABELS = (
    "neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise", "boredom",
)  # fmt: skip
CORPUS_LABELS = {"ravdess": ravdess.LABELS, "emodb": emodb.LABELS}
EPOCHS = 56
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
_BATCH = 32
_PEAK_RATE = 3e-3
_WEIGHT_DECAY = 0.03
_EMA_DECAY = 0.995
_SMOOTHING = 0.05
_STEP_LOSS = 0.3


@dataclass(frozen=True)
class SpeechProgress:
    """State after one epoch: which run ("fold 1"), epoch from 1, of how many, loss, seconds."""

    run: str
    epoch: int
    epochs: int
    loss: float
    elapsed_s: float


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


def _allowed(clips: Sequence[SpeechClip]) -> Tensor:
    """Which joint classes each clip's corpus has, bool [N, 9]."""
    return torch.tensor([[label in CORPUS_LABELS[c.corpus] for label in LABELS] for c in clips])


def _weights(clips: Sequence[SpeechClip], train: Sequence[int]) -> Tensor:
    """Weight of each clip in the loss, float32 [N]: half way towards equal classes per corpus."""
    counts = Counter((clips[number].corpus, clips[number].label) for number in train)
    sizes = Counter(clips[number].corpus for number in train)
    return torch.tensor(
        [
            (sizes[c.corpus] / len(CORPUS_LABELS[c.corpus]) / max(1, counts[c.corpus, c.label]))
            ** 0.5
            for c in clips
        ]
    )


def _loss(logits: Tensor, truth: Tensor, allowed: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy over the classes that each clip's corpus has, with smoothed targets.

    A corpus must not teach that a class it lacks is improbable: that would only teach its
    microphone and its language.
    """
    logs = functional.log_softmax(logits.masked_fill(~allowed, -1e4), dim=1)
    right = functional.nll_loss(logs, truth, reduction="none")
    spread = -(logs * allowed).sum(dim=1) / allowed.sum(dim=1)
    return (weight * ((1.0 - _SMOOTHING) * right + _SMOOTHING * spread)).mean()


def fit(
    material: SpeechMaterial,
    train: Sequence[int],
    *,
    seed: int,
    epochs: int = EPOCHS,
    run: str = "",
    progress: Callable[[SpeechProgress], None] | None = None,
) -> SpeechNet:
    """Trains one network on the clips ``train`` (numbers within ``material``).

    The schedule is fixed; nothing is chosen by looking at the other clips. Deterministic for a
    seed and a number of threads. Returns the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    members = torch.tensor(list(train))
    truth = torch.tensor([LABELS.index(clip.label) for clip in material.clips])
    allowed = _allowed(material.clips)
    weights = _weights(material.clips, train)
    net = SpeechNet(len(LABELS))
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    batches = len(members) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _PEAK_RATE, total_steps=max(2, epochs * batches), pct_start=0.2
    )
    started_s = time.monotonic()
    for epoch in range(1, epochs + 1):
        net.train()
        total = 0.0
        order = members[torch.randperm(len(members), generator=rng)]
        for number in range(batches):
            chosen = order[number * _BATCH : (number + 1) * _BATCH]
            features, steps = draw_batch(material, chosen, rng)
            embeddings, _ = net.encode(features)
            pooled = pool(embeddings, steps)
            size = embeddings.shape[2]
            about = truth[chosen], allowed[chosen], weights[chosen]
            loss = _loss(net.head(pooled), *about)
            loss = loss + _STEP_LOSS * _loss(net.step_head(pooled[:, :size]), *about)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            with torch.no_grad():
                for kept, new in zip(
                    average.state_dict().values(), net.state_dict().values(), strict=True
                ):
                    if kept.is_floating_point():
                        kept.lerp_(new, 1.0 - _EMA_DECAY)
                    else:
                        kept.copy_(new)
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            progress(SpeechProgress(run, epoch, epochs, total / max(1, batches), elapsed_s))
    return average.eval()


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
    competing = np.where(_allowed(pooled.clips).numpy(), pooled.logits, -np.inf)
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
    threads: int = 1,
    folds: bool = True,
    folds_path: Path | None = None,
    progress: Callable[[SpeechProgress], None] | None = None,
) -> Card:
    """Trains the shipped encoder, exports it, and measures model and recipe.

    Args:
        data_dir: folder that holds ``ravdess_speech/`` and ``emodb/``.
        out_dir: where ``model.onnx``, ``head.onnx`` and ``card.json`` go.
        seed: of disturbances, weights and order.
        epochs: per network; the shipped card says how many it took.
        threads: torch threads; another number may change the last digits.
        folds: train the five fold networks too (five times the time), for the recipe's figures.
        folds_path: where to keep the folds' pooled results (npz). Each fold has its own embedding
            space, so these serve analysis, never the training of a fusion head.
        progress: called after each epoch, in this thread.

    Raises:
        CorpusError: a corpus is absent.
    """
    torch.set_num_threads(threads)
    material = prepare(read_clips(data_dir), VERSIONS, seed)
    train, test = split(material.clips, HELD_OUT)
    net = fit(material, train, seed=seed, epochs=epochs, run="shipped", progress=progress)
    parts: list[PooledClips] = []
    for number, speakers in enumerate(FOLDS if folds else (), start=1):
        rest, fold = split(material.clips, speakers)
        of_fold = fit(
            material, rest, seed=seed, epochs=epochs, run=f"fold {number}", progress=progress
        )
        parts.append(evaluate(of_fold, material, fold))
    recipe = join(parts) if parts else None
    if recipe is not None and folds_path is not None:
        save_pooled(recipe, folds_path)
    trained_on = [material.clips[number] for number in train]
    held_out = evaluate(net, material, test)
    return ship(net, trained_on, held_out, recipe, out_dir, seed=seed, epochs=epochs)


def ship(
    net: SpeechNet,
    trained_on: Sequence[SpeechClip],
    held_out: PooledClips,
    recipe: PooledClips | None,
    out_dir: Path,
    *,
    seed: int,
    epochs: int,
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
    card = card_of(LABELS, metrics, HELD_OUT, seed=seed, epochs=epochs, trained_on=trained_on)
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
