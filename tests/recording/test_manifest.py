from __future__ import annotations

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.messages import LABELS
from realtime_er.recording.manifest import (
    MANIFEST,
    Manifest,
    inside,
    read_manifest,
    software,
    write_manifest,
)

FULL = Manifest(
    started_at="2026-01-02T03:04:05.678+00:00",
    start_s=1 / 3,
    end_s=100.25,
    software={"python": "3"},
    config={"tick": {"hop_s": 0.1}, "asr": {"enabled": True}},
    models={"face": {"id": "compact-face", "sha256": "ab" * 32}},
    devices={"camera": {"requested": {"fps": 30.0}, "granted": {"fps": 29.97}}},
    options={"lossless": False},
    ledger={"frames_written": 3},
    accounting={"balanced": True},
    complete=True,
    failure='full "disk" \N{GRINNING FACE}',
    repaired=("one", "two"),
    verified={"ok": True, "problems": []},
)


def change(folder, **values):
    path = folder / MANIFEST
    record = json.loads(path.read_text()) | values
    path.write_text(json.dumps({k: v for k, v in record.items() if v != "remove"}))


def test_there_and_back(tmp_path):
    write_manifest(tmp_path, FULL)
    assert read_manifest(tmp_path) == FULL
    assert [entry.name for entry in tmp_path.iterdir()] == [MANIFEST]
    write_manifest(tmp_path, replace(FULL, end_s=None, media=None))
    again = read_manifest(tmp_path)
    assert (again.end_s, again.media, again.media_path(tmp_path)) == (None, None, None)
    assert again.labels == LABELS
    assert again.database_path(tmp_path) == tmp_path / "session.sqlite"


def test_software_names_what_made_it():
    assert {"python", "numpy", "av", "sqlite", "platform"} <= set(software())


def test_values_that_json_does_not_have(tmp_path):
    devices = {"camera": {"fps": float("nan"), "size": (640, np.int64(480)), "path": tmp_path}}
    write_manifest(tmp_path, replace(FULL, devices=devices))
    assert read_manifest(tmp_path).devices["camera"] == {
        "fps": None,
        "size": [640, 480],
        "path": str(tmp_path),
    }


def test_a_failed_write_leaves_the_old_one(tmp_path):
    write_manifest(tmp_path, FULL)
    with pytest.raises(TypeError, match="object has no place"):
        write_manifest(tmp_path, replace(FULL, config={"x": object()}))
    assert read_manifest(tmp_path) == FULL


def test_a_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    write_manifest(tmp_path, FULL)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(tmp_path, replace(FULL, failure="other"))
    assert read_manifest(tmp_path) == FULL
    assert [entry.name for entry in tmp_path.iterdir()] == [MANIFEST]


def test_it_does_not_write_through_links(tmp_path):
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / f"{MANIFEST}.new").symlink_to(tmp_path / "precious")
    (folder / MANIFEST).symlink_to(tmp_path / "precious")
    write_manifest(folder, FULL)
    assert (tmp_path / "precious").read_text() == "mine"
    assert read_manifest(folder) == FULL


@pytest.mark.parametrize("field", ["media", "database", "annotations"])
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b",
        "C:\\Windows\\x",
        "c:x",
        "..\\x",
        "\\\\server\\share",
        "a\\b",
        "",
        "..",
        "a\x00b",
    ],
)
def test_paths_out_of_the_folder_are_refused(tmp_path, field, name):
    write_manifest(tmp_path, FULL)
    change(tmp_path, **{field: name})
    with pytest.raises(RecordingError, match=r"inside the session's folder|leads out of") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_links_out_of_the_folder_are_refused(tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    write_manifest(folder, FULL)
    (folder / "media.mkv").symlink_to("/etc/passwd")
    with pytest.raises(RecordingError, match="is a symbolic link"):
        read_manifest(folder)
    (folder / "media.mkv").unlink()
    (folder / "sub").symlink_to(tmp_path)
    with pytest.raises(RecordingError, match="is a symbolic link"):
        inside(folder, "sub/media.mkv")


def test_a_folder_may_itself_be_a_link(tmp_path):
    (tmp_path / "session").mkdir()
    write_manifest(tmp_path / "session", FULL)
    (tmp_path / "link").symlink_to(tmp_path / "session")
    assert read_manifest(tmp_path / "link") == FULL


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "holiday pictures"}, "is not the manifest of a session"),
        ({"version": 2}, "newer version of this program .manifest 2; this one reads up to 1"),
        ({"version": "1"}, "has no version"),
        ({"start_s": "soon"}, "start_s is not what it should be"),
        ({"start_s": "remove"}, "lacks when it started"),
        ({"complete": "yes"}, "complete is not"),
        ({"models": {"face": 3}}, "models is not"),
        ({"ledger": {"frames": "many"}}, "ledger is not"),
        ({"labels": [1, 2]}, "labels is not"),
        ({"media": 7}, "media is not"),
        ({"config": []}, "config is not"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path, values, message):
    write_manifest(tmp_path, FULL)
    change(tmp_path, **values)
    with pytest.raises(RecordingError, match=message) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, NewerFormat) == ("newer" in message)


def test_fields_of_the_future_of_this_version_are_left_alone(tmp_path):
    write_manifest(tmp_path, FULL)
    change(tmp_path, weather="rain")
    assert read_manifest(tmp_path) == FULL


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", "null"])
def test_damaged_text(tmp_path, text):
    (tmp_path / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordingError, match=r"is damaged; try: realtime-er repair|is not the man"):
        read_manifest(tmp_path)


def test_no_session(tmp_path):
    with pytest.raises(RecordingError, match="no such folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match="is no session"):
        read_manifest(tmp_path)
    (tmp_path / "session.sqlite").touch()
    with pytest.raises(RecordingError, match=r"has no manifest.json; try: realtime-er repair"):
        read_manifest(tmp_path)
