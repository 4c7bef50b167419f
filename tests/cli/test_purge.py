"""`realtime-er purge` asks, says what it deletes, and deletes only that; `sessions` says the dates."""

import importlib
import shutil
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from realtime_er.cli import app
from realtime_er.errors import RecordingError
from realtime_er.recording import purge
from tests.recording import samples
from tests.recording.test_consent import CONSENT

YESTERDAY = datetime.now().astimezone().date() - timedelta(days=1)


@pytest.fixture
def folder(tmp_path):
    """One session that is past its date, one that is not, one without."""
    first = samples.write_session(tmp_path / "recordings" / "anna")
    for name, until in (("anna", YESTERDAY), ("ben", date(2099, 1, 1)), ("old", None)):
        if name != "anna":
            shutil.copytree(first, tmp_path / "recordings" / name)
        consent = {**CONSENT.to_record(), "until": until.isoformat()} if until else None
        samples.lie_in_manifest(tmp_path / "recordings" / name, consent=consent)
    return tmp_path / "recordings"


def invoke(*args):
    return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "200"})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_dry_run_says_it_all_and_deletes_nothing(folder):
    result = invoke("purge", folder, "--dry-run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f"{folder / 'anna'}: past its date: consent of Anna <b> for research"
    )
    assert lines[1] == f"{folder / 'ben'}: kept: until 2099-01-01"
    assert lines[2] == f"{folder / 'old'}: kept: no consent recorded, so it has no date"
    assert lines[3].startswith("would be deleted: 1 session, ")
    assert names(folder) == ["anna", "ben", "old"]


def test_a_script_has_to_say_yes(folder):
    result = invoke("purge", folder)
    assert result.exit_code == 2
    assert "give --yes, or --dry-run" in result.stderr
    assert names(folder) == ["anna", "ben", "old"]
    (folder / "anna" / "thesis.txt").write_text("mine")
    result = invoke("purge", folder, "--yes")
    assert result.exit_code == 0, result.output
    assert f"stays, the program did not write it: {folder / 'anna' / 'thesis.txt'}" in result.stdout
    assert f"deleted: {folder / 'anna'}" in result.stdout
    assert names(folder) == ["anna", "ben", "old"]
    assert names(folder / "anna") == ["thesis.txt"]
    assert "nothing is past its date" in invoke("purge", folder, "--yes").stdout


@pytest.mark.parametrize(("reply", "left"), [("Yes", ["ben", "old"]), ("", ["anna", "ben", "old"])])
def test_a_person_is_asked(folder, monkeypatch, reply, left):
    # The package's attribute of this name is the command.
    module = importlib.import_module("realtime_er.cli.purge")
    yes = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(module, "sys", yes)
    monkeypatch.setattr("builtins.input", lambda prompt: reply)
    result = invoke("purge", folder)
    assert result.exit_code == 0, result.output
    assert names(folder) == left
    assert ("nothing was deleted" in result.stdout) == (reply == "")


def test_what_cannot_be_read_is_kept_and_said(folder):
    (folder / "anna" / "manifest.json").write_text("{")
    result = invoke("purge", folder, "--yes")
    assert result.exit_code == 0
    assert "is damaged" in result.stderr
    assert names(folder) == ["anna", "ben", "old"]
    assert invoke("purge", folder / "none").exit_code == 1


def test_what_fails_is_said_and_the_rest_is_deleted(folder, monkeypatch):
    shutil.copytree(folder / "anna", folder / "carl")
    delete = purge.delete

    def stuck(candidate):
        if candidate.path.name == "anna":
            raise RecordingError("anna: is in use")
        delete(candidate)

    monkeypatch.setattr(purge, "delete", stuck)
    result = invoke("purge", folder, "--yes")
    assert result.exit_code == 1
    assert result.stderr.strip() == "error: anna: is in use"
    assert names(folder) == ["anna", "ben", "old"]


def test_sessions_says_who_agreed_until_when(folder):
    lines = invoke("sessions", folder).stdout.splitlines()
    said = {line.split(":")[0]: line for line in lines if "consent" in line}
    assert said["anna"].endswith(f"delete it with: realtime-er purge {folder / 'anna'}")
    assert said["ben"].endswith("until 2099-01-01")
    assert said["old"] == "old: no consent recorded"
