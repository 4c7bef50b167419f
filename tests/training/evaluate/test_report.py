"""Tables, files and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from realtime_er.messages import LABELS
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import Goal, Report, add_recalls, machine
from realtime_er.training.metrics import accuracy


def test_goals_are_met_from_their_side() -> None:
    assert Goal(0.5).met_by(0.5)
    assert not Goal(0.5).met_by(0.49)
    assert Goal(0.5, at_least=False).met_by(0.5)
    assert not Goal(0.5, at_least=False).met_by(0.51)


def test_rows_have_intervals_goals_and_reasons(tmp_path: Path) -> None:
    report = Report("face", "valid", "model-1", "ab" * 32)
    truth = np.array([0, 0, 1, 1])
    found = np.array([0, 1, 1, 1])
    report.measure("here", "accuracy", accuracy, truth, found, unit="faces", goal=Goal(0.8))
    one = np.array(["a"] * 4)
    report.measure("here", "accuracy", accuracy, truth, found, unit="speakers", groups=one)
    report.measure("nowhere", "accuracy", accuracy, truth[:0], found[:0], unit="faces")
    add_recalls(report, "here", ("no", "yes", "never"), truth, found, unit="faces")
    report.add("here", "undefined", float("nan"))
    assert [row.measure for row in report.rows] == [
        "accuracy", "accuracy", "recall no", "recall yes", "undefined",
    ]  # fmt: skip
    first, single = report.rows[:2]
    assert first.met is False
    assert first.interval_95 is not None
    assert first.interval_95[0] <= 0.75 <= first.interval_95[1]
    assert single.interval_95 is None
    report.write(tmp_path)
    table = (tmp_path / "face-valid.md").read_text(encoding="utf-8")
    assert "| here | accuracy | 0.7500 |" in table
    assert "**no**" in table
    assert "one of the speakers only" in table
    record = json.loads((tmp_path / "face-valid.json").read_text(encoding="utf-8"))
    assert record["rows"][-1]["value"] is None
    assert record["machine"]["cores"] >= 1


def test_the_machine_is_named() -> None:
    found = machine()
    assert found["cpu"]
    assert found["onnxruntime"]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, 60)
    probabilities = rng.dirichlet(np.ones(7), 60)
    name = pictures.confusion(
        tmp_path / "c.png", "faces", LABELS, truth, probabilities.argmax(axis=1)
    )
    assert name == "c.png"
    panels = {str(number): (truth, probabilities) for number in range(5)}
    pictures.reliability(tmp_path / "r.png", "heads", panels)
    for file in ("c.png", "r.png"):
        assert (tmp_path / file).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("level", [0.25, 0.95])
def test_a_sure_and_right_head_is_drawn_without_warnings(tmp_path: Path, level: float) -> None:
    rows = np.full((3, 7), (1 - level) / 6)
    rows[:, 2] = level
    pictures.reliability(tmp_path / "r.png", "head", {"all": (np.full(3, 2), rows)})
    assert (tmp_path / "r.png").stat().st_size > 1000
