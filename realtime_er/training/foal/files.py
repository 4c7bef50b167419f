"""What a trained Foal-Net leaves in its folder, and reading it back.

card.json           everything that decided it, with its figures
model.safetensors   the network, WavLM included, under the published names
predictions.csv     every clip of the validation and the test part
history.json        losses, rate and figures of every epoch; curves.png draws them
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.paper.checkpoints import read_state
from realtime_er.errors import CorpusError, SpecMismatch, WeightsMissing
from realtime_er.fusion.foal import CLASSES, FoalNet, foal_from_state
from realtime_er.messages import FloatArray
from realtime_er.palette import COLOURS, MODALITY_COLOURS

ARCHITECTURE = "foal"
PREDICTIONS_FILE = "predictions.csv"
HISTORY_FILE = "history.json"
CURVES_FILE = "curves.png"
_COLUMNS = ("id", "session", "part", "speaker", "label", "reads_as")


@dataclass(frozen=True)
class Predictions:
    """Clips of one part, and what they read as.

    Attributes:
        ids: str [N].
        speakers: str [N].
        truth: int64 [N], places in ``fusion.foal.CLASSES``.
        probabilities: float32 [N, 4].
    """

    ids: list[str]
    speakers: list[str]
    truth: npt.NDArray[np.int64]
    probabilities: FloatArray

    @property
    def guess(self) -> npt.NDArray[np.int64]:
        """int64 [N], the likeliest class of each."""
        chosen: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return chosen


def write_predictions(path: Path, session: int, parts: dict[str, Predictions]) -> None:
    """Writes a CSV file with a header, a row for every clip."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*_COLUMNS, *CLASSES])
        for part, found in parts.items():
            rows = zip(
                found.ids,
                found.speakers,
                found.truth,
                found.guess,
                found.probabilities,
                strict=True,
            )
            for name, speaker, truth, guess, shares in rows:
                told = [f"{share:.6f}" for share in shares]
                writer.writerow(
                    [name, session, part, speaker, CLASSES[truth], CLASSES[guess], *told]
                )


def read_predictions(path: Path, part: str = "test") -> Predictions:
    """Reads one part of what ``write_predictions`` wrote.

    Raises:
        CorpusError: the file is missing, has other columns, or a row is not of four classes.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: missing; score the head on its clips with --data DIR")
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            rows = [row for row in reader if row["part"] == part]
            return Predictions(
                [row["id"] for row in rows],
                [row["speaker"] for row in rows],
                np.array([CLASSES.index(row["label"]) for row in rows], np.int64),
                np.array(
                    [[float(row[name]) for name in CLASSES] for row in rows], np.float32
                ).reshape(-1, len(CLASSES)),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise CorpusError(f"{path}: not predictions of Foal-Net ({error})") from error


def write_history(folder: Path, title: str, history: Sequence[dict[str, float]]) -> None:
    """Writes the epochs' figures, and a picture of them."""
    # Slow to import, and scoring draws nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    text = json.dumps(list(history), indent=1) + "\n"
    (folder / HISTORY_FILE).write_text(text, encoding="utf-8")
    epochs = [epoch["epoch"] for epoch in history]
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, figures = figure.subplots(1, 2)
    for name, key, colour in (
        ("training, all losses", "loss", COLOURS["Neutral"]),
        ("training, cross-entropy", "ce", COLOURS["Sad"]),
        ("validation, cross-entropy", "val_loss", COLOURS["Angry"]),
    ):
        losses.plot(epochs, [epoch[key] for epoch in history], label=name, color=colour)
    for name, key, colour in (
        ("UA (mean recall)", "UA", MODALITY_COLOURS["face"]),
        ("WA (accuracy)", "WA", MODALITY_COLOURS["audio"]),
    ):
        figures.plot(epochs, [100 * epoch[key] for epoch in history], label=name, color=colour)
    losses.set_ylabel("loss")
    figures.set_ylabel("validation, percent")
    for axes in (losses, figures):
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(folder / CURVES_FILE, dpi=120)


def head_folders(head: Path) -> list[Path]:
    """The folders of trained networks: this one, or one for each session in it.

    Raises:
        WeightsMissing: there is none.
    """
    if (head / "card.json").is_file():
        return [head]
    found = sorted(path.parent for path in head.glob("session*/card.json"))
    if not found:
        raise WeightsMissing(
            f"{head}: neither card.json nor session*/card.json is there; train it with: "
            "realtime-er train foal"
        )
    return found


def read_card(folder: Path, *, verify: bool = True) -> Card:
    """The card of a trained Foal-Net.

    Raises:
        WeightsMissing: there is no card, or no weights.
        SpecMismatch: it is another model's, or incomplete.
    """
    card = load_card(folder, verify=verify)
    if card.raw.get("architecture") != ARCHITECTURE:
        raise SpecMismatch(f"{folder}: a {card.kind} model, not a Foal-Net")
    if card.labels != CLASSES:
        raise SpecMismatch(f"{folder}: classes {list(card.labels)}, not {list(CLASSES)}")
    try:
        training: dict[str, Any] = card.raw["training"]
        for name in ("image", "rate_hz", "normalise", "excited", "batch", "avel", "mem"):
            _ = training["recipe"][name]
        _ = (training["session"], card.raw["wavlm"], card.raw["encoder_sha256"]["face"])
        _ = float(card.raw["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise SpecMismatch(f"{folder}: the card lacks {error}; train it again") from error
    return card


def load_trained(folder: Path) -> tuple[FoalNet, Card]:
    """A trained network in evaluation mode on the CPU, and its card.

    Raises:
        WeightsMissing: a file is not there.
        SpecMismatch: the files contradict each other.
    """
    card = read_card(folder)
    return foal_from_state(read_state(card.path), card.path, card.raw["wavlm"]), card
