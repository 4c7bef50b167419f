from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3

import av
import pytest

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.recording.database import create_database, open_database
from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.remux import read_packets
from realtime_er.recording.repair import CUT_OFF, repair
from realtime_er.recording.salvage import mend_database
from tests.recording.synthetic import record, record_until


@pytest.fixture
def cut_off(tmp_path):
    """What lies on the disk when a recording of six seconds is killed."""
    folder = tmp_path / "session"
    with record_until(tmp_path / "running", 6.0):
        shutil.copytree(tmp_path / "running", folder)
    return folder


@pytest.fixture
def whole(tmp_path):
    folder = tmp_path / "session"
    assert record(folder, 2.0).ok
    return folder


def contents(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


def count(folder, table):
    connection = open_database(folder / "session.sqlite")
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def test_without_any_repair_all_but_the_end_is_there(cut_off):
    packets = read_packets(cut_off / "media.mkv")
    assert packets.video[-1][0] >= 4_000
    assert packets.audio[-1][0] >= 4_000
    assert count(cut_off, "estimates") == 60
    assert not read_manifest(cut_off).complete


def test_a_recording_that_was_cut_off(cut_off):
    before = read_packets(cut_off / "media.mkv")
    report = repair(cut_off)
    assert report.verification.ok
    assert report.line().startswith(f"{cut_off}: repaired: {len(before.video)} frames, ")
    assert "the manifest was completed" in report.done
    assert read_packets(cut_off / "media.mkv") == before, "not a bit of it changed"
    with av.open(str(cut_off / "media.mkv")) as container:
        assert container.duration > 4_000_000
        container.seek(3_000_000)
        frame = next(container.decode(video=0))
        assert 1.5 < frame.time <= 3.0, "there is an index"
    manifest = read_manifest(cut_off)
    assert manifest.complete
    assert manifest.failure == CUT_OFF
    assert manifest.repaired == report.done
    assert manifest.verified["ok"]
    assert manifest.end_s == pytest.approx(6.0, abs=0.2)
    assert manifest.started_at
    assert {path.name for path in cut_off.iterdir()} == {
        "annotations",
        "manifest.json",
        "media.mkv",
        "session.sqlite",
    }


def test_a_second_repair_finds_nothing_to_do(cut_off):
    repair(cut_off)
    before = contents(cut_off)
    report = repair(cut_off)
    assert report.done == ()
    assert "nothing to repair" in report.line()
    assert contents(cut_off) == before


def test_a_whole_session_is_left_alone(whole):
    before = contents(whole)
    assert repair(whole).done == ()
    assert contents(whole) == before


def test_a_recording_that_runs_is_left_alone(tmp_path):
    with (
        record_until(tmp_path / "session", 1.0),
        pytest.raises(RecordingError, match="is in use, perhaps still being recorded"),
    ):
        repair(tmp_path / "session")
    assert read_manifest(tmp_path / "session").verified["ok"]


def test_a_lost_manifest(whole):
    old = read_manifest(whole)
    (whole / "manifest.json").unlink()
    assert repair(whole).verification.ok
    new = read_manifest(whole)
    assert (new.start_s, new.end_s, new.started_at) == (old.start_s, old.end_s, "")
    assert new.ledger["samples_written"] == old.ledger["samples_written"]
    assert repair(whole).done == ()


def test_a_damaged_manifest_is_kept(whole):
    (whole / "manifest.json").write_text('{"format": "realtime-er session", "version": 1, "conf')
    report = repair(whole)
    assert report.verification.ok
    assert report.done[0].endswith("the old one is kept as manifest.json.damaged")
    assert (whole / "manifest.json.damaged").read_text().endswith("conf")
    assert repair(whole).done == ()


def test_a_manifest_that_lies_about_paths(whole, tmp_path):
    (tmp_path / "precious.sqlite").write_text("mine")
    path = whole / "manifest.json"
    record_ = json.loads(path.read_text())
    record_["database"] = "../precious.sqlite"
    path.write_text(json.dumps(record_))
    report = repair(whole)
    assert report.verification.ok
    assert report.done[0] == (
        "the manifest named other files (media.mkv, ../precious.sqlite, annotations): "
        "their names were put right"
    )
    repaired = read_manifest(whole)
    assert (repaired.started_at, repaired.config) == (record_["started_at"], record_["config"])
    assert (tmp_path / "precious.sqlite").read_text() == "mine"
    assert read_manifest(whole).database == "session.sqlite"


@pytest.mark.parametrize("table", ["estimates", "frames", "sound", "events"])
def test_a_deleted_table(whole, table):
    connection = sqlite3.connect(whole / "session.sqlite")
    connection.execute(f"DROP TABLE {table}")
    connection.commit()
    connection.close()
    n_reports = 20
    report = repair(whole)
    assert report.verification.ok
    assert f"table {table} was missing: made anew, what stood in it is lost" in report.done
    assert count(whole, "face_reports") == n_reports
    assert count(whole, "frames") == 60, "known from the media file"
    assert count(whole, "sound") == 100
    assert repair(whole).done == ()


def test_a_lost_database(whole):
    (whole / "session.sqlite").unlink()
    report = repair(whole)
    assert report.verification.ok
    assert "the database was missing" in " ".join(report.done)
    assert count(whole, "frames") == 60


def test_a_damaged_database_keeps_what_can_be_read(whole):
    path = whole / "session.sqlite"
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'estimates'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(data)
    report = repair(whole)
    assert any("the database was damaged" in line for line in report.done)
    assert b"\xa5" * size in path.with_name("session.sqlite.damaged").read_bytes()
    assert count(whole, "face_reports") == 20
    assert count(whole, "frames") == 60
    assert repair(whole).done == ()


def test_a_database_that_is_none_any_more(whole):
    (whole / "session.sqlite").write_bytes(bytes(5000))
    report = repair(whole)
    assert report.verification.ok
    assert count(whole, "sound") == 100
    assert (whole / "session.sqlite.damaged").read_bytes() == bytes(5000)


def test_a_media_file_that_was_cut_in_the_middle_of_a_packet(whole):
    media = whole / "media.mkv"
    media.write_bytes(media.read_bytes()[: media.stat().st_size * 3 // 4 + 7])
    report = repair(whole)
    assert report.verification.ok
    assert 20 < report.verification.n_frames < 60
    assert count(whole, "estimates") == 20
    assert repair(whole).done == ()


def test_pictures_that_are_damaged_inside_the_media_file_are_repaired_once(whole):
    media = whole / "media.mkv"
    data = bytearray(media.read_bytes())
    with av.open(str(media)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for start, size in places:
        data[start + 8 : start + size] = bytes(size - 8)
    media.write_bytes(data)
    report = repair(whole)
    assert any("written anew" in line for line in report.done)
    assert "damaged inside: its first picture cannot be decoded" in report.line()
    before = contents(whole)
    again = repair(whole)
    assert (again.done, again.verification.ok) == ((), False)
    assert "nothing more can be repaired" in again.line()
    assert contents(whole) == before


@pytest.mark.parametrize("left", [0, 100])
def test_a_media_file_that_is_none_any_more(whole, left):
    media = whole / "media.mkv"
    data = media.read_bytes()[:left]
    media.write_bytes(data)
    report = repair(whole)
    assert any("the media file is lost" in line for line in report.done)
    assert media.read_bytes() == data
    assert read_manifest(whole).media is None
    assert count(whole, "estimates") == 20
    assert repair(whole).done == ()


def test_a_foreign_database_is_not_touched(whole):
    path = whole / "session.sqlite"
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    before = contents(whole)
    with pytest.raises(RecordingError, match="another program's database"):
        repair(whole)
    assert contents(whole) == before


def test_a_newer_session_is_not_touched(whole):
    connection = sqlite3.connect(whole / "session.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (whole / "manifest.json").unlink()
    before = contents(whole)
    with pytest.raises(NewerFormat, match="update realtime-er"):
        repair(whole)
    assert contents(whole) == before


@pytest.mark.parametrize("name", ["media.mkv", "session.sqlite", "manifest.json"])
def test_links_are_refused(whole, tmp_path, name):
    outside = tmp_path / "outside"
    shutil.move(whole / name, outside)
    (whole / name).symlink_to(outside)
    before = outside.read_bytes()
    with pytest.raises(RecordingError, match="is a symbolic link"):
        repair(whole)
    assert outside.read_bytes() == before


def test_links_under_the_names_of_temporary_files(cut_off, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in ("media.mkv.repairing", "session.sqlite.repairing", "manifest.json.new"):
        (cut_off / name).symlink_to(outside)
    assert repair(cut_off).verification.ok
    assert outside.read_text() == "mine"


def test_no_session(tmp_path):
    with pytest.raises(RecordingError, match="no such folder"):
        repair(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RecordingError, match="is no session: none of"):
        repair(tmp_path)


def test_no_room_for_a_second_media_file(cut_off, monkeypatch):
    usage = shutil.disk_usage(cut_off)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    before = (cut_off / "media.mkv").read_bytes()
    with pytest.raises(RecordingError, match=r"needs .* MB of free space"):
        repair(cut_off)
    assert (cut_off / "media.mkv").read_bytes() == before


def test_mending_a_whole_database_does_nothing(tmp_path):
    path = tmp_path / "session.sqlite"
    create_database(path).close()
    done: list[str] = []
    mend_database(path, done).close()
    assert done == []
