"""Purging: what is past its date goes, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from realtime_er.errors import RecordingError
from realtime_er.recording.database import open_database
from realtime_er.recording.export.formats import FORMATS, export_session
from realtime_er.recording.manifest import MANIFEST
from realtime_er.recording.purge import candidates, delete
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples
from tests.recording.test_consent import CONSENT

UNTIL = CONSENT.until
AFTER = UNTIL + timedelta(days=1)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def sessions(recorded, tmp_path):
    """Makes sessions in one folder."""
    folder = tmp_path / "recordings"

    def make(name, **lies):
        shutil.copytree(recorded, folder / name)
        samples.lie_in_manifest(folder / name, **{"consent": CONSENT.to_record(), **lies})
        return folder / name

    return make


def look(folder, today=AFTER, now=LATER):
    return candidates(folder, today, now)


def test_a_session_is_kept_until_its_last_day_is_over(sessions):
    path = sessions("anna")
    (kept,) = look(path.parent, today=UNTIL)
    assert kept.kept == "until 2027-01-31"
    with pytest.raises(RecordingError, match="is kept"):
        delete(kept)
    (doomed,) = look(path.parent)
    assert doomed.kept == ""
    assert doomed.n_bytes == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    assert doomed.files[-1] == path / MANIFEST
    delete(doomed)
    assert not path.exists()
    assert path.parent.is_dir()


def test_without_a_date_everything_is_kept(sessions):
    path = sessions("old", consent=None)
    (kept,) = look(path.parent, today=date(2999, 1, 1))
    assert kept.kept == "no consent recorded, so it has no date"
    assert not kept.problem


def test_exports_in_the_session_go_too(sessions):
    path = sessions("anna")
    with RecordedSession.open(path) as session:
        for to in FORMATS:
            export_session(session, to, path / "export")
    (doomed,) = look(path)
    assert doomed.foreign == ()
    delete(doomed)
    assert not path.exists()


def test_what_the_program_did_not_write_stays(sessions, tmp_path):
    path = sessions("anna")
    (path / "thesis.docx").write_text("mine")
    (path / "annotations" / "notes.txt").write_text("mine")
    (path / "media.mkv.txt").write_text("mine")
    (path / "subfolder").mkdir()
    (path / "media.mkv.damaged-2").write_text("not mine")
    (path / "session.sqlite-wal").write_bytes(b"")
    outside = tmp_path / "outside.sqlite"
    outside.write_text("not in the session")
    (path / "annotations" / "ben-2.sqlite").symlink_to(outside)
    (path / "export").symlink_to(tmp_path)
    (doomed,) = look(path)
    assert sorted(file.name for file in doomed.foreign) == [
        "ben-2.sqlite",
        "export",
        "media.mkv.txt",
        "notes.txt",
        "subfolder",
        "thesis.docx",
    ]
    delete(doomed)
    assert outside.is_file()
    left = sorted(str(file.relative_to(path)) for file in path.rglob("*"))
    assert left == [
        "annotations",
        "annotations/ben-2.sqlite",
        "annotations/notes.txt",
        "export",
        "media.mkv.txt",
        "subfolder",
        "thesis.docx",
    ]


def test_links_are_not_followed(sessions, tmp_path):
    real = sessions("anna")
    (real / "export").mkdir()
    (real / "export" / "labels.vtt").write_text("WEBVTT")
    (real.parent / "link").symlink_to(real)
    moved = sessions("moved")
    shutil.move(moved / "media.mkv", tmp_path / "media.mkv")
    (moved / "media.mkv").symlink_to(tmp_path / "media.mkv")
    doomed, link, linked = look(real.parent)
    assert doomed.kept == ""
    assert link.kept.startswith("is a symbolic link")
    assert linked.problem
    assert "symbolic link" in linked.kept
    # A folder that becomes a link between the look and the deletion.
    shutil.move(real / "export", tmp_path / "export")
    (real / "export").symlink_to(tmp_path / "export")
    with pytest.raises(RecordingError, match="has become a symbolic link"):
        delete(doomed)
    assert (tmp_path / "export" / "labels.vtt").is_file()
    assert (real / MANIFEST).is_file()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("manifest.json", "{"),
        ("manifest.json", json.dumps({"format": "something else", "version": 1})),
    ],
)
def test_a_folder_without_a_sound_manifest_is_kept(sessions, name, text):
    path = sessions("anna")
    (path / name).write_text(text)
    (kept,) = look(path)
    assert kept.problem
    assert kept.kept


def test_a_damaged_consent_is_something_to_look_into(sessions):
    path = sessions("anna", consent={**CONSENT.to_record(), "until": "whenever"})
    (kept,) = look(path)
    assert kept.problem
    assert "consent is damaged" in kept.kept


def test_a_running_recording_is_kept(sessions):
    path = sessions("anna", complete=False, verified=None)
    written_at = datetime.fromtimestamp((path / MANIFEST).stat().st_mtime, UTC)
    (kept,) = look(path, now=written_at + timedelta(seconds=5))
    assert kept.kept == "is still being recorded or read back"
    # It was suspended with the computer: nothing was written for long, but somebody has it open.
    for file in path.iterdir():
        os.utime(file, (0, 0))
    (doomed,) = look(path)
    assert doomed.kept == ""
    recorder = open_database(path / "session.sqlite", writable=True)
    try:
        recorder.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(RecordingError, match="in use"):
            delete(doomed)
    finally:
        recorder.close()
    assert (path / "media.mkv").is_file()
    delete(doomed)
    assert not path.exists()


def test_what_cannot_be_deleted_is_said_and_can_be_purged_again(sessions, monkeypatch):
    path = sessions("anna")
    (doomed,) = look(path)
    unlink = type(path).unlink

    def stuck(self, missing_ok=False):
        if self.name == "media.mkv":
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "unlink", stuck)
        with pytest.raises(RecordingError, match=r"media.mkv: cannot be deleted: Permission"):
            delete(doomed)
    (again,) = look(path)
    delete(again)
    assert not path.exists()
