"""`realtime-er sessions`, `export` and `repair` on recorded sessions."""

import shutil

import pytest
import typer
from typer.testing import CliRunner

from realtime_er.cli.export import export
from realtime_er.cli.guard import guarded
from realtime_er.cli.repair import repair
from realtime_er.cli.sessions import sessions
from realtime_er.recording.manifest import DATABASE, MANIFEST, MEDIA
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples
from tests.recording.pixels import both, record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return samples.write_session(tmp_path_factory.mktemp("recorded") / "interview")


def invoke(command, *args, columns=200):
    app = typer.Typer()
    app.command()(guarded(command))
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": str(columns)})


def test_sessions_lists_what_there_is(folder):
    result = invoke(sessions, folder.parent)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if "interview" in line)
    with RecordedSession.open(folder) as session:
        seconds = round(session.duration_s)
    assert f"{seconds // 60}:{seconds % 60:02d}" in line
    assert "Happy" in line


def test_a_small_terminal_has_one_line_for_a_session(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "2026-01-31_12-00-00")
    shutil.copytree(folder, tmp_path / "2026-01-31_12-30-00")
    samples.lie_in_manifest(tmp_path / "2026-01-31_12-30-00", media="../../etc/passwd")
    result = invoke(sessions, tmp_path, columns=80)
    header, broken, good, *remarks = result.stdout.splitlines()
    assert header.split()[:3] == ["session", "date", "length"]
    assert broken.split() == ["2026-01-31_12-30-00", *["-"] * 7, "error"]
    assert good.split()[:4] == ["2026-01-31_12-00-00", "21", "Nov", "0:12"]
    assert good.split()[-2:] == ["9", "verified"]
    assert max(map(len, (header, broken, good))) <= 80
    assert any("leads out of the session's folder" in line for line in remarks)
    assert "9 (anna, ben)" in invoke(sessions, tmp_path, columns=120).stdout


def test_sessions_of_an_empty_folder_says_how_to_begin(tmp_path):
    result = invoke(sessions, tmp_path)
    assert result.exit_code == 0
    assert "realtime-er live --record" in result.stdout
    assert invoke(sessions, tmp_path / "none").exit_code == 1


def test_a_broken_session_is_listed_with_its_reason(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "broken")
    (tmp_path / "broken" / MANIFEST).unlink()
    result = invoke(sessions, tmp_path)
    assert result.exit_code == 0
    assert "repair" in result.stdout


def test_export_writes_and_names_the_files(folder, tmp_path):
    result = invoke(export, folder, "--to", "vtt", "--to", "csv", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = result.stdout.split()
    assert str(tmp_path / "out" / "transcript.vtt") in names
    assert any(name.endswith("estimates.csv") for name in names)


def test_export_goes_into_the_session_by_default(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "s")
    assert invoke(export, copy, "--to", "srt").exit_code == 0
    assert (copy / "export" / "transcript.srt").is_file()


@pytest.mark.parametrize(
    ("args", "text"),
    [([], "--to csv|parquet"), (["--to", "vtt", "--to", "docx"], "--to docx: choose from csv")],
)
def test_export_of_nothing_or_of_something_else(folder, tmp_path, args, text):
    result = invoke(export, folder, *args, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert text in result.stderr
    assert not (tmp_path / "out").exists()


def test_annotations_come_back_from_elan(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "s")
    assert invoke(export, copy, "--to", "eaf").exit_code == 0
    (eaf,) = (copy / "export").glob("*.eaf")
    unchanged = invoke(export, copy, "--import-eaf", eaf)
    assert unchanged.exit_code == 0, unchanged.output
    assert "nothing in it is new" in unchanged.stdout
    text = eaf.read_text(encoding="utf-8")
    assert "Happy" in text
    corrected = tmp_path / "corrected.eaf"
    corrected.write_text(text.replace(">Sad<", ">Angry<").replace(">Happy<", ">Sad<"))
    changed = invoke(export, copy, "--import-eaf", corrected)
    assert changed.exit_code == 0, changed.output
    assert "written: " in changed.stdout
    missing = invoke(export, copy, "--import-eaf", tmp_path / "no.eaf")
    assert missing.exit_code == 1
    assert missing.stderr.count("\n") == 1


def test_repair_of_a_whole_and_of_a_cut_session(tmp_path):
    folder = tmp_path / "s"
    record(folder, both(3.0))
    whole = invoke(repair, folder)
    assert whole.exit_code == 0, whole.output
    assert "nothing to repair" in whole.stdout
    media = folder / MEDIA
    media.write_bytes(media.read_bytes()[: media.stat().st_size // 2])
    mended = invoke(repair, folder)
    assert mended.exit_code == 0, mended.output
    assert "repaired" in mended.stdout
    assert invoke(repair, folder).stdout.count("nothing to repair") == 1
    (folder / DATABASE).write_bytes(b"another program's")
    (folder / MANIFEST).unlink()
    media.unlink()
    assert invoke(repair, tmp_path / "none").exit_code == 1
