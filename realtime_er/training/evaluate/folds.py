"""What out-of-fold predictions of the speech recipe say: ``realtime-er train speech --cv``."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import load_card
from realtime_er.errors import CorpusError
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import Goal, Report, add_recalls
from realtime_er.training.evaluate.speech import sex_of
from realtime_er.training.metrics import accuracy, unweighted_average_recall

FILE = "speech-folds.npz"
_PARTS = {
    "ravdess": ("RAVDESS, 5 folds over speakers", ravdess.LABELS, Goal(0.65)),
    "emodb": ("EMO-DB, folds over speakers", emodb.LABELS, Goal(0.75)),
}


def evaluate_folds(out_dir: Path, models_dir: Path) -> Report:
    """Reads ``speech-folds.npz`` (ids, corpus, speaker, label, logits) beside the reports.

    The networks are other ones than the shipped model: this is what the recipe is worth.

    Raises:
        CorpusError: the file is not there, or is something else.
    """
    card = load_card(models_dir / "compact-speech")
    saved = _read(out_dir / FILE)
    report = Report.of("speech", "folds", card)
    truth = np.array([card.labels.index(str(one)) for one in saved["label"]], np.int64)
    for corpus, (on, own, goal) in _PARTS.items():
        rows = saved["corpus"] == corpus
        if not rows.any():
            continue
        allowed = np.array([label in own for label in card.labels])
        found = np.where(allowed, saved["logits"][rows], -np.inf).argmax(axis=1).astype(np.int64)
        speaker = saved["speaker"][rows]
        report.measure(
            on, "UAR", unweighted_average_recall, truth[rows], found, unit="speakers",
            groups=speaker, goal=goal,
        )  # fmt: skip
        report.measure(
            on, "accuracy", accuracy, truth[rows], found, unit="speakers", groups=speaker
        )
        sex = np.array([sex_of(str(one)) for one in speaker])
        for which in ("women", "men"):
            some = sex == which
            report.measure(
                f"{on}, {which}", "UAR", unweighted_average_recall, truth[rows][some],
                found[some], unit="speakers", groups=speaker[some],
            )  # fmt: skip
        add_recalls(report, on, card.labels, truth[rows], found, unit="clips")
        report.pictures.append(
            pictures.confusion(
                out_dir / f"speech-folds-{corpus}-confusion.png", on, card.labels, truth[rows],
                found,
            )
        )  # fmt: skip
    report.notes.append("Other networks of the shipped model's recipe, one per fold.")
    return report


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise CorpusError(
            f"{path}: missing; make it with: realtime-er train speech --cv, and copy it there"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in ("corpus", "speaker", "label", "logits")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: not the folds of the speech recipe: {error}") from error
