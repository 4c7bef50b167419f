"""``realtime-er evaluate``: measures the shipped models, never trains.

Each evaluation reads a model through its card and a corpus through its reader, and writes
``NAME-SPLIT.md``, ``NAME-SPLIT.json`` and pictures. Seeds and splits are fixed:

    valid   what is here and taught nothing: FER+ valid, held-out speakers, dev texts, the detector's
            held-out people and clips; of the fusion head, what heads of its recipe said of folds
            they never saw, saved by training
    test    the corpora's test parts, laid out like those that are here
    folds   speech only: out-of-fold predictions saved by ``realtime-er train speech --cv``
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from realtime_er.encoders.bundle import bundle_dir
from realtime_er.errors import ConfigError, CorpusError, ModelError
from realtime_er.training.evaluate.report import Report

_EVALUATIONS = {
    "face": ("faces", "evaluate_face"),
    "detector": ("detectors", "evaluate_detector"),
    "speech": ("speech", "evaluate_speech"),
    "text": ("texts", "evaluate_text"),
    "fusion": ("fusions", "evaluate_fusion"),
    "calibration": ("fusions", "evaluate_calibration"),
}
NAMES = (*_EVALUATIONS, "all")
"""What can be evaluated."""

SPLITS = ("valid", "test", "folds")
"""The parts; "dev" is another word for "valid"."""


def run(
    name: str,
    data_dir: str | Path,
    split: str = "valid",
    out_dir: str | Path = "evaluation",
    *,
    models_dir: Path | None = None,
    done: Callable[[Report], None] | None = None,
) -> list[Report]:
    """Measures one model, or all of them, and writes the reports.

    Args:
        name: one of :data:`NAMES`.
        data_dir: the corpora's folder.
        split: one of :data:`SPLITS`, or "dev".
        out_dir: receives the reports and pictures; made if it is not there.
        models_dir: folder of the models' folders; None for those that ship with the package.

        done: called with each report once it is written.

    Returns:
        The reports. With ``all``, a model whose data are absent has a report without rows whose
        note says so.

    Raises:
        ConfigError: no such name or split.
        CorpusError: the data are not there; with ``all``, those of no model.
        ModelError: a model is missing or broken; with ``all``, once the others are measured.
    """
    if name not in NAMES:
        raise ConfigError(f"cannot evaluate {name!r}; there are {', '.join(NAMES)}")
    part = "valid" if split == "dev" else split
    if part not in SPLITS:
        raise ConfigError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if part == "folds" and name != "speech":
        raise ConfigError(f"only speech has folds; evaluate {name} --split valid")
    models = bundle_dir("compact", "face").parent if models_dir is None else models_dir
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    reports: list[Report] = []
    absent: list[str] = []
    broken: list[str] = []
    for one in _EVALUATIONS if name == "all" else (name,):
        try:
            report = _measured(one, Path(data_dir), part, out, models)
        except (CorpusError, ModelError) as error:
            if name != "all":
                raise
            (broken if isinstance(error, ModelError) else absent).append(str(error))
            report = Report(one, part, "-", "", notes=[f"Not measured: {error}"])
        report.write(out)
        reports.append(report)
        if done is not None:
            done(report)
    if broken:
        raise ModelError("; ".join(dict.fromkeys(broken)))
    if len(absent) == len(reports):
        raise CorpusError("; ".join(dict.fromkeys(absent)))
    return reports


def _measured(name: str, data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    if split == "folds":
        from realtime_er.training.evaluate.folds import evaluate_folds

        return evaluate_folds(out_dir, models_dir)
    module, function = _EVALUATIONS[name]
    # Imported when asked for: the fusion sources need torch, the others do not.
    found = importlib.import_module(f"realtime_er.training.evaluate.{module}")
    report: Report = getattr(found, function)(data_dir, split, out_dir, models_dir)
    return report
