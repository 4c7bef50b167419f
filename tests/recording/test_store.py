from __future__ import annotations

import dataclasses
import math
import sqlite3

import numpy as np
import pytest

from realtime_er.messages import Absence, Event, FaceReport, Gap, Health
from realtime_er.recording.database import create_database
from realtime_er.recording.rows import row_to_health
from realtime_er.recording.store import (
    Store,
    StoredCheckpoint,
    messages_in_order,
    read_estimates,
)
from realtime_er.windows import Announced, Watermark
from tests.recording.synthetic import embedding, estimate, report, speech, transcribed


@pytest.fixture
def connection(tmp_path):
    connection = create_database(tmp_path / "session.sqlite")
    yield connection
    connection.close()


def plain(value):
    """Equal for equal messages, to the last bit and to the type."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return (type(value).__name__, [plain(getattr(value, field.name)) for field in fields])
    if isinstance(value, dict):
        return [(key, plain(part)) for key, part in value.items()]
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return (type(value).__name__, repr(value))


MESSAGES = [
    StoredCheckpoint('{"a": NaN}'),
    Watermark("face", 0.1 + 0.2),
    report(3, 1 / 3, boxes=((1.1, 2.2, 3.3, 4.4), (-5.0, 0.0, 1e-9, 7.0))),
    embedding("audio", 1.25),
    estimate(1),
    FaceReport(4, 0.4, (), None, Absence.NO_FACE, None),
    speech(0.03),
    transcribed(1, 2.0),
    transcribed(2, 2.5, text=""),
    Event(1.0, "camera lost", 'it said "no"; DROP TABLE estimates; --'),
    Gap("camera", 1.0, math.nextafter(2.0, 3.0), "\u202eright to left \N{GRINNING FACE}\n"),
    estimate(2),
    report(5, 0.5),
    Watermark("face", math.inf),
    estimate(3),
    estimate(6),
]


def test_everything_comes_back_in_order_and_to_the_last_bit(connection):
    store = Store(connection)
    for message in MESSAGES:
        store.add(message)
    store.commit()
    found = list(messages_in_order(connection))
    assert [seq for seq, _ in found] == list(range(1, len(MESSAGES) + 1))
    assert [plain(message) for _, message in found] == [plain(message) for message in MESSAGES]
    assert store.n_messages == store.n_committed == len(MESSAGES)
    assert store.n_committed_estimates == 4


def test_random_estimates(connection):
    made = [estimate(index, seed=5) for index in range(400)]
    store = Store(connection)
    for one in made:
        store.add(one)
    store.commit()
    for one, (_, read) in zip(made, read_estimates(connection), strict=True):
        assert plain(read) == plain(one)
        assert read.to_record() == one.to_record()


def test_of_the_watermarks_only_the_first_and_the_last_of_a_track(connection):
    store = Store(connection)
    for time_s in (0.1, 0.2, 0.3, math.inf):
        store.add(Watermark("face", time_s))
        store.add(Watermark("audio", time_s + 1))
        store.add(Announced(1, 1, time_s))
    store.commit()
    assert [message for _, message in messages_in_order(connection)] == [
        Watermark("face", 0.1),
        Watermark("audio", 1.1),
        Watermark("face", math.inf),
        Watermark("audio", math.inf),
    ]


def test_nothing_is_visible_before_commit_and_all_of_it_after(connection, tmp_path):
    reader = sqlite3.connect(tmp_path / "session.sqlite")
    store = Store(connection)
    store.add(estimate(1))
    assert store.dirty
    assert reader.execute("SELECT count(*) FROM estimates").fetchone() == (0,)
    store.commit()
    assert not store.dirty
    assert reader.execute("SELECT count(*) FROM contributions").fetchone() == (3,)
    reader.close()


def test_what_cannot_be_written_is_written_the_next_time(connection, tmp_path):
    store = Store(connection)
    store.add(estimate(1))
    connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "session.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        store.commit()
    other.execute("ROLLBACK")
    other.close()
    store.commit()
    assert [one.index for _, one in read_estimates(connection)] == [1]


def test_numpy_numbers_and_half_characters_are_stored_as_what_they_mean(connection):
    store = Store(connection)
    odd = dataclasses.replace(
        estimate(1), index=np.int64(7), confidence=np.float32(0.1), transcript="half \ud800"
    )
    store.add(odd)
    store.commit()
    row = connection.execute("SELECT tick, confidence, transcript FROM estimates").fetchone()
    assert row == (7, float(np.float32(0.1)), "half ?")


def test_health_once_per_moment(connection):
    store = Store(connection)
    health = Health(score_age_s=0.1, estimates_hz=9.9, speaking=True, dropped_frames=3)
    store.add_health(1.0, health)
    store.add_health(1.0, Health())
    store.add_health(2.0, Health())
    store.commit()
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute("SELECT * FROM health ORDER BY time_s").fetchall()
    assert [row_to_health(row) for row in rows] == [(1.0, health), (2.0, Health())]


def test_what_is_not_recorded_is_an_error(connection):
    with pytest.raises(TypeError, match="int is not recorded"):
        Store(connection).add(3)
