"""A score's age falls into its parts, exactly."""

import pytest

from realtime_er.bench.ages import PARTS, parts_of
from realtime_er.bench.notes import Step
from realtime_er.messages import Timing
from tests.sinks.samples import make_estimate


def estimate(time_s, age_s, fuse_s=0.002, closed_by="watermark"):
    from dataclasses import replace

    made = make_estimate(0)
    timing = Timing(age_s=age_s, fuse_s=fuse_s, evidence_age_s={}, closed_by=closed_by)
    return replace(made, time_s=time_s, timing=timing)


def test_the_track_that_came_last_tells_where_the_time_went():
    tracks = {
        # Face: known up to 0.9 early, past 1.0 only with the second frame.
        "face": [Step(0.9, 0.91, 0.92, 0.95), Step(1.01, 1.02, 1.03, 1.06)],
        "audio": [Step(1.05, 1.0, 1.01, 1.02)],
        "speech": [],
    }
    parts = parts_of([estimate(1.0, 0.070)], tracks)
    found = {name: values[0] for name, values in parts.items()}
    assert found["capture"] == pytest.approx(0.02)
    assert found["queue"] == pytest.approx(0.01)
    assert found["encode"] == pytest.approx(0.03)
    assert found["wait"] == pytest.approx(0.008)
    assert found["late"] == 0.0
    assert sum(found[part] for part in PARTS) == pytest.approx(found["age"])


def test_what_was_there_before_the_window_ended_had_not_to_be_waited_for():
    tracks = {"audio": [Step(1.2, 0.7, 0.72, 0.75)]}
    parts = parts_of([estimate(1.0, 0.012)], tracks)
    assert (parts["capture"], parts["queue"], parts["encode"]) == ([0.0], [0.0], [0.0])
    assert parts["wait"] == [pytest.approx(0.010)]


def test_a_tick_that_did_not_wait_for_its_track_is_late():
    tracks = {"face": [Step(1.01, 1.02, 1.03, 1.4)]}
    parts = parts_of([estimate(1.0, 0.152, closed_by="deadline")], tracks)
    assert parts["late"] == [1.0]
    assert parts["wait"] == [pytest.approx(0.150)]


def test_estimates_of_files_have_no_age():
    assert parts_of([estimate(1.0, None)], {})["age"] == []
