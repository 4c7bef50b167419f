"""One line a second, and JSON lines."""

import io
import json

from realtime_er.messages import LABELS, MODALITIES, Absence, Health
from realtime_er.sinks.lines import JsonLines, SecondLines, summary_line
from tests.sinks.samples import make_estimate


def test_summary_line_has_everything():
    estimate = make_estimate(25, lead="Sad", score=0.5, absent={"text": Absence.UNAVAILABLE})
    line = summary_line(estimate, Health(dropped_frames=2, dropped_samples=160))
    for part in ("2.5 s", "Sad 50 %", "face: present", "text: unavailable", "age 40 ms"):
        assert part in line
    assert line.endswith("dropped 2 frames 160 samples")


def test_summary_line_without_a_label():
    absent = dict.fromkeys(MODALITIES, Absence.NO_FACE)
    assert "nothing to read" in summary_line(make_estimate(1, absent=absent), Health())
    assert "not sure" in summary_line(make_estimate(1, score=0.2, label=""), Health())


def test_one_line_a_second():
    stream = io.StringIO()
    lines = SecondLines(stream, Health)
    for index in range(1, 36):  # 0.1 s to 3.5 s
        lines.show(make_estimate(index))
    times = [line.split(" s")[0].strip() for line in stream.getvalue().splitlines()]
    assert times == ["0.1", "1.0", "2.0", "3.0"]


def test_json_lines_are_valid_without_nan():
    stream = io.StringIO()
    sink = JsonLines(stream)
    sink.show(make_estimate(1, missing=["Disgust"], text="été"))
    sink.show(make_estimate(2, absent=dict.fromkeys(MODALITIES, Absence.MUTED)))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["label"] == "Happy"
    assert first["Disgust"] is None
    assert first["transcript"] == "été"
    assert first["timing"]["age_s"] == 0.04
    assert second["label"] is None
    assert [second[label] for label in LABELS] == [None] * 7
    assert second["state_face"] == "muted"
