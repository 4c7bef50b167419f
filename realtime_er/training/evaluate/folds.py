"""What networks of the speech recipe say of clips they never heard: ``train speech --cv``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import sha256_of
from realtime_er.fusion.head import softmax
from realtime_er.messages import LABELS
from realtime_er.training.calibration import find_temperature
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.label_schemes import SCHEMES
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.chance import ECE_GOAL, add_chance
from realtime_er.training.evaluate.report import Goal, Report, add_recalls
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    unweighted_average_recall,
)
from realtime_er.training.speech.folds import FILE, read_folds, without
from realtime_er.training.speech.speakers import FOLDS, sex_of

_PARTS = {
    "ravdess": ("RAVDESS, folds over speakers", ravdess.LABELS, Goal(0.65)),
    "emodb": ("EMO-DB, folds over speakers", emodb.LABELS, Goal(0.75)),
}
_SHARED = tuple(label for label in ravdess.LABELS if label in emodb.LABELS)
_HELD_OUT = {
    "ravdess": "RAVDESS, of networks that know EMO-DB (German) only",
    "emodb": "EMO-DB, of networks that know RAVDESS (English) only",
}


def evaluate_folds(out_dir: Path, models_dir: Path) -> Report:
    """Reads ``folds.npz`` and ``without-CORPUS.npz`` in the speech model's folder.

    The networks are other ones than the shipped model: this is what the recipe is worth.

    Raises:
        CorpusError: ``folds.npz`` is not there, or a file is something else.
    """
    path = models_dir / "compact-speech" / FILE
    saved = read_folds(path)
    report = Report("speech", "folds", path.name, sha256_of(path))
    done = set(saved["speaker"].tolist())
    for corpus, (on, own, goal) in _PARTS.items():
        rows = saved["corpus"] == corpus
        wanted = {one for fold in FOLDS for one in fold if one.startswith(corpus)}
        told = f"{on}, {len(wanted & done)} of {len(wanted)}"
        if rows.any():
            # Some of the folds say nothing about a goal that is for all of them.
            own_goal = goal if wanted <= done else None
            _add(report, saved, rows, told, own, own_goal, out_dir / f"speech-folds-{corpus}")
        if not wanted <= done:
            report.notes.append(f"{told} speakers so far: realtime-er train speech --cv goes on.")
    _add_calibration(report, saved)
    for corpus, on in _HELD_OUT.items():
        apart = path.with_name(without(corpus))
        if not apart.is_file():
            report.notes.append(f"{on}: not measured, {apart.name} is missing.")
            continue
        saved = read_folds(apart)
        # Clips of emotions that the other corpus lacks (calm, surprise, boredom) have no answer.
        rows = np.isin(saved["label"], _SHARED)
        goal = Goal(round(2 / len(_SHARED), 4))
        _add(report, saved, rows, on, _SHARED, goal, out_dir / f"speech-without-{corpus}")
    report.notes.append(
        f"Other networks of the shipped model's recipe. Across corpora the {len(_SHARED)} emotions "
        "of both compete; the goal there is twice chance."
    )
    return report


def _add_calibration(report: Report, saved: dict[str, npt.NDArray[Any]]) -> None:
    """The seven emotions, each fold with the temperature that fits the other folds' clips.

    Nothing without two folds.
    """
    classes = [str(one) for one in saved["classes"]]
    maps = SCHEMES["seven"].maps
    seven = {own: LABELS.index(label) for one in _PARTS for own, label in maps[one].items()}
    logits = saved["logits"].astype(np.float64)
    truth = np.array([classes.index(str(one)) for one in saved["label"]], np.int64)
    fold_of = {speaker: fold for fold, speakers in enumerate(FOLDS) for speaker in speakers}
    folds = np.array([fold_of[str(one)] for one in saved["speaker"]])
    if len(np.unique(folds)) < 2:
        return
    guesses = np.zeros((len(truth), len(LABELS)))
    for fold in np.unique(folds):
        own, others = folds == fold, folds != fold
        shares = softmax(logits[own] / find_temperature(logits[others], truth[others]))
        for column, name in enumerate(classes):
            guesses[own, seven[name]] += shares[:, column]
    labels = np.array([seven[str(one)] for one in saved["label"]], np.int64)
    speakers = len(np.unique(saved["speaker"]))
    on = f"both, {speakers} speakers, the project's seven"
    report.add(on, "expected calibration error", expected_calibration_error(labels, guesses),
               n=len(labels), goal=ECE_GOAL, note="temperature of the other folds")  # fmt: skip
    add_chance(report, on, np.arange(len(labels)), guesses, np.ones(len(labels)))


def _add(
    report: Report,
    saved: dict[str, npt.NDArray[Any]],
    rows: npt.NDArray[np.bool_],
    on: str,
    own: tuple[str, ...],
    goal: Goal | None,
    stem: Path,
) -> None:
    """Some rows of a file; only the classes ``own`` compete."""
    classes = [str(one) for one in saved["classes"]]
    names = [label for label in own if label in classes]
    truth = np.array([names.index(str(one)) for one in saved["label"][rows]], np.int64)
    columns = [classes.index(label) for label in names]
    found = saved["logits"][rows][:, columns].argmax(axis=1).astype(np.int64)
    speaker = saved["speaker"][rows]
    report.measure(
        on, "UAR", unweighted_average_recall, truth, found, unit="speakers", groups=speaker,
        goal=goal,
    )  # fmt: skip
    report.measure(on, "accuracy", accuracy, truth, found, unit="speakers", groups=speaker)
    sex = np.array([sex_of(str(one)) for one in speaker])
    for which in ("women", "men"):
        some = sex == which
        report.measure(
            f"{on}, {which}", "UAR", unweighted_average_recall, truth[some], found[some],
            unit="speakers", groups=speaker[some],
        )  # fmt: skip
    add_recalls(report, on, names, truth, found, unit="clips")
    picture = stem.with_name(f"{stem.name}-confusion.png")
    report.pictures.append(pictures.confusion(picture, on, names, truth, found))
