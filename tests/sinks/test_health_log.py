"""The health log: once a second, every event once, no scores and no words."""

import io
import json
from dataclasses import replace

import pytest

from realtime_er.clock import VirtualClock
from realtime_er.errors import ConfigError, WorkerFault
from realtime_er.messages import Absence, Event, Health, RecordingStatus
from realtime_er.sinks.health_log import HealthLog
from tests.sinks.samples import make_estimate, make_final, make_snapshot

LOST = Event(2.5, "device lost", "camera: no frames for 1.0 s")
BACK = Event(4.5, "device back", "camera")


@pytest.fixture
def clock():
    return VirtualClock()


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_health_once_a_second_and_each_event_once(tmp_path, clock):
    path = tmp_path / "log.jsonl"
    shown = replace(
        make_snapshot(make_estimate(12)),
        health=Health(score_age_s=0.04, video_fps=29.5, dropped_frames=2),
        states={"face": None, "audio": Absence.MUTED, "text": None},
        events=(),
        recording=RecordingStatus("/home/anna/rec", 0.0, 1000, 60.0),
    )
    with HealthLog(path, pytest.fail, clock) as log:
        for tenth in range(35):
            clock.advance_to(tenth / 10)
            now_s = tenth / 10
            events = tuple(event for event in (LOST, BACK) if event.time_s <= now_s + 1.5)
            log.look(lambda now_s=now_s, events=events: replace(shown, now_s=now_s, events=events))
    found = lines(path)
    assert [record["kind"] for record in found] == [
        "health",
        "event",
        "health",
        "health",
        "event",
        "health",
        "end",
    ]
    assert [record["session_s"] for record in found if record["kind"] == "health"] == [0, 1, 2, 3]
    events = [(e["session_s"], e["event"], e["detail"]) for e in found if e["kind"] == "event"]
    assert events == [(e.time_s, e.kind, e.detail) for e in (LOST, BACK)]
    health = found[0]
    assert (health["score_age_s"], health["video_fps"], health["dropped_frames"]) == (0.04, 29.5, 2)
    assert health["states"] == {"face": "present", "audio": "muted", "text": "present"}
    assert health["recording"] == {"n_bytes": 1000, "left_s": 60.0, "failure": None}
    assert set(health["evidence_age_s"]) == {"face", "audio", "text"}
    assert found[-1]["failure"] is None


def test_what_happens_in_the_last_second_is_there(tmp_path, clock):
    path = tmp_path / "log.jsonl"
    events = [LOST]
    with HealthLog(path, pytest.fail, clock) as log:
        log.look(lambda: replace(make_snapshot(make_estimate(12)), events=tuple(events)))
        events.append(BACK)
    assert [record.get("event") for record in lines(path)] == [LOST.kind, None, BACK.kind, None]


def test_no_words_and_no_scores(tmp_path, clock):
    path = tmp_path / "log.jsonl"
    said = make_final(1, "It is a fine day.", 0.5, 1.5)
    snapshot = make_snapshot(make_estimate(12), finals=[said], current=said)
    with HealthLog(path, pytest.fail, clock) as log:
        log.look(lambda: snapshot)
    text = path.read_text("utf-8")
    assert "score_age_s" in text
    assert "fine" not in text
    assert snapshot.estimate.label not in text


def test_why_it_ended_stands_at_the_end(tmp_path, clock):
    path = tmp_path / "log.jsonl"
    with pytest.raises(WorkerFault), HealthLog(path, pytest.fail, clock):
        raise WorkerFault("the face thread failed: out of memory")
    with pytest.raises(ValueError, match="fine day"), HealthLog(path, pytest.fail, clock):
        raise ValueError("cannot read 'It is a fine day.'")
    first, second = lines(path)  # the second run goes on in the same file
    assert first["failure"] == "the face thread failed: out of memory"
    assert second["failure"] == "ValueError"


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path, clock, monkeypatch):
    said = []
    log = HealthLog(tmp_path / "log.jsonl", said.append, clock)

    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    log._file.close()
    monkeypatch.setattr(log, "_file", Full())
    with log:
        for second in range(3):
            clock.advance_to(float(second))
            log.look(lambda: make_snapshot(make_estimate(12)))
    assert said == [
        f"{tmp_path / 'log.jsonl'}: cannot be written any more: No space left on device"
    ]


def test_a_file_that_cannot_be_made_is_an_error_before_the_session(tmp_path):
    with pytest.raises(ConfigError, match="--log-json"):
        HealthLog(tmp_path / "none" / "log.jsonl", pytest.fail)
