"""What a recording keeps of the person's consent, and what it keeps when it keeps numbers only."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import date
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import pyxdf

from realtime_er.consent import Consent
from realtime_er.errors import RecordingError
from realtime_er.messages import Event
from realtime_er.recompute import check
from realtime_er.recording.export.formats import export_session
from realtime_er.recording.listing import list_sessions
from realtime_er.recording.manifest import MANIFEST, read_manifest
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.repair import repair
from realtime_er.recording.store import StoredCheckpoint
from tests.recording import samples
from tests.recording.synthetic import block, embedding, estimate, frame, report, speech, transcribed
from tests.recording.test_recorder import Recording, rows

CONSENT = Consent(
    person="Anna <b>",
    purpose="research",
    about="gestures --> speech",
    until=date(2027, 1, 31),
    given_at="2026-11-21T09:30:00+00:00",
    asked="window",
)
LINE = "consent of Anna <b> for research: gestures --> speech, until 2027-01-31"


def record(folder, **options):
    """Half a second of everything there is."""
    recording = Recording(folder, RecordOptions(**options))
    recording.feed(StoredCheckpoint(json.dumps({"embedding": [0.5]})), speech(0.1))
    recording.feed(Event(0.15, "target selected", "3"))
    for number in range(5):
        time_s = number / 10
        recording.feed(frame(number, time_s), block(number, time_s, 1600), report(number, time_s))
        recording.feed(embedding("audio", time_s + 0.05), transcribed(number, time_s + 0.08))
        recording.feed(estimate(number, time_s + 0.1))
    return recording.end()


@pytest.fixture
def agreed(tmp_path):
    """A session with consent."""
    assert record(tmp_path / "anna", consent=CONSENT).ok
    return tmp_path / "anna"


def test_it_is_in_the_manifest_and_in_the_listing(agreed):
    assert read_manifest(agreed).given_consent() == CONSENT
    (entry,) = list_sessions(agreed)
    assert entry.consent == CONSENT
    assert entry.verified


def test_it_is_an_event_and_so_survives_a_lost_manifest(agreed):
    ((time_s, detail),) = rows(agreed, "SELECT time_s, detail FROM events WHERE kind = 'consent'")
    assert time_s == 0.0
    assert Consent.from_record(json.loads(detail)) == CONSENT
    (agreed / MANIFEST).unlink()
    assert repair(agreed).verification.ok
    assert read_manifest(agreed).given_consent() == CONSENT


@pytest.mark.parametrize("detail", ["[]", "{", '{"person": 5}'])
def test_a_consent_that_cannot_be_read_back_is_none(agreed, detail):
    with sqlite3.connect(agreed / "session.sqlite") as connection:
        connection.execute("UPDATE events SET detail = ? WHERE kind = 'consent'", (detail,))
    connection.close()
    (agreed / MANIFEST).unlink()
    repair(agreed)
    assert read_manifest(agreed).consent is None


def test_a_session_from_before_says_that_there_is_none(recorded, tmp_path):
    assert "consent" not in json.loads((recorded / MANIFEST).read_text()) or (
        read_manifest(recorded).consent is None
    )
    old = tmp_path / "old"
    shutil.copytree(recorded, old)
    record_ = json.loads((old / MANIFEST).read_text())
    record_.pop("consent", None)
    (old / MANIFEST).write_text(json.dumps(record_))
    with RecordedSession.open(old) as session:
        assert session.consent is None
        (page,) = export_session(session, "report", tmp_path / "out")
    assert "No consent recorded" in page.read_text("utf-8")


def test_a_damaged_consent_is_a_damaged_session(recorded, tmp_path):
    copy = shutil.copytree(recorded, tmp_path / "copy")
    samples.lie_in_manifest(copy, consent={"person": "Anna"})
    (entry,) = list_sessions(copy)
    assert "the consent is damaged" in entry.problem
    samples.lie_in_manifest(copy, consent={"person": 5})
    with pytest.raises(RecordingError, match="consent is not what it should be"):
        RecordedSession.open(copy)


def test_exports_say_it(agreed, tmp_path):
    out = tmp_path / "out"
    with RecordedSession.open(agreed) as session:
        for to in ("parquet", "eaf", "vtt", "xdf", "report", "csv"):
            export_session(session, to, out)
    assert pq.read_schema(out / "estimates.parquet").metadata[b"consent"].decode() == LINE
    header = ElementTree.parse(out / "session.eaf").find("HEADER")
    assert [p.text for p in header.findall("PROPERTY") if p.get("NAME") == "consent"] == [LINE]
    assert "\n\nNOTE consent of Anna &lt;b&gt; for research: gestures --&gt; speech, until" in (
        out / "transcript.vtt"
    ).read_text("utf-8")
    _streams, info = pyxdf.load_xdf(str(out / "session.xdf"))
    assert info["info"]["consent"] == [LINE]
    assert "Consent of Anna &lt;b&gt; for research" in (out / "report.html").read_text("utf-8")
    assert "Anna <b>" in (out / "events.csv").read_text("utf-8")


def test_numbers_only_keeps_scores_and_nothing_that_identifies_or_quotes(tmp_path):
    folder = tmp_path / "numbers"
    done = record(folder, numbers_only=True, consent=CONSENT)
    assert done.ok
    assert done.lost == 0
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "session.sqlite",
        "annotations",
    }
    for table in ("frames", "sound", "embeddings", "hypotheses", "words", "checkpoint"):
        assert rows(folder, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert rows(folder, "SELECT count(*) FROM estimates") == [(5,)]
    assert rows(folder, "SELECT DISTINCT transcript, partial FROM estimates") == [("", "")]
    assert rows(folder, "SELECT count(*), count(landmarks_px) FROM faces") == [(5, 0)]
    assert rows(folder, "SELECT count(*) FROM events WHERE kind = 'target selected'") == [(1,)]
    manifest = read_manifest(folder)
    assert manifest.options["numbers_only"]
    assert not manifest.options["media"]
    # A checkpoint, five embeddings and five transcripts; reports lost theirs.
    assert manifest.ledger["messages_left_out"] == 11
    assert b"hello" not in (folder / "session.sqlite").read_bytes()
    with pytest.raises(RecordingError, match="numbers only"):
        check(folder)
