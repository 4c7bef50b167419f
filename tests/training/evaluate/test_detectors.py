"""The detector's report, on few pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_er.errors import CorpusError, WeightsMissing
from realtime_er.training.detector import report as detector_report
from realtime_er.training.detector.holdouts import Part, list_portraits, part_of_person
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


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Portraits, but no clips and no YuNet: there is nothing to compare the detector with."""
    folder = tmp_path / "data" / "portraits" / "images"
    folder.mkdir(parents=True)
    name = next(f"P{one}_0001" for one in range(100) if part_of_person(f"p{one}") == "test")
    cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((64, 64, 3), np.uint8))

    def nowhere(folder: Path) -> Path:
        raise WeightsMissing(f"no YuNet beside {folder}")

    monkeypatch.setattr(detectors, "find_teacher", nowhere)
    with pytest.raises(CorpusError, match="nothing to compare the detector with: no YuNet"):
        run("detector", tmp_path / "data", "test", tmp_path / "out")
    (folder / f"{name}.jpg").write_bytes(b"no picture")
    with pytest.raises(CorpusError, match=r"has no address_a\.mp4.*cannot be read as a picture"):
        run("detector", tmp_path / "data", "test", tmp_path / "out")
