"""What out-of-fold predictions of the speech recipe say: ``realtime-er train speech --cv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime_er.encoders.bundle import sha256_of
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import Goal, Report, add_recalls
from realtime_er.training.evaluate.speech import sex_of
from realtime_er.training.metrics import accuracy, unweighted_average_recall
from realtime_er.training.speech.folds import FILE, read_folds

_PARTS = {
    "ravdess": ("RAVDESS, 5 folds over speakers", ravdess.LABELS, Goal(0.65)),
    "emodb": ("EMO-DB, folds over speakers", emodb.LABELS, Goal(0.75)),
}


def evaluate_folds(out_dir: Path, models_dir: Path) -> Report:
    """Reads ``folds.npz`` in the speech model's folder.

    The networks are other ones than the shipped model: this is what the recipe is worth.

    Raises:
        CorpusError: the file is not there, or is something else.
    """
    path = models_dir / "compact-speech" / FILE
    saved = read_folds(path)
    classes = [str(one) for one in saved["classes"]]
    report = Report("speech", "folds", path.name, sha256_of(path))
    truth = np.array([classes.index(str(one)) for one in saved["label"]], np.int64)
    for corpus, (on, own, goal) in _PARTS.items():
        rows = saved["corpus"] == corpus
        if not rows.any():
            continue
        allowed = np.array([label in own for label in classes])
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
        add_recalls(report, on, classes, truth[rows], found, unit="clips")
        report.pictures.append(
            pictures.confusion(
                out_dir / f"speech-folds-{corpus}-confusion.png", on, classes, truth[rows],
                found,
            )
        )  # fmt: skip
    report.notes.append("Other networks of the shipped model's recipe, one per fold.")
    return report
