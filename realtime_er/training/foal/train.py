"""Trains Foal-Net on IEMOCAP, a network for each session that is the test part."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.encoders.foal.wavlm import LoadedWavLM
from realtime_er.encoders.paper.own_labels import project_label
from realtime_er.errors import ConfigError
from realtime_er.fusion.foal import CLASSES, FoalNet, load_foal
from realtime_er.messages import LABELS, FloatArray
from realtime_er.training.foal.batches import FoalData, predict
from realtime_er.training.foal.clips import ClipPreparer, PictureEncoder, load_material
from realtime_er.training.foal.corpus import FoalClip, FoalCorpus, Fold, make_fold
from realtime_er.training.foal.files import (
    ARCHITECTURE,
    PREDICTIONS_FILE,
    Predictions,
    read_card,
    write_history,
    write_predictions,
)
from realtime_er.training.foal.fit import (
    CHECKPOINT_FILE,
    MODEL_FILE,
    FoalFit,
    FoalProgress,
    check_team,
    fit_foal,
)
from realtime_er.training.foal.recipe import FoalRecipe
from realtime_er.training.mer.fit import find_temperature
from realtime_er.training.mer.scores import class_recalls, interval
from realtime_er.training.mer.team import Team
from realtime_er.training.metrics import accuracy, unweighted_average_recall

Say = Callable[[str], None]


def train_foal(
    corpus: FoalCorpus,
    wavlm: LoadedWavLM,
    preparer: ClipPreparer,
    recipe: FoalRecipe,
    out_dir: Path,
    *,
    clip: PictureEncoder | None,
    sessions: Sequence[int] = (),
    published_split: bool = False,
    team: Team | None = None,
    say: Say = lambda _: None,
    progress: Callable[[FoalProgress], None] | None = None,
) -> list[Card]:
    """Prepares the clips, then trains and scores a network for each test session.

    A session that is trained already is passed by, one that was stopped goes on. Under
    ``accelerate launch`` every process takes its share of each batch and of the preparation.

    Args:
        corpus: the clips.
        wavlm: what training begins with.
        preparer: reads clips.
        recipe: how.
        out_dir: receives a folder ``sessionN`` for each, and ``skipped.csv``.
        clip: what described the pictures; None where their features were given.
        sessions: test sessions; all that there are, when empty.
        published_split: the test session chooses the epoch too.
        team: the processes that train together, and where; one on the CPU by default.
        say: told what is being done.
        progress: called after every epoch.

    Returns:
        The cards, in order of sessions; where a process writes nothing, only those found.

    Raises:
        CorpusError: a part is empty, or a file is damaged.
        ConfigError: there is no such session, a folder holds a run of other settings, or the
            processes cannot do what the recipe says.
    """
    unknown = [number for number in sessions if number not in corpus.sessions]
    if unknown:
        there = ", ".join(map(str, corpus.sessions))
        raise ConfigError(f"no session {unknown[0]} among the clips; there are {there}")
    team = team or Team("cpu")
    check_team(recipe, team)
    wanted = sessions or corpus.sessions
    for session in wanted:  # before hours of preparation, not after
        make_fold(
            corpus.clips, session, validation=recipe.validation, published_split=published_split
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    data, clips = prepare_clips(corpus, preparer, team, say, out_dir / "skipped.csv")
    cards = []
    for session in wanted:
        folder = out_dir / f"session{session}"
        fold = make_fold(
            clips, session, validation=recipe.validation, published_split=published_split
        )
        told = _decided(recipe, session, data, fold, clip, wavlm, published_split=published_split)
        if (folder / "card.json").is_file():
            card = _finished(folder, told)
            say(f"session {session}: is there already")
            cards.append(card)
            continue
        torch.manual_seed(recipe.seed)
        net = FoalNet(
            wavlm.config, data.picture_dim, len(CLASSES), dropout=recipe.dropout,
            positives=recipe.positives, temperature=recipe.temperature,
        )  # fmt: skip
        net.wavlm.load_state_dict(wavlm.net.state_dict())
        fit = fit_foal(
            net, data, fold, recipe, folder, team, session=session, told=told, progress=progress
        )
        del net  # the best epoch's weights are on disk; large ones are not kept twice
        _together(team)
        best = load_foal(folder / MODEL_FILE, wavlm.config).to(team.device)
        logits = {
            name: predict(best, data, rows, recipe.batch, team, normalise=recipe.normalise)
            for name, rows in (("val", fold.val), ("test", fold.test))
        }
        if team.rank == 0:
            card = _write(folder, told, fit, corpus, clips, fold, logits, wavlm.config)
            cards.append(card)
            say(_headline(card))
        _together(team)
    return cards


def _together(team: Team) -> None:
    if team.size > 1:
        distributed.barrier()


def prepare_clips(
    corpus: FoalCorpus,
    preparer: ClipPreparer,
    team: Team,
    say: Say,
    report: Path,
    sessions: Sequence[int] = (),
) -> tuple[FoalData, list[FoalClip]]:
    """Every clip that can be used, ready on disk; the others are listed with the reason.

    Args:
        corpus: the clips.
        preparer: reads them.
        team: each process takes its share.
        say: told how far it is.
        report: CSV file of what was left out; written by the first process.
        sessions: only these, or all.

    Raises:
        CorpusError: no clip can be used.
    """
    wanted = [clip for clip in corpus.clips if not sessions or clip.session in sessions]
    for number, clip in enumerate(wanted):
        if number % team.size == team.rank:
            preparer.prepare(clip.row, corpus.root)
        if team.rank == 0 and (number + 1) % 100 == 0:
            say(f"prepared {number + 1} of {len(wanted)} clips")
    _together(team)
    kept: list[tuple[Path, FoalClip]] = []
    lost = [(one.id, one.reason) for one in corpus.skipped]
    for clip in wanted:
        path = preparer.path_of(clip.row)
        reason = load_material(path).reason
        if reason:
            lost.append((clip.row.id, reason))
        else:
            kept.append((path, clip))
    if team.rank == 0:
        with report.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("id", "reason"), *lost])
        say(f"{len(kept)} clips, {len(lost)} skipped" + (f" (see {report})" if lost else ""))
    clips = [clip for _, clip in kept]
    return FoalData([path for path, _ in kept], [clip.label for clip in clips]), clips


def _decided(
    recipe: FoalRecipe,
    session: int,
    data: FoalData,
    fold: Fold,
    clip: PictureEncoder | None,
    wavlm: LoadedWavLM,
    *,
    published_split: bool,
) -> dict[str, Any]:
    """Everything that decides a network, as it stands in its card."""
    split = (
        "published: the best epoch on the test session, so the figures are too good"
        if published_split
        else f"{recipe.validation:g} of the training sessions' dialogues chose the epoch"
    )
    parts = {name: [data.names[row] for row in rows] for name, rows in asdict(fold).items()}
    return {
        "recipe": asdict(recipe),
        "session": session,
        "split": split,
        "published_split": published_split,
        "clips": {name: len(part) for name, part in parts.items()},
        "clips_sha256": hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        "wavlm": {"id": wavlm.encoder_id, "sha256": wavlm.sha256},
        "clip_sha256": "" if clip is None else clip.sha256,
        "picture_dim": data.picture_dim,
        "command": "realtime-er train foal",
    }


def _finished(folder: Path, told: dict[str, Any]) -> Card:
    card = read_card(folder, verify=False)
    other = [key for key, value in told.items() if card.raw["training"].get(key) != value]
    if other:
        raise ConfigError(
            f"{folder}: was trained with another {other[0]}; delete it, or name another --out"
        )
    return card


def shares_of(logits: FloatArray, temperature: float) -> FloatArray:
    """Calibrated probabilities of logits, float32 [N, C]."""
    return torch.softmax(torch.from_numpy(logits) / temperature, dim=1).numpy()


def figures_of(found: Predictions, resamples: int = 1000) -> dict[str, Any]:
    """UA, WA, their 95 % intervals over speakers, and each class' recall, as shares of 1."""
    truth, guess = (np.eye(len(CLASSES), dtype=np.float32)[x] for x in (found.truth, found.guess))
    groups = np.array(found.speakers, np.str_)
    figures: dict[str, Any] = {
        "UA": unweighted_average_recall(found.truth, found.guess),
        "WA": accuracy(found.truth, found.guess),
        "n": len(found.ids),
        "recalls": {
            name: None if np.isnan(recall) else round(recall, 4)
            for name, recall in zip(CLASSES, class_recalls(truth, guess), strict=True)
        },
    }
    for name, column in (("UA", "UAR"), ("WA", "Acc")):
        ends = interval(column, truth, guess, groups, multi=False, resamples=resamples)
        figures[f"{name}_95"] = None if ends is None else [round(end, 4) for end in ends]
    return figures


def _write(
    folder: Path,
    told: dict[str, Any],
    fit: FoalFit,
    corpus: FoalCorpus,
    clips: list[FoalClip],
    fold: Fold,
    logits: dict[str, FloatArray],
    config: dict[str, Any],
) -> Card:
    """Predictions, curves and the card; the checkpoint is not needed any more."""
    truth = np.array([clips[row].label for row in fold.val], np.int64)
    targets = np.eye(len(CLASSES), dtype=np.float32)[truth]
    temperature = find_temperature(logits["val"], targets, multi=False)
    parts = {}
    for name, rows in (("val", fold.val), ("test", fold.test)):
        own = [clips[row] for row in rows]
        parts[name] = Predictions(
            [clip.row.id for clip in own],
            [clip.row.speaker for clip in own],
            np.array([clip.label for clip in own], np.int64),
            shares_of(logits[name], temperature),
        )
    session = told["session"]
    write_predictions(folder / PREDICTIONS_FILE, session, parts)
    write_history(folder, f"Foal-Net, session {session} held out", fit.history)
    metrics: dict[str, Any] = {}
    for name, found in parts.items():
        figures = figures_of(found)
        for column in ("UA", "WA"):
            metrics[f"{name}.{column}"] = {
                "value": round(figures[column], 4),
                "n": figures["n"],
                "split": name,
                "interval_95": figures[f"{column}_95"],
            }
        metrics[f"{name}.recalls"] = figures["recalls"]
    card = write_card(
        folder,
        {
            "id": f"foal-iemocap-session{session}-{told['recipe']['seed']}",
            "kind": "fusion",
            "file": MODEL_FILE,
            "licence": "research use only: as the corpus it was trained on",
            "architecture": ARCHITECTURE,
            "encoders": {
                "audio": "WavLM, trained with the network and part of it",
                "face": f"clip/{told['clip_sha256'][:12] or 'features that were given'}",
            },
            "encoder_sha256": {"face": told["clip_sha256"]},
            "wavlm": config,
            "labels": list(CLASSES),
            "label_map": {
                label: [name for name in CLASSES if project_label(name) == label]
                for label in LABELS
            },
            "embedding_dim": config.get("hidden_size", 768) + told["picture_dim"],
            "input": {
                "sounds": "float32 [N, samples], mono at 16 kHz, the first six seconds",
                "pictures": f"float32 [N, frames, {told['picture_dim']}], the first six seconds",
            },
            "temperature": temperature,
            "prior": {name: 1.0 / len(CLASSES) for name in CLASSES},
            "prior_note": "uniform: classes are drawn evenly",
            "training": {
                **told,
                "best_epoch": fit.best_epoch,
                "selected_by": f"{'test' if told['published_split'] else 'val'} UA",
                "left_out": corpus.left_out,
            },
            "headline": ["test.UA", "test.WA"],
            "metrics": metrics,
        },
    )
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    return card


def _headline(card: Card) -> str:
    ua, wa = (100 * card.raw["metrics"][f"test.{name}"]["value"] for name in ("UA", "WA"))
    session = card.raw["training"]["session"]
    return f"session {session}: UA {ua:.1f}, WA {wa:.1f} (test, {card.raw['training']['split']})"
