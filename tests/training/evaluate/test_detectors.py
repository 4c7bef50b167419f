"""The detector's report, on few pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.training.detector import report as detector_report
from realtime_er.training.detector.holdouts import Part, list_portraits
from realtime_er.training.evaluate import detectors, run
from tests.training.detector_samples import drawn_bank


@pytest.mark.slow
def test_the_report_has_every_goal_and_its_neighbours(
    clips_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clips_dir.is_dir()

    def few(folder: Path, part: Part) -> list[Path]:
        return list_portraits(folder, part)[:5]

    monkeypatch.setattr(detector_report, "list_portraits", few)
    monkeypatch.setitem(detector_report.CLIPS, "test", ("grid/brbk7n.mpg",))
    monkeypatch.setattr(detector_report, "_WINDOWS_PER_PHOTOGRAPH", 3)
    monkeypatch.setattr(detectors, "_SCENES", 4)
    monkeypatch.setattr(detectors, "read_bank", lambda *_: drawn_bank())
    monkeypatch.setattr(detectors, "time_ms", lambda *_: np.full(3, 2.0))
    (report,) = run("detector", data_dir, "dev", tmp_path)
    assert report.split == "valid"
    rows = {(row.on, row.measure): row for row in report.rows}
    goals = [row for row in report.rows if row.goal]
    assert {row.goal for row in goals} == {">= 0.98", ">= 0.7", "<= 0.08", "<= 0.01", "<= 5"}
    clip = rows["frames of held-out clips, compact", "share with exactly one face"]
    assert 30 < clip.n < 40
    assert clip.met is True
    for name in ("compact", "haar", "yunet"):
        assert (f"composed pictures, {name}", "share of faces found") in rows
        assert (f"pictures without a face, {name}", "share with a face") in rows
    assert (tmp_path / "detector-valid.md").is_file()
