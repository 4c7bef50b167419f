from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import pytest

from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.verify import verify
from tests.recording.synthetic import record


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "session"
    assert record(folder, 2.0).ok
    return folder


def problems(folder):
    return verify(folder, read_manifest(folder)).problems


def change(folder, statement):
    connection = sqlite3.connect(folder / "session.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_good_recording(folder):
    found = verify(folder, read_manifest(folder))
    assert found.ok
    assert found.line == "verified"
    assert (found.n_frames, found.n_samples, found.n_estimates) == (60, 32_000, 20)
    assert found.to_record()["ok"] is True


def test_an_empty_recording(tmp_path):
    assert record(tmp_path / "session", 0.0).ok


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM frames WHERE frame_index = 59", "picture 60 at 1.967 s is in no table"),
        ("DELETE FROM sound WHERE position = 0", "block of sound 1 at 0.000 s should be at 0.020"),
        ("INSERT INTO frames VALUES (60, 2.0, 2000)", "1 of 61 .picture. are missing at the end"),
        ("UPDATE frames SET pts_ms = 1 WHERE frame_index = 0", "1 at 0.000 s should be at 0.001"),
        ("UPDATE sound SET n_samples = 9 WHERE position = 320", "has 640 bytes instead of 18"),
        ("DELETE FROM estimates WHERE tick > 5", "20 estimates were written, 6 are there"),
        ("DROP TABLE estimates", "table estimates is missing"),
    ],
)
def test_tables_that_do_not_agree(folder, statement, problem):
    change(folder, statement)
    found = problems(folder)
    assert any(_matches(problem, one) for one in found), found


def _matches(pattern, text):
    parts = pattern.split(".picture.")
    return all(part in text for part in parts)


def test_a_media_file_that_was_cut_off(folder):
    media = folder / "media.mkv"
    media.write_bytes(media.read_bytes()[: media.stat().st_size // 2])
    found = verify(folder, read_manifest(folder))
    assert not found.ok
    assert "are missing at the end" in found.line
    assert found.line.startswith("NOT as written: ")


def test_a_media_file_that_is_none(folder):
    (folder / "media.mkv").write_bytes(b"hello" * 100)
    assert "cannot be read back" in problems(folder)[0]
    (folder / "media.mkv").unlink()
    assert "is missing" in problems(folder)[0]


def test_the_ledger_is_compared(folder):
    manifest = read_manifest(folder)
    manifest = replace(manifest, ledger=manifest.ledger | {"samples_written": 1})
    found = verify(folder, manifest)
    assert found.problems == ("1 samples were written, 32000 are there",)


def test_a_damaged_database(folder):
    path = folder / "session.sqlite"
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data), 4096):
        data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    assert problems(folder)


def test_nobody_has_to_wait(folder):
    skip = threading.Event()
    skip.set()
    found = verify(folder, read_manifest(folder), skip)
    assert (found.ok, found.skipped, found.line) == (False, True, "not verified")
