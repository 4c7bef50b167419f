"""Trains the compact speech encoder on acted emotional speech, and says how well.

A network is trained twice: from scratch towards the classes, then on with Whisper's states as
further targets (:mod:`realtime_er.training.speech.refine`).

Two results with different meanings: five folds over speakers, and networks that know one corpus
only, tell what the *recipe* is worth; the shipped encoder is trained once on a fixed set of
speakers, and the speakers it never heard (:data:`HELD_OUT`) are what fusion, calibration and their
evaluation may use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.metrics import accuracy, bootstrap_interval, unweighted_average_recall
from realtime_er.training.progress import Tell
from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.export import (
    HEAD_FILE,
    MODEL_FILE,
    card_of,
    export_encoder,
    export_head,
)
from realtime_er.training.speech.features import SpeechMaterial, prepare
from realtime_er.training.speech.fit import Keeping, fit
from realtime_er.training.speech.folds import FILE as FOLDS_FILE
from realtime_er.training.speech.folds import add_fold, speakers_done, without
from realtime_er.training.speech.loss import CORPUS_LABELS, LABELS, allowed_classes
from realtime_er.training.speech.model import FRAMES_PER_STEP, SpeechNet, clip_features, pool
from realtime_er.training.speech.refine import refine
from realtime_er.training.speech.speakers import FOLDS, HELD_OUT, TEST_SPEAKERS, sex_of
from realtime_er.training.speech.teacher import standardised, whisper_states

__all__ = [
    "CORPUS_LABELS", "FOLDS", "HELD_OUT", "LABELS", "PooledClips", "evaluate",
    "fit", "metrics_of", "predictions", "read_clips", "refine", "split", "train_folds",
    "train_speech",
]  # fmt: skip


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
    """Both corpora, RAVDESS first, without the speakers of their test parts.

    Raises:
        CorpusError: one is absent.
    """
    every = ravdess.read_ravdess(data_dir) + emodb.read_emodb(data_dir)
    return [clip for clip in every if clip.speaker not in TEST_SPEAKERS]


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


def train_speech(
    data_dir: Path,
    out_dir: Path,
    recipe: SpeechRecipe | None = None,
    *,
    threads: int = 1,
    progress: Tell | None = None,
) -> Card:
    """Trains the shipped encoder, exports it, and measures it on the speakers held out.

    A run that was stopped goes on from the checkpoints in ``out_dir``; the loss of each epoch is in
    ``curves.csv`` there.

    Args:
        data_dir: folder that holds ``ravdess_speech/`` and ``emodb/``.
        out_dir: where ``model.onnx``, ``head.onnx`` and ``card.json`` go.
        recipe: how; None for that of the shipped model.
        threads: torch threads; another number may change the last digits.
        progress: told within each epoch, and after it, in this thread.

    Raises:
        CorpusError: a corpus is absent.
        WeightsMissing: the teacher, Whisper tiny.en, is absent.
    """
    how = recipe or SpeechRecipe()
    taught = _Taught(data_dir, how, threads)
    train, test = split(taught.material.clips, HELD_OUT)
    keeping = Keeping("shipped", progress, out_dir)
    net = taught.network(train, keeping)
    held_out = evaluate(net, taught.material, test)
    out_dir.mkdir(parents=True, exist_ok=True)
    export_encoder(net, out_dir / MODEL_FILE)
    export_head(net, out_dir / HEAD_FILE)
    where = f"held-out speakers {', '.join(HELD_OUT)}"
    metrics = metrics_of(held_out, "held_out", where, how.seed)
    trained_on = [taught.material.clips[number] for number in train]
    card = write_card(
        out_dir, card_of(LABELS, metrics, HELD_OUT, recipe=how, trained_on=trained_on)
    )
    _discard(keeping)
    return card


def train_folds(
    data_dir: Path,
    out_dir: Path,
    recipe: SpeechRecipe | None = None,
    *,
    threads: int = 1,
    progress: Tell | None = None,
) -> list[Path]:
    """Trains networks for :data:`FOLDS` and without either corpus; keeps what they say of the rest.

    What the recipe is worth on other speakers and on another corpus, which ``realtime-er evaluate
    speech --split folds`` reads. Goes on with the networks that a run before has not finished.
    Each has its own embedding space, so only logits are kept: they serve analysis, never the
    training of a fusion head.

    Args:
        data_dir: as of :func:`train_speech`, and the others too.
        out_dir: where the files go, see :mod:`realtime_er.training.speech.folds`.
        recipe: how; None for that of the shipped model.
        threads: torch threads.
        progress: told within each epoch, and after it, in this thread.

    Returns:
        The files.

    Raises:
        CorpusError: a corpus is absent, or a file there is of another recipe.
        WeightsMissing: the teacher is absent.
    """
    how = recipe or SpeechRecipe()
    spoken_by = {corpus: set[str]() for corpus in CORPUS_LABELS}
    for clip in read_clips(data_dir):
        spoken_by[clip.corpus].add(clip.speaker)
    wanted = [(without(name), one, f"without {name}") for name, one in spoken_by.items()]
    wanted += [(FOLDS_FILE, set(one), f"fold {at}") for at, one in enumerate(FOLDS, start=1)]
    here = set[str]().union(*spoken_by.values())
    done = {file: speakers_done(out_dir / file, how) for file, _, _ in wanted}
    missing = [
        (file, apart, run) for file, apart, run in wanted if not (apart & here) <= done[file]
    ]
    if missing:
        taught = _Taught(data_dir, how, threads)
        out_dir.mkdir(parents=True, exist_ok=True)
        for file, apart, run in missing:
            rest, fold = split(taught.material.clips, sorted(apart))
            keeping = Keeping(run, progress, out_dir)
            pooled = evaluate(taught.network(rest, keeping), taught.material, fold)
            add_fold(out_dir / file, pooled.clips, pooled.logits, LABELS, how)
            _discard(keeping)
    return [out_dir / file for file in done]


class _Taught:
    """Material and teacher, made once, and networks of one recipe on any of the clips."""

    def __init__(self, data_dir: Path, recipe: SpeechRecipe, threads: int) -> None:
        torch.set_num_threads(threads)
        clips = read_clips(data_dir)
        self._recipe = recipe
        self._heard = whisper_states(clips, threads) if recipe.refine_epochs else None
        self.material = prepare(clips, recipe.versions, recipe.seed)

    def network(self, train: Sequence[int], keeping: Keeping) -> SpeechNet:
        """One trained on the clips of these numbers."""
        net = fit(self.material, train, self._recipe, keeping)
        if self._heard is None:
            return net
        teacher = standardised(*self._heard, train)
        return refine(net, self.material, teacher, train, self._recipe, _second(keeping))


def _second(keeping: Keeping) -> Keeping:
    return replace(keeping, run=f"{keeping.run}, with teacher")


def _discard(keeping: Keeping) -> None:
    """What was trained is saved: nothing will go on from here."""
    for one in (keeping, _second(keeping)):
        if (path := one.checkpoint()) is not None:
            path.unlink(missing_ok=True)


def metrics_of(pooled: PooledClips, name: str, where: str, seed: int) -> dict[str, Any]:
    """Accuracy and UAR per corpus, by sex, and recalls, as card entries.

    Intervals are of whole speakers drawn again; a sex has too few for one.
    """
    truth, prediction = predictions(pooled)
    corpus = np.array([clip.corpus for clip in pooled.clips])
    speaker = np.array([clip.speaker for clip in pooled.clips])
    sex = np.array([sex_of(one) for one in speaker])
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
        for which in ("women", "men"):
            some = rows & (sex == which)
            if some.any():
                entries[f"{name}_{of}_{which}_uar"] = {
                    "value": round(unweighted_average_recall(truth[some], prediction[some]), 4),
                    "n": int(some.sum()),
                    "speakers": len(set(speaker[some])),
                    "split": where,
                    "seed": seed,
                }
        for index in np.unique(truth[rows]):
            own = rows & (truth == index)
            about = accuracy, truth[own], prediction[own]
            low, high = bootstrap_interval(*about, seed=seed, groups=speaker[own])
            entries[f"{name}_{of}_recall_{LABELS[index]}"] = {
                "value": round(accuracy(truth[own], prediction[own]), 4),
                "interval_95": [round(low, 4), round(high, 4)],
                "n": int(own.sum()),
                "split": where,
                "seed": seed,
            }
    return entries
