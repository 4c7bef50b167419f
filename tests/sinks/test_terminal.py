"""The dashboard, rendered to text."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from realtime_er.messages import LABELS, MODALITIES, Absence, Event, Health, RecordingStatus
from realtime_er.sinks.terminal import Dashboard, bar, leading, render, sparkline
from tests.sinks.samples import make_estimate, make_final, make_snapshot


def shown(snapshot, width=80):
    console = Console(file=io.StringIO(), width=width, height=24, color_system=None)
    console.print(render(snapshot, width))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 180])
def test_fits_the_terminal(width):
    text = "so many words that they do not fit into the panel " * 20
    lines = shown(
        make_snapshot(
            make_estimate(300),
            states=dict.fromkeys(MODALITIES, Absence.TOO_LITTLE_SPEECH),
            finals=[make_final(1, text, 0.0, 20.0)],
            health=Health(1.2345, 12.5, 10.0, 30.0, 10.0, -120.0, False, 12345, 123456),
            notices=["text is unavailable: " + "x" * 200],
        ),
        width,
    ).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert any(len(line) == width for line in lines)


def test_says_how_it_reads_with_every_score():
    text = shown(make_snapshot(make_estimate(10, lead="Angry", score=0.78)))
    assert "reads as Angry 78 %" in text
    assert all(label in text for label in LABELS)
    assert "contributions to Angry" in text


def test_abstaining_says_not_sure():
    text = shown(make_snapshot(make_estimate(10, lead="Sad", score=0.25, label="")))
    assert "not sure" in text
    assert "most like Sad, 25 %" in text
    assert "reads as" not in text


def test_before_the_first_estimate():
    states = dict.fromkeys(MODALITIES, Absence.WAITING)
    text = shown(make_snapshot(None, states=states))
    assert "starting" in text
    assert text.count("waiting") == 3


def test_nothing_to_read_shows_no_score():
    absent = dict.fromkeys(MODALITIES, Absence.NO_FACE)
    text = shown(make_snapshot(make_estimate(10, absent=absent), states=absent))
    assert "nothing to read" in text
    assert "%" not in text


@pytest.mark.parametrize("absence", list(Absence))
def test_every_absence_is_named(absence):
    estimate = make_estimate(10, absent={"audio": absence})
    text = shown(make_snapshot(estimate, states={"face": None, "audio": absence, "text": None}))
    (line,) = [line for line in text.splitlines() if line.startswith("│ audio")]
    assert str(absence) in line
    assert "present" in text


def test_a_label_the_head_lacks_is_a_dash():
    text = shown(make_snapshot(make_estimate(10, missing=["Fear"])))
    (line,) = [line for line in text.splitlines() if "Fear" in line]
    assert " - " in line
    assert "%" not in line


def test_contributions_go_left_and_right():
    estimate = make_estimate(10, lead="Happy", score=0.7)
    happy = LABELS.index("Happy")
    estimate.contributions["face"][happy] = 0.3
    estimate.contributions["audio"][happy] = -0.2
    text = shown(make_snapshot(estimate))
    face, audio = (
        next(line for line in text.splitlines() if line.startswith(f"│ {name}"))
        for name in ("face", "audio")
    )
    assert "+0.30" in face
    assert "│█" in face
    assert "-0.20" in audio
    assert "█│" in audio


def test_the_transcript_marks_what_may_still_change():
    current = make_final(2, "and then he", 4, 5, is_final=False, committed="and then")
    snapshot = make_snapshot(
        make_estimate(50), finals=[make_final(1, "I am here.", 0, 2)], current=current
    )
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    console.print(render(snapshot, 80))
    output = console.file.getvalue()
    assert "I am here." in output
    assert "\x1b[2;3m he" in output  # dim italic: uncommitted
    assert "\x1b[1m and" in output  # bold: committed


def test_drops_and_notices_are_shown():
    health = Health(0.042, 0.08, 10, 30, 10, -31, True, 3, 320)
    text = shown(make_snapshot(make_estimate(9), health=health, notices=["words are off"]))
    assert "age 42 ms (p95 80 ms)" in text
    assert "drops 3+320" in text
    assert "words are off" in text


def test_what_a_slow_computer_gives_up_is_said_until_it_is_back():
    down = Event(9.0, "ladder down", "fewer faces a second (face busy 99 %)")
    slow = replace(make_snapshot(make_estimate(9), notices=["words are off"]), events=(down,))
    assert "too slow: fewer faces a second (face busy 99 %)" in shown(slow)
    back = replace(slow, events=(down, Event(20.0, "ladder up", "full quality")))
    assert "too slow" not in shown(back)
    assert "words are off" in shown(back)


def test_leading_ignores_what_is_missing():
    assert leading(None) is None
    assert leading(make_estimate(1, absent=dict.fromkeys(MODALITIES, Absence.OFF))) is None
    assert leading(make_estimate(1, lead="Fear", label="", missing=["Happy"])) == "Fear"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "    "), (0.5, "██  "), (1.0, "████"), (2.0, "████"), (0.125, "▌   ")],
)
def test_bar(value, expected):
    assert bar(value, 4) == expected


def test_bar_of_nothing_is_empty():
    assert bar(float("nan"), 4) == "    "


def test_sparkline_leaves_gaps():
    history = [make_estimate(1, score=0.99), make_estimate(290, score=0.2)]
    line = sparkline(history, LABELS.index("Happy"), 29.9, 10)
    assert len(line) == 10
    assert line[0] == "█"
    assert line[9] == "▂"
    assert line[1:9].strip() == ""


class Watched:
    def __init__(self):
        self.asked = 0

    def snapshot(self):
        self.asked += 1
        return make_snapshot(make_estimate(10))


def test_dashboard_draws_on_a_terminal_only():
    watched = Watched()
    silent = Console(file=io.StringIO(), force_terminal=False)
    with Dashboard(watched, silent):
        pass
    assert silent.file.getvalue() == ""
    assert watched.asked == 0
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with Dashboard(watched, terminal):
        pass
    assert "reads as" in terminal.file.getvalue()
    assert watched.asked > 0


def test_samples_are_what_the_messages_promise():
    assert np.isclose(make_estimate(1).probabilities.sum(), 1.0)


def test_a_recording_in_trouble_takes_the_last_line():
    low = replace(make_snapshot(make_estimate(1)), recording=RecordingStatus("s1", 0.0, 10, 125.0))
    assert "recording s1: the disk has room for 2:05 more" in shown(low)
    ended = replace(low, recording=RecordingStatus("s1", 0.0, 10, 0.0, "the disk is full"))
    assert "recording s1: the disk is full" in shown(ended)
    fine = replace(low, recording=RecordingStatus("s1", 0.0, 10, 5000.0))
    assert "s1" not in shown(fine)
