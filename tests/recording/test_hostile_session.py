"""Sessions from somebody else whose tables hold anything anywhere: what fuzzing found, kept found."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.errors import MediaError, RecordingError
from realtime_er.recording.export.formats import export_session
from realtime_er.recording.manifest import DATABASE, read_manifest
from realtime_er.recording.media_source import RecordedMedia
from realtime_er.recording.player import Player
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.repair import repair
from realtime_er.recording.verify import verify
from tests.recording.synthetic import record
from tests.sources.media import collect


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "anna"
    assert record(folder, 1.0).ok
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "anna"))


def _change(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute(statement, values)


@pytest.mark.parametrize("value", [float("inf"), 1e308, -1, 2**62])
def test_counts_that_cannot_be_are_problems(folder: Path, value: float) -> None:
    _change(folder, "UPDATE sound SET n_samples = ?", value)
    found = verify(folder, read_manifest(folder))
    assert any("not written by us" in problem for problem in found.problems)


@pytest.mark.parametrize("value", ["x", b"\xff", -(2**63), float("inf")])
def test_time_stamps_that_are_none_are_problems(folder: Path, value: object) -> None:
    _change(folder, "UPDATE frames SET pts_ms = ? WHERE rowid > 3", value)
    assert not verify(folder, read_manifest(folder)).ok


@pytest.mark.parametrize("value", ["Happy", b"", float("inf"), 1e18])
def test_repair_goes_on_with_times_that_are_none(folder: Path, value: object) -> None:
    for table, column in (("frames", "time_s"), ("sound", "start_s"), ("estimates", "time_s")):
        _change(folder, f"UPDATE {table} SET {column} = ?", value)
    (folder / "manifest.json").unlink()
    repair(folder)
    manifest = read_manifest(folder)
    assert manifest.end_s is None or manifest.end_s < 1e9


@pytest.mark.parametrize("value", ["now", 1e18, float("inf"), -1e18])
@pytest.mark.parametrize("table", ["frames", "sound", "gaps"])
def test_media_with_times_that_would_never_end_are_refused(
    folder: Path, table: str, value: object
) -> None:
    if table == "gaps":
        _change(folder, "INSERT INTO gaps VALUES (9999, 'camera', 0.1, ?, 'x')", value)
    else:
        _change(
            folder, f"UPDATE {table} SET {'time_s' if table == 'frames' else 'start_s'} = ?", value
        )
    with pytest.raises(MediaError, match="not written by us"):
        _play(folder)


def _play(folder: Path) -> None:
    for stream in RecordedMedia(folder).streams(load_config("analyze"), VirtualClock()):
        collect(stream)


@pytest.mark.parametrize("value", [10**18, "x"])
def test_the_player_shows_what_it_can(folder: Path, value: object) -> None:
    _change(folder, "UPDATE frames SET pts_ms = ? WHERE rowid > 3", value)
    with (
        contextlib.suppress(RecordingError, MediaError),
        RecordedSession.open(folder) as session,
        closing(Player(session, clock=VirtualClock())) as player,
    ):
        player.seek(player.span_s[1])
        player.snapshot()
    assert read_manifest(folder).complete  # looking at it changed nothing


@pytest.mark.parametrize("column", ["label", "happy", "time_s"])
def test_the_report_of_a_session_with_foreign_labels_and_numbers(
    folder: Path, tmp_path: Path, column: str
) -> None:
    value = "../../<b>" if column == "label" else 1e308
    _change(folder, f"UPDATE estimates SET {column} = ?", value)
    with RecordedSession.open(folder) as session:
        if column == "time_s":
            with pytest.raises(RecordingError, match="time"):
                export_session(session, "report", tmp_path / "out")
            return
        (page,) = export_session(session, "report", tmp_path / "out")
    assert "../../<b>" not in page.read_text("utf-8")
