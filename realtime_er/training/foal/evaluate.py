"""Trained Foal-Nets scored without training, beside the published figures; and on new recordings.

Nothing here needs labels to read a clip: a label is only compared with what came out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realtime_er.encoders.bundle import Card
from realtime_er.errors import ConfigError, CorpusError, SpecMismatch
from realtime_er.fusion.foal import CLASSES, FoalNet
from realtime_er.messages import LABELS, FloatArray
from realtime_er.training.foal import published
from realtime_er.training.foal.batches import make_batch, predict
from realtime_er.training.foal.clips import ClipPreparer, Material, PictureEncoder
from realtime_er.training.foal.corpus import FoalCorpus
from realtime_er.training.foal.files import (
    PREDICTIONS_FILE,
    Predictions,
    head_folders,
    load_trained,
    read_card,
    read_predictions,
)
from realtime_er.training.foal.recipe import FoalRecipe
from realtime_er.training.foal.train import figures_of, prepare_clips, shares_of
from realtime_er.training.mer.tables import Cell, Table, Value
from realtime_er.training.mer.team import Team

Say = Callable[[str], None]


def common_recipe(head: Path) -> FoalRecipe:
    """How the networks in a folder were trained; what they read must be described alike.

    Raises:
        WeightsMissing: there is no network.
        SpecMismatch: they were trained differently, so they make no table together.
    """
    cards = [read_card(folder, verify=False) for folder in head_folders(head)]
    recipes = [card.raw["training"]["recipe"] for card in cards]
    for card, recipe in zip(cards[1:], recipes[1:], strict=True):
        other = [name for name in recipe if recipe[name] != recipes[0].get(name)]
        if other:
            raise SpecMismatch(
                f"{card.folder}: trained with another {other[0]} than {cards[0].folder}; name one "
                "of them"
            )
    try:
        return FoalRecipe(**recipes[0])
    except TypeError as error:
        raise SpecMismatch(f"{cards[0].folder}: the card's recipe is unknown: {error}") from error


def check_clip(head: Path, clip: PictureEncoder | None) -> None:
    """Refuses pictures described by another CLIP than the networks were trained with.

    Raises:
        SpecMismatch: it is another, or there should be one and there is none.
    """
    for folder in head_folders(head):
        wanted = read_card(folder, verify=False).raw["encoder_sha256"]["face"]
        given = "" if clip is None else clip.sha256
        if wanted != given:
            raise SpecMismatch(
                f"{folder}: trained with {_source(wanted)}, not {_source(given)}; give the same"
            )


def _source(sha256: str) -> str:
    return f"--clip {sha256[:12]}" if sha256 else "given --features"


def _check_pictures(net: FoalNet, folder: Path, dim: int) -> None:
    """Refuses given features of another length than the network reads.

    Raises:
        SpecMismatch: they are.
    """
    wanted = net.v2a_head.in_features
    if dim != wanted:
        raise SpecMismatch(f"{folder}: reads {wanted} numbers of a frame, the features have {dim}")


def rescore(
    head: Path,
    corpus: FoalCorpus,
    preparer: ClipPreparer,
    out_dir: Path,
    *,
    device: str = "cpu",
    say: Say = lambda _: None,
) -> dict[int, Predictions]:
    """Reads the test session of each network again, without training.

    Args:
        head: folder of one network, or of ``sessionN`` folders.
        corpus: the clips.
        preparer: reads them as the networks were trained.
        out_dir: receives ``skipped.csv``.
        device: torch's name of where to run.
        say: told what is being done.

    Returns:
        Session to predictions.

    Raises:
        CorpusError: no clip of a session is there.
        WeightsMissing: a file is not there.
        SpecMismatch: the files contradict each other.
    """
    cards = [read_card(folder, verify=False) for folder in head_folders(head)]
    sessions = [int(card.raw["training"]["session"]) for card in cards]
    team = Team(device)
    if not set(sessions) & set(corpus.sessions):
        raise CorpusError(f"no clip of the test sessions {', '.join(map(str, sessions))} is there")
    data, clips = prepare_clips(
        corpus, preparer, team, say, out_dir / "skipped.csv", sessions=sessions
    )
    found = {}
    for card, session in zip(cards, sessions, strict=True):
        rows = [row for row, clip in enumerate(clips) if clip.session == session]
        if not rows:
            raise CorpusError(f"{card.folder}: no clip of its test session {session} is there")
        net, _ = load_trained(card.folder)
        _check_pictures(net, card.folder, data.picture_dim)
        recipe = card.raw["training"]["recipe"]
        logits = predict(
            net.to(device), data, rows, int(recipe["batch"]), team,
            normalise=bool(recipe["normalise"]),
        )  # fmt: skip
        own = [clips[row] for row in rows]
        found[session] = Predictions(
            [clip.row.id for clip in own],
            [clip.row.speaker for clip in own],
            np.array([clip.label for clip in own], np.int64),
            shares_of(logits, float(card.raw["temperature"])),
        )
        say(f"session {session}: {len(rows)} clips read")
    return found


def stored_predictions(head: Path) -> dict[int, Predictions]:
    """Session to the predictions that training left behind.

    Raises:
        WeightsMissing: there is no network.
        CorpusError: predictions are missing or damaged.
    """
    return {
        int(read_card(folder, verify=False).raw["training"]["session"]): read_predictions(
            folder / PREDICTIONS_FILE
        )
        for folder in head_folders(head)
    }


def write_tables(
    head: Path, found: dict[int, Predictions], out_dir: Path, *, resamples: int = 1000
) -> str:
    """Writes ``foal.md`` and ``foal.json``: ours beside the published figures.

    Args:
        head: where the networks are.
        found: session to predictions.
        out_dir: receives the files; made if it is not there.
        resamples: for 95 % intervals over speakers.

    Returns:
        The tables as Markdown: bold is measured here, in brackets is published.
    """
    recipe = common_recipe(head)
    splits = [read_card(folder, verify=False).raw["training"] for folder in head_folders(head)]
    figures = {session: figures_of(one, resamples) for session, one in sorted(found.items())}
    row = published.ablation_row(avel=recipe.avel > 0, mem=recipe.mem > 0)
    folds = [
        (f"session {session}, {one['n']} clips", _cells([one], (None, None)))
        for session, one in figures.items()
    ]
    folds.append(("mean", _cells(list(figures.values()), published.ABLATION[row])))
    told = f"UA is the mean recall, WA the accuracy. {_told_split(splits)}"
    if len(figures) < 5:
        told += f" Only {len(figures)} of 5 sessions are trained."
    settings = (
        f"{recipe.positives} over positives, temperature {recipe.temperature}, weights "
        f"{recipe.avel:g} (AVEL) and {recipe.mem:g} (MEM), image {recipe.image}, sound "
        f"{'normalised' if recipe.normalise else 'not normalised'}, seed {recipe.seed}."
    )
    rows = [
        (name, _cells(list(figures.values()) if name == row else [], line))
        for name, line in published.ABLATION.items()
    ]
    others = [(name, _cells([], line)) for name, line in (*published.SINGLE, *published.OTHERS)]
    tables = [
        Table("IEMOCAP, four classes, by test session", "held out", published.COLUMNS, folds,
              [told, settings]),
        Table("IEMOCAP, four classes, beside the publication", "reads", published.COLUMNS,
              rows + others,
              ["Published figures are those of the epoch that is best on the test session."]),
    ]  # fmt: skip
    text = "## Foal-Net\n\n**Bold** is measured here, (in brackets) is published; percent.\n\n"
    text += "\n".join(table.markdown() for table in tables)
    record = {
        "head": str(head),
        "sessions": figures,
        "tables": [table.to_record() for table in tables],
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "foal.md").write_text(text, encoding="utf-8")
    (out_dir / "foal.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
    )
    return text


def _cells(figures: Sequence[dict[str, Any]], line: published.Line) -> list[Cell]:
    cells: list[Cell] = []
    for name, known in zip(published.COLUMNS, line, strict=True):
        ends = figures[0][f"{name}_95"] if len(figures) == 1 else None
        clips = sum(one["n"] for one in figures)
        shares = [one[name] for one in figures]
        interval_95 = None if ends is None else (ends[0], ends[1])
        cells.append((Value.of(shares, known, interval_95=interval_95, n=clips),))
    return cells


def _told_split(training: Sequence[dict[str, Any]]) -> str:
    kinds = {bool(one["published_split"]) for one in training}
    if kinds == {True}:
        return "The test session chose the epoch, as published: these figures are too good."
    if kinds == {False}:
        return "Dialogues of the training sessions chose the epoch; the test session did not."
    return "Some networks chose the epoch on the test session, as published, and some did not."


def read_media(
    head: Path,
    files: Sequence[Path],
    preparer: ClipPreparer,
    out_dir: Path,
    *,
    device: str = "cpu",
) -> str:
    """How new recordings read: the first six seconds of each, no label needed.

    Several networks give the mean of their calibrated probabilities.

    Args:
        head: folder of one network, or of ``sessionN`` folders.
        files: recordings with sound and pictures.
        preparer: reads them as the networks were trained.
        out_dir: receives ``foal-media.csv`` with the project's seven columns, empty where the
            network has no such class; made if it is not there.
        device: torch's name of where to run.

    Returns:
        A table as Markdown.

    Raises:
        ConfigError: no file is named.
        WeightsMissing: a file of a network is not there.
        SpecMismatch: the files contradict each other.
    """
    if not files:
        raise ConfigError("name a recording with --media FILE")
    read = {path: preparer.read_file(path) for path in files}
    shares: dict[Path, list[FloatArray]] = {path: [] for path in files}
    card: Card | None = None
    for folder in head_folders(head):
        net, card = load_trained(folder)
        net.to(device)
        for path, material in read.items():
            if not material.reason:
                _check_pictures(net, folder, material.pictures.shape[1])
                shares[path].append(_one(net, card, material, device))
    means = {path: np.mean(own, axis=0) for path, own in shares.items() if own}
    out_dir.mkdir(parents=True, exist_ok=True)
    with (out_dir / "foal-media.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "reads_as", *LABELS, "reason"])
        for path in files:
            columns = [""] * len(LABELS)
            label = ""
            if path in means and card is not None:
                seven = card.to_project_labels(means[path])
                columns = ["" if np.isnan(share) else f"{share:.6f}" for share in seven]
                label = LABELS[int(np.nanargmax(seven))]
            writer.writerow([path, label, *columns, read[path].reason])
    lines = [f"| file | {' | '.join(CLASSES)} |", "|" + "---|" * (1 + len(CLASSES))]
    for path in files:
        told = read[path].reason
        if path in means:
            told = " | ".join(f"{100 * share:.0f} %" for share in means[path])
        lines.append(f"| {path} | {told} |")
    return "\n".join(lines) + "\n"


def _one(net: FoalNet, card: Card, material: Material, device: str) -> FloatArray:
    normalise = bool(card.raw["training"]["recipe"]["normalise"])
    with torch.no_grad():
        logits = net(make_batch([material], normalise=normalise).to(device)).logits
    found: FloatArray = shares_of(logits.float().cpu().numpy(), float(card.raw["temperature"]))[0]
    return found
