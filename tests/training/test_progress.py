"""What a training tells, and the curve that it keeps."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from realtime_er.cli.training_options import epochs_shown
from realtime_er.training import progress
from realtime_er.training.progress import Course, Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    time_s = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time_s[0])
    return time_s


def test_it_tells_once_a_second_within_an_epoch_and_after_it(now: list[float]) -> None:
    told: list[Progress] = []
    course = Course(2, tell=told.append)
    for batch in range(10):
        now[0] += 0.3
        course.batch(float(batch), 10)
    course.epoch(0.5)
    assert [(state.epoch, state.part) for state in told] == [(1, 0.4), (1, 0.8), (1, 1.0)]
    assert [state.loss for state in told] == [1.5, 3.5, 4.5]
    assert told[-1].elapsed_s == pytest.approx(3.0)
    assert told[-1].held_out_loss == 0.5
    course.batch(7.0, 1)
    course.epoch()
    assert (told[-1].epoch, told[-1].loss, told[-1].held_out_loss) == (2, 7.0, None)


def lines(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as stream:
        return [(line["run"], line["epoch"]) for line in csv.DictReader(stream)]


def test_a_curve_has_each_epoch_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "curves.csv"
    for run, done, epochs in (("a", 0, 3), ("b", 0, 1), ("a", 1, 2)):
        course = Course(3, done=done, run=run, curves=path)
        for _ in range(epochs):
            course.batch(1.0, 1)
            course.epoch()
    # "a" was stopped while it saved its second epoch, and went on after its first.
    assert sorted(lines(path)) == [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")]
    Course(3, run="a", curves=path)
    assert lines(path) == [("b", "1")]


def test_without_a_terminal_there_is_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with epochs_shown() as tell:
        for second in range(0, 130, 10):
            tell(Progress(1, 2, 0.5, float(second), part=second / 150))
        tell(Progress(1, 2, 0.4, 150.0, "fold 1"))
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("elapsed_s ")[1].split()[0] for line in shown] == ["60", "120", "150"]
    assert "part 0.4" in shown[0]
    assert "run fold 1" in shown[2]
