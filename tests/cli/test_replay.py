"""`realtime-er replay`: what it shows, computes and refuses; annotation keys on a recording."""

import json
import subprocess
import sys
from contextlib import closing

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from realtime_er.cli.display import DisplayOptions
from realtime_er.cli.guard import guarded
from realtime_er.cli.playback import PlayedSession, open_marks, play_window
from realtime_er.cli.replay import replay
from realtime_er.errors import RecordingError
from realtime_er.recording import rater_marks
from realtime_er.recording.database import open_database
from realtime_er.recording.labels import load_labels
from realtime_er.recording.manifest import ANNOTATIONS, DATABASE, read_manifest
from realtime_er.recording.player import Player
from realtime_er.recording.rater_marks import RaterMarks
from realtime_er.recording.reader import RecordedSession
from tests.recording.pixels import PixelModels, both, record

app = typer.Typer()
app.command()(guarded(replay))


class Steps:
    """A clock that goes on by itself with every look."""

    def __init__(self, step_s=0.5):
        self.now, self.step_s = 0.0, step_s

    def now_s(self):
        self.now += self.step_s
        return self.now


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay") / "session"
    record(folder, both(5.0), lossless=True)
    return folder


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr("realtime_er.recompute.Models", PixelModels)
    monkeypatch.setattr("realtime_er.session.Models", PixelModels)
    monkeypatch.setattr("realtime_er.clock.SessionClock", Steps)


def invoke(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_check_says_equal_in_one_line(recorded):
    result = invoke(recorded, "--check")
    assert result.exit_code == 0, result.output
    assert "all equal byte for byte" in result.stdout
    assert result.stdout.count("\n") == 1


def test_check_with_other_settings_fails_and_says_how_far(recorded):
    result = invoke(recorded, "--check", "--set", "decision.smoothing_s=2")
    assert result.exit_code == 1
    assert "scores differ by" in result.stdout
    assert result.stdout.count("\n") == 1


def test_check_of_changed_evidence_fails(recorded, tmp_path):
    import shutil

    copy = shutil.copytree(recorded, tmp_path / "s")
    with closing(open_database(copy / DATABASE, writable=True)) as connection:
        connection.execute("UPDATE estimates SET happy = happy + 0.01 WHERE tick = 30")
    result = invoke(copy, "--check")
    assert result.exit_code == 1
    assert "tick 30: Happy" in result.stdout


def test_recompute_writes_a_session_beside_it(recorded, tmp_path):
    result = invoke(recorded, "--recompute", "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'new'}: verified" in result.stdout
    assert "all equal byte for byte" in result.stdout
    assert read_manifest(tmp_path / "new").origin["session"] == "session"
    again = invoke(recorded, "--recompute", "--out", tmp_path / "new")
    assert again.exit_code == 1
    assert "not empty" in again.stderr


def test_estimates_on_stdout(recorded):
    result = invoke(recorded, "--json", "--speed", "16", "--seconds", "3")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["index"] for r in records] == list(range(1, 31))
    lines = invoke(recorded, "--display", "none", "--from", "2")
    assert lines.exit_code == 0
    assert "5.0 s" in lines.stdout.splitlines()[-1] or "4." in lines.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--speed", "50"], 2, "--speed must be 0.25 to 16"),
        (["--check", "--recompute"], 2, "one at a time"),
        (["--out", "x"], 2, "--recompute"),
        (["--set", "decision.smoothing_s=1"], 2, "give them with --recompute"),
        (["--check", "--set", "decision.smoothing=1"], 2, "did you mean 'smoothing_s'"),
        (["--check", "--set", "tick.hop_s=0.5"], 2, "keeps its ticks"),
        (["--display", "window"], 2, "no window"),
        (["--after", "3"], 2, "--screenshot"),
    ],
)
def test_wrong_usage_is_one_line(recorded, options, code, text):
    result = invoke(recorded, *options)
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_session_is_one_line(tmp_path):
    for options in ([], ["--check"], ["--recompute"]):
        result = invoke(tmp_path / "nothing", *options)
        assert result.exit_code == 1
        assert result.stderr == f"error: {tmp_path / 'nothing'}: no such folder\n"


# --- following ------------------------------------------------------------------------------------


def test_every_estimate_comes_once_whatever_the_speed(recorded):
    with RecordedSession.open(recorded) as session:
        n = session.counts()["estimates"]
        for step_s in (0.2, 0.7, 40.0):
            with Player(session, clock=Steps(step_s)) as player:
                player.play(True)
                indices = [e.index for e in PlayedSession(player).estimates()]
            assert indices == list(range(1, n + 1))


def test_stop_ends_it(recorded):
    with RecordedSession.open(recorded) as session, Player(session, clock=Steps(0.1)) as player:
        player.play(True)
        played = PlayedSession(player)
        seen = 0
        for _ in played.estimates():
            seen += 1
            played.stop()
        assert 0 < seen < 10
        assert played.stopped


# --- the window -----------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What would be shown."""
    calls = []

    def show(controls, pump, look):
        calls.append((controls, look, [controls.snapshot() for _ in range(3) if pump()]))

    monkeypatch.setattr("realtime_er.sinks.display.app.show", show)
    return calls


def test_the_window_gets_transport_and_marks(recorded, shown, tmp_path):
    options = DisplayOptions(None, False, False, "light", None, None)
    with RecordedSession.open(recorded) as session, Player(session, clock=Steps(0.1)) as player:
        marks = open_marks(session, "ann", None)
        play_window(player, options, "a session", marks)
        controls, look, snapshots = shown[0]
        assert controls.transport is player
        assert player.playing
        assert controls.annotator is marks
        assert controls.record is controls.set_muted is controls.choices is None
        assert (look.title, look.theme) == ("a session", "light")
        assert len(snapshots) == 3
        player.play(False)
        play_window(player, options, "a session", marks, paused=True)
        assert not player.playing


def test_a_screenshot_goes_to_its_moment_and_never_past_the_end(recorded, shown, tmp_path):
    for after, wanted_s in ((3.5, 3.5), (99.0, 5.0)):
        options = DisplayOptions(None, False, False, "dark", tmp_path / "x.png", after)
        with RecordedSession.open(recorded) as session, Player(session, clock=Steps(0.0)) as player:
            play_window(player, options, "a session", None)
            assert player.playing
        _controls, look, snapshots = shown.pop()
        assert look.after_s == pytest.approx(wanted_s, abs=0.05)
        assert snapshots[-1].now_s == pytest.approx(wanted_s - 1.0, abs=0.05)


@pytest.mark.slow
def test_the_screenshot_shows_picture_and_timeline(recorded, tmp_path):
    pytest.importorskip("PySide6")
    code = (
        "import typer; from realtime_er.cli.guard import guarded; "
        "from realtime_er.cli.replay import replay; "
        "app = typer.Typer(); app.command()(guarded(replay)); app()"
    )
    target = tmp_path / "shot.png"
    options = ["--screenshot", str(target), "--after", "3", "--rater", "nobody"]
    done = subprocess.run(
        [sys.executable, "-c", code, str(recorded), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(target))
    assert image.shape[1] >= 1000
    picture = image[20:260, 20:460]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100  # the blocks of the test's camera
    assert not (recorded / ANNOTATIONS / "nobody.sqlite").exists()


# --- annotations ----------------------------------------------------------------------------------


@pytest.fixture
def own(recorded, tmp_path):
    import shutil

    return shutil.copytree(recorded, tmp_path / "s")


def test_looking_leaves_nothing_behind_and_marks_are_the_raters_own(own):
    before = (own / DATABASE).read_bytes()
    labels = load_labels()
    with RecordedSession.open(own) as session:
        marks = RaterMarks(session.path, "ben", labels)
        assert marks.keys()
        assert marks.marks() == ()
        assert marks.undo() == ""
        assert not marks.press("ß", 1.0, None)
        assert not marks.release("1", 1.0, None)
        marks.note("   ", 1.0, None)
        marks.close(2.0)
        assert session.raters == ()
        point = next(label for label in labels.labels if label.kind == "point")
        marks = RaterMarks(session.path, "ben", labels)
        assert marks.press(point.key, 1.5, 22)
        marks.note("looks away", 2.0, 30)
        assert [mark.kind for mark in marks.marks()] == ["point", "note"]
        assert "looks away" in marks.undo()
        marks.close(3.0)
        assert session.raters == ("ben",)
        again = RaterMarks(session.path, "ben", labels)  # what is there is shown from the start
        assert len(again.marks()) == 1
        again.close(3.0)
    assert (own / DATABASE).read_bytes() == before


def test_where_marks_cannot_be_written_the_replay_goes_on(own, monkeypatch, capsys):
    class Refusing:
        def __init__(self, *_):
            raise RecordingError("annotations/ben.sqlite: cannot be written: read-only")

    monkeypatch.setattr(rater_marks, "RaterMarks", Refusing)
    with RecordedSession.open(own) as session:
        assert open_marks(session, "ben", None) is None
    assert "no annotation keys: annotations/ben.sqlite" in capsys.readouterr().err
