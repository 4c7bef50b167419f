"""Playing a recorded session: what is shown where, how it moves, and what it does without media."""

import shutil
from contextlib import closing

import numpy as np
import pytest

from realtime_er.errors import RecordingError
from realtime_er.messages import SAMPLE_RATE_HZ, Absence, Event
from realtime_er.recording import player as player_module
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import DATABASE, MEDIA
from realtime_er.recording.player import Player
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.rebuild import canonical
from realtime_er.recording.speaker import Speaker
from realtime_er.recording.store import messages_in_order
from realtime_er.recording.timeline_rows import TimeIndex
from realtime_er.view import View
from tests.fakes import FakeSource
from tests.recording.pixels import Camera, Microphone, both, picture, record, tone, write

DURATION_S = 36.0
FPS = 5.0


class HandClock:
    """Goes when it is told to."""

    now = 100.0

    def now_s(self):
        return self.now


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """36 s with two holes, one in each stream, and words; muted at one point."""
    folder = tmp_path_factory.mktemp("player") / "session"
    source = FakeSource(
        Camera(DURATION_S, fps=FPS, hole=range(60, 80)),
        Microphone(DURATION_S, block=640, lose=range(20 * SAMPLE_RATE_HZ, 22 * SAMPLE_RATE_HZ)),
    )
    record(folder, source, lossless=True)
    with closing(open_database(folder / DATABASE, writable=True)) as connection:
        rows = [(10_001, 25.0, "microphone muted", ""), (10_002, 26.0, "microphone unmuted", "")]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
    return folder


@pytest.fixture
def playing(folder):
    clock = HandClock()
    with RecordedSession.open(folder) as session, Player(session, clock=clock) as player:
        yield player, clock


def settled(player):
    """A snapshot that has taken the time to decode everything, however busy the machine is."""
    with pytest.MonkeyPatch.context() as patient:
        patient.setattr(player_module, "_PICTURE_BUDGET_S", 60.0)
        patient.setattr(player_module, "_SOUND_BUDGET_S", 60.0)
        return player.snapshot()


def at(player, time_s):
    player.seek(time_s)
    return settled(player)


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("time_s", [0.05, 3.0, 12.5, 29.99, 35.9])
def test_it_shows_what_a_live_session_had_shown(playing, folder, time_s):
    """The live view, fed with the same messages up to then, has the same snapshot."""
    player, _clock = playing
    view = View()
    with closing(open_database(folder / DATABASE)) as connection:
        for _seq, message in messages_in_order(connection):
            known_s = getattr(message, "time_s", None)
            if known_s is None and hasattr(message, "hypothesis"):
                known_s = message.hypothesis.available_s
            known_s = getattr(message, "end_s", 0.0) if known_s is None else known_s
            if known_s <= time_s and not hasattr(message, "to_json"):
                view.observe(message)
    live = view.snapshot(time_s, (), 0, 0)
    shown = at(player, time_s)
    oldest_s = time_s - 30.0
    assert [canonical(e) for e in shown.history] == [
        canonical(e) for e in live.history if e.time_s >= oldest_s
    ]
    assert shown.finals == live.finals
    assert shown.current == live.current
    assert shown.states == live.states
    assert shown.events == live.events
    recent = [[s for s in seen.speech if s[0] > oldest_s + 1] for seen in (shown, live)]
    np.testing.assert_allclose(recent[0], recent[1])
    if live.estimate is not None:
        assert canonical(shown.estimate) == canonical(live.estimate)
        assert shown.estimate.timing.evidence_age_s == live.estimate.timing.evidence_age_s
    assert shown.now_s == time_s


def test_the_picture_is_the_one_of_that_moment(playing):
    player, _clock = playing
    for time_s in (0.0, 17.03, 4.4, 4.45, 35.0, 11.9, 14.0, 0.3):
        frame = at(player, time_s).frame
        index = int((time_s + 1e-9) * FPS)
        if frame.index != index:  # jitter of the camera, or its hole
            assert frame.index == (59 if 60 <= index < 80 else index - 1)
        assert frame.time_s <= time_s
        np.testing.assert_array_equal(frame.image, picture(frame.index))


def test_faces_are_the_newest_ones(playing):
    player, _clock = playing
    faces = at(player, 10.0).faces
    assert 9.7 < faces.time_s <= 10.0
    assert len(faces.faces) == 1
    assert at(player, 13.0).faces.time_s < 12.0  # the camera's hole


def test_the_outline_has_the_sound_and_its_hole(playing):
    player, _clock = playing
    waveform = at(player, 24.0).waveform
    times_s = waveform[:, 0]
    assert times_s[0] == pytest.approx(0.0, abs=0.05)
    assert times_s[-1] == pytest.approx(24.0, abs=0.05)
    assert not ((times_s > 20.05) & (times_s < 21.95)).any()
    assert np.median(np.diff(times_s)) == pytest.approx(0.02, abs=1e-3)
    loud = waveform[(times_s > 2.1) & (times_s < 3.9)]
    quiet = waveform[(times_s > 4.1) & (times_s < 5.9)]
    assert loud[:, 2].max() == pytest.approx(9000 / 32768, abs=0.01)
    assert quiet[:, 2].max() == pytest.approx(300 / 32768, abs=0.01)
    assert at(player, 35.5).waveform[0, 0] == pytest.approx(5.5, abs=0.05)


def test_the_outline_grows_from_the_left(playing):
    """A window that keeps what it has seen must not get the newest sound before the older."""
    player, _clock = playing
    player._sound._timer = HandClock()  # time stands still: the budget never ends
    player._sound._timer.now = 0.0
    player.seek(30.0)
    rows = player.snapshot().waveform
    assert rows[0, 0] == pytest.approx(0.0, abs=0.05)
    assert rows[-1, 0] == pytest.approx(30.0, abs=0.05)


def test_health_and_mute_are_those_of_the_moment(playing):
    player, _clock = playing
    assert not at(player, 24.9).muted
    assert at(player, 25.5).muted
    assert not at(player, 26.0).muted
    assert at(player, 25.5).events[-1] == Event(25.0, "microphone muted", "")
    assert at(player, 35.9).health.level_dbfs <= 0.0


def test_before_anything_was_known(playing):
    player, _clock = playing
    snapshot = player.snapshot()
    assert snapshot.estimate is None
    assert set(snapshot.states.values()) == {Absence.WAITING}
    assert snapshot.finals == ()


# --- how it moves ---------------------------------------------------------------------------------


def test_it_moves_with_the_clock_at_its_speed_and_stops_at_the_end(playing):
    player, clock = playing
    start_s, end_s = player.span_s
    assert (start_s, end_s) == (0.0, pytest.approx(DURATION_S, abs=0.05))
    clock.now += 5
    assert player.position_s == start_s
    player.play(True)
    clock.now += 2
    assert player.position_s == pytest.approx(2.0)
    player.set_speed(4.0)
    clock.now += 2
    assert player.position_s == pytest.approx(10.0)
    player.play(False)
    clock.now += 50
    assert player.position_s == pytest.approx(10.0)
    assert not player.playing
    player.play(True)
    player.set_speed(0.25)
    clock.now += 4
    assert player.position_s == pytest.approx(11.0)
    player.set_speed(16.0)
    clock.now += 60
    assert player.position_s == end_s
    assert not player.playing
    player.play(True)  # begins again
    assert player.position_s == start_s
    assert player.playing


def test_speed_and_position_stay_in_their_range(playing):
    player, _clock = playing
    for asked, given in ((0.01, 0.25), (99.0, 16.0), (2.0, 2.0)):
        player.set_speed(asked)
        assert player.speed == given
    player.seek(-5.0)
    assert player.position_s == 0.0
    player.seek(1e6)
    assert player.position_s == player.span_s[1]


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0, 16.0])
def test_going_forward_shows_the_same_as_going_there(playing, folder, speed):
    player, clock = playing
    player.seek(15.0)
    player.set_speed(speed)
    player.play(True)
    for _ in range(12):
        clock.now += 0.05
        moved = player.snapshot()
    player.play(False)
    moved = settled(player)
    assert moved.now_s == pytest.approx(15.0 + 0.6 * speed)
    with RecordedSession.open(folder) as session, Player(session, clock=clock) as other:
        there = at(other, moved.now_s)
    assert [canonical(e) for e in moved.history] == [canonical(e) for e in there.history]
    assert moved.frame.index == there.frame.index
    np.testing.assert_array_equal(moved.frame.image, there.frame.image)
    np.testing.assert_array_equal(moved.waveform, there.waveform)


def test_it_never_decodes_more_than_its_budget_allows(folder):
    """With no time at all, each look still goes one picture on, and says which one it shows."""
    with RecordedSession.open(folder) as session, Player(session, clock=HandClock()) as player:
        player.seek(17.9)
        pictures = player._pictures
        seen = [pictures.at(17.9, 0.0) for _ in range(8)]
        indices = [frame.index for frame in seen if frame is not None]
        assert indices == sorted(indices)
        assert indices[0] < 89
        assert indices[-1] == 89
        hurried = pictures.at(17.9, 0.0, hurry=True)
        assert hurried.index in range(84, 90)
        np.testing.assert_array_equal(hurried.image, picture(hurried.index))


# --- what may be missing --------------------------------------------------------------------------


def test_without_media_there_are_still_numbers(tmp_path):
    record(tmp_path / "s", both(4.0), media=False)
    with (
        RecordedSession.open(tmp_path / "s") as session,
        Player(session, clock=HandClock()) as player,
    ):
        snapshot = at(player, 3.5)
    assert snapshot.frame is None
    assert len(snapshot.waveform) == 0
    assert len(snapshot.history) >= 34
    assert snapshot.faces is not None
    assert "without pictures and sound" in snapshot.notices[0]


@pytest.mark.parametrize("kind", ["camera", "microphone"])
def test_one_stream_only(tmp_path, kind):
    stream = Camera(3.0) if kind == "camera" else Microphone(3.0)
    record(tmp_path / "s", FakeSource(stream))
    with (
        RecordedSession.open(tmp_path / "s") as session,
        Player(session, clock=HandClock()) as player,
    ):
        snapshot = at(player, 2.5)
    assert (snapshot.frame is None) == (kind == "microphone")
    assert (len(snapshot.waveform) == 0) == (kind == "camera")
    assert snapshot.notices == ()


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.9])
def test_a_truncated_file_plays_as_far_as_it_goes(tmp_path, folder, share):
    copy = shutil.copytree(folder, tmp_path / "s")
    media = copy / MEDIA
    media.write_bytes(media.read_bytes()[: int(media.stat().st_size * share)])
    clock = HandClock()
    with RecordedSession.open(copy) as session, Player(session, clock=clock) as player:
        early, late = at(player, 2.1), at(player, 35.0)
        again = at(player, 2.1)
        player.play(True)
        for _ in range(20):
            clock.now += 0.05
            player.snapshot()
    assert len(late.history) > 250
    if share < 0.01:
        assert early.frame is None
        assert "repair" in early.notices[0]
    else:
        assert early.frame.index == again.frame.index == 10
        assert late.frame is None or late.frame.time_s < 34.9
        assert len(late.waveform) < 1500


def test_a_missing_file_is_said(tmp_path, folder):
    copy = shutil.copytree(folder, tmp_path / "s", ignore=shutil.ignore_patterns(MEDIA))
    with RecordedSession.open(copy) as session, Player(session, clock=HandClock()) as player:
        assert player.snapshot().notices == ("media.mkv is missing",)
        assert player.snapshot().frame is None


def test_an_empty_recording_opens(tmp_path):
    write(tmp_path / "s", FakeSource(), 5.0, media=False)
    with (
        RecordedSession.open(tmp_path / "s") as session,
        Player(session, clock=HandClock()) as player,
    ):
        assert player.span_s == (5.0, 5.0)
        player.play(True)
        snapshot = player.snapshot()
    assert snapshot.now_s == 5.0
    assert snapshot.history == ()
    assert "cut off" in snapshot.notices[-1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE frames SET time_s = 'now'",
        "UPDATE estimates SET state_face = 'bored'",
        "UPDATE estimates SET happy = 'very'",
        "UPDATE hypotheses SET available_s = 'soon'",
        "UPDATE events SET time_s = 'then'",
        "UPDATE face_reports SET absence = 'bored'",
    ],
)
def test_a_tampered_database_is_one_clear_line(tmp_path, folder, statement):
    copy = shutil.copytree(folder, tmp_path / "s")
    with closing(open_database(copy / DATABASE, writable=True)) as connection:
        connection.execute(statement)
    with (
        RecordedSession.open(copy) as session,
        pytest.raises(RecordingError, match="repair") as raised,
        Player(session, clock=HandClock()) as player,
    ):
        at(player, 10.0)
    assert "\n" not in str(raised.value)


# --- rows by time ---------------------------------------------------------------------------------


def test_rows_are_found_by_time_whatever_their_keys(tmp_path, folder):
    with closing(open_database(folder / DATABASE)) as connection:
        index = TimeIndex(connection, "frames", "frame_index", "time_s")
        rows = connection.execute("SELECT time_s, frame_index FROM frames ORDER BY 1").fetchall()
        for time_s in np.random.default_rng(3).uniform(-1, DURATION_S + 1, 300):
            earlier = [key for row_s, key in rows if row_s <= time_s]
            assert index.last(time_s) == (earlier[-1] if earlier else None)
        for row_s, key in rows[::17]:
            assert index.last(row_s) == key


# --- sound ----------------------------------------------------------------------------------------


class Device:
    closed = False

    def start(self):
        pass

    def close(self):
        self.closed = True


def test_sound_is_played_at_normal_speed_only(folder):
    clock, speaker, device = HandClock(), Speaker(), Device()
    speaker.start(device)
    with (
        RecordedSession.open(folder) as session,
        Player(session, clock=clock, speaker=speaker) as player,
    ):
        player.seek(2.5)
        player.play(True)
        heard = []
        for _ in range(20):
            player.snapshot()
            out = np.full(800, 9.0, np.float32)  # 50 ms
            speaker.take(out)
            heard.append(out)
            clock.now += 0.05
        sound = np.concatenate(heard)
        # The recording's clock runs 200 ppm slow against its samples: find where it is.
        expected = tone(round(2.5 * SAMPLE_RATE_HZ) - 200, len(sound) + 400)
        offsets = [np.abs(sound[:4000] - expected[k : k + 4000]).max() for k in range(400)]
        assert min(offsets) < 1e-6
        player.set_speed(2.0)
        player.snapshot()
        out = np.full(800, 9.0, np.float32)
        speaker.take(out)
        assert not out.any()
        player.set_speed(1.0)
        player.seek(20.5)  # the hole is silent
        player.snapshot()
        speaker.take(out)
        assert not out.any()
    assert device.closed
