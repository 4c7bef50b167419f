import gc

import pytest

pytest.importorskip("pyqtgraph", reason="needs the `window` extra")

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from realtime_er.errors import ConfigError, SessionError
from realtime_er.keys import RESERVED_KEYS, is_reserved
from realtime_er.sinks.display.controls import Controls
from realtime_er.sinks.display.window import Window
from tests.sinks.display import samples
from tests.sinks.display.doubles import Marks, Session

Key = Qt.Key


@pytest.fixture
def session():
    return Session()


@pytest.fixture
def open_window():
    opened = []

    def make(controls, size=(1280, 720), **options):
        window = Window(controls, title="test", **options)
        window.resize(*size)
        window.show()
        window.refresh()
        QApplication.processEvents()
        opened.append(window)
        return window

    yield make
    for window in opened:
        window.hide()
        window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def window(session, open_window):
    return open_window(session.controls())


def press(window, *keys):
    for key in keys:
        QTest.keyClick(window, key)


@pytest.mark.parametrize("state", sorted(samples.SAMPLES))
@pytest.mark.parametrize(("theme", "size"), [("dark", (1280, 720)), ("light", (720, 1280))])
def test_every_state_can_be_shown(open_window, state, theme, size):
    window = open_window(Session(state).controls(), size, theme=theme)
    image = window.grab().toImage()
    assert (image.width(), image.height()) == size
    assert (
        len({image.pixel(x, y) for x in range(0, size[0], 16) for y in range(0, size[1], 16)}) > 8
    )


def test_a_window_that_can_only_look(open_window):
    window = open_window(Controls(snapshot=Session().snapshot))
    offered = set(dict(window.keys()))
    assert not offered & {"M", "R", "D", "Tab", "N", "U"}
    assert {"Space", "S", "F11", "? H", "Q Esc"} <= offered
    press(window, Key.Key_M, Key.Key_R, Key.Key_D, Key.Key_Tab, Key.Key_U, Key.Key_N, Key.Key_1)
    window.refresh()
    assert window.scores.texts[1] == "Happy"


def test_keys_are_listed_once_and_reserved(window):
    pairs = window.keys()
    listed = [shown for shown, _ in pairs]
    assert len(listed) == len(set(listed))
    assert ("1", "mark laughs") in pairs
    assert all(text for _, text in pairs)
    for binding in window._bindings:
        assert all(is_reserved(name) for name in binding.names)
    assert "SPACE" in RESERVED_KEYS
    assert not is_reserved("1")


# --- freeze, scroll, zoom ---------------------------------------------------------------------


def test_space_freezes_the_view_and_not_the_history(window, session):
    press(window, Key.Key_Space)
    before = len(window.history)
    shown = window.grab().toImage()
    session.now_s = 61.2
    window.refresh()
    QApplication.processEvents()
    assert window.frozen
    assert len(window.history) == before + 20
    assert window.grab().toImage() == shown
    assert "view frozen" in window._places["traces"].remark
    press(window, Key.Key_Space)
    assert not window.frozen
    assert window._places["traces"].remark == ""
    assert window.grab().toImage() != shown


def test_plots_follow_the_scores_and_not_every_picture(window, session, monkeypatch):
    drawn = []
    real = window.sound.show_sound
    monkeypatch.setattr(window.sound, "show_sound", lambda shown: [drawn.append(1), real(shown)])
    for _picture in range(40):
        session.now_s += 0.05
        window.refresh()
    assert 18 <= len(drawn) <= 22  # ten scores a second
    drawn.clear()
    press(window, Key.Key_Plus)
    assert drawn  # what somebody does is seen at once


def test_a_frozen_view_still_says_that_it_is_recorded(window, session):
    press(window, Key.Key_Space)
    session.state, session.now_s = "recording", session.now_s + 1.0
    window.refresh()
    assert window.frozen
    assert any("REC" in text for text in window.health.texts)
    assert window.picture._shown.snapshot.recording is None


def test_the_strip_has_room_for_its_figures_in_the_smallest_window(open_window):
    smallest = (640, 480)
    window = open_window(Session("recording").controls(), smallest)
    assert (window.minimumWidth(), window.minimumHeight()) == smallest
    strip, style = window.health, window._style
    needed = sum(
        QFontMetricsF(style.font(11.5, bold=True)).horizontalAdvance(text) + style.px(16)
        for text in strip.texts
    )
    assert strip.height() > style.px(40)  # two lines
    assert needed < 2 * strip.width() - style.px(100)


def test_arrows_look_back_and_end_returns(window, session):
    for now_s in (80.0, 100.0, 120.0):
        session.now_s = now_s
        window.refresh()
    press(window, Key.Key_Left, Key.Key_Left)
    assert window.axis.window(120.0)[1] == pytest.approx(108.0)
    session.now_s = 121.0
    window.refresh()
    assert window.axis.window(121.0)[1] == pytest.approx(108.0)
    assert window._places["traces"].remark.startswith("13 s back")
    press(window, Key.Key_Right)
    assert window.axis.window(121.0)[1] == pytest.approx(114.0)
    press(window, Key.Key_Home)
    assert window.axis.window(121.0)[0] == pytest.approx(window.history.oldest_s)
    press(window, Key.Key_End)
    assert window.axis.follows
    assert window._places["traces"].remark == ""


def test_the_axis_zooms_by_keys_and_wheel(window):
    press(window, Key.Key_Plus)
    assert window.axis.span_s == 15.0
    press(window, Key.Key_Minus, Key.Key_Minus)
    assert window.axis.span_s == 60.0
    plot = window.traces
    centre = QPointF(plot.viewport().rect().center())
    wheel = QWheelEvent(
        centre,
        plot.viewport().mapToGlobal(centre),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot.viewport(), wheel)
    assert window.axis.span_s == 30.0
    assert plot.getViewBox().viewRange()[0] == pytest.approx([-30.0, 0.0])


def test_a_replay_that_goes_back_is_followed_again(window, session):
    for now_s in (80.0, 100.0):
        session.now_s = now_s
        window.refresh()
    press(window, Key.Key_Left, Key.Key_Space)
    session.now_s = 40.0
    window.refresh()
    assert not window.frozen
    assert window.axis.follows
    assert window.history.newest_s == pytest.approx(40.0)


# --- the session's keys -----------------------------------------------------------------------


def test_tab_and_clicks_switch_the_target(window, session):
    press(window, Key.Key_Tab)
    assert session.selected == [2]  # face 1 is the target, face 2 stands left of it
    QTest.keyClick(window, Key.Key_Backtab)
    assert session.selected == [2, 2]
    picture = window.picture
    at = QPoint(round(300 / 1280 * picture.width()), round(360 / 720 * picture.height()))
    QTest.mouseClick(picture, Qt.MouseButton.LeftButton, pos=at)
    assert session.selected == [2, 2, 2]


def test_tab_with_nobody_there_asks_for_nothing(open_window):
    session = Session("nobody")
    press(open_window(session.controls()), Key.Key_Tab)
    assert session.selected == []


def test_mute_and_record_toggle(open_window):
    for state, muted, record in (
        ("happy", True, True),
        ("muted", False, True),
        ("recording", True, False),
        ("recording_failed", True, True),
    ):
        session = Session(state)
        window = open_window(session.controls())
        press(window, Key.Key_R)
        assert session.recorded == [record]
        assert window.toast.text == ("recording into sessions/1" if record else "")
        press(window, Key.Key_M)
        assert session.muted == [muted]
        assert window.toast.text.endswith("is muted" if muted else "listens again")


def test_a_recording_that_cannot_begin_says_why(open_window):
    def refuse(on):
        raise SessionError("sessions/: no room to record; free some space")

    window = open_window(Controls(snapshot=Session().snapshot, record=refuse))
    press(window, Key.Key_R)
    assert window.toast.isVisible()
    assert "no room to record" in window.toast.text


def test_dialogs_and_the_demo_screen_are_asked_for(window):
    asked = []
    window.wants_devices.connect(lambda: asked.append("devices"))
    window.wants_keys_help.connect(lambda: asked.append("keys"))
    window.wants_kiosk.connect(lambda: asked.append("kiosk"))
    press(window, Key.Key_D, Key.Key_Question, Key.Key_H, Key.Key_F11)
    assert asked == ["devices", "keys", "keys", "kiosk"]


@pytest.mark.parametrize("key", [Key.Key_Q, Key.Key_Escape])
def test_closing_says_so_once(session, open_window, key):
    window = open_window(session.controls())
    closed = []
    window.closed.connect(lambda: closed.append(1))
    press(window, key)
    assert closed == [1]
    assert not window.isVisible()


def test_s_saves_a_picture_here_and_says_where(window, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    press(window, Key.Key_S)
    (saved,) = tmp_path.glob("realtime_er_*.png")
    assert saved.read_bytes().startswith(b"\x89PNG")
    assert saved.name in window.toast.text
    with pytest.raises(ConfigError, match="cannot be written"):
        window.save_picture(tmp_path / "no such folder" / "x.png")


def test_control_keys_are_left_to_the_system(window, session):
    QTest.keyClick(window, Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    assert session.muted == []


# --- annotations ------------------------------------------------------------------------------


def test_a_mark_carries_the_frame_that_is_shown(window, session):
    frame = session.snapshot().frame
    QTest.keyPress(window, Key.Key_1)
    session.now_s = 60.7
    window.refresh()
    later = session.snapshot().frame
    QTest.keyRelease(window, Key.Key_1)
    assert session.marks.calls == [
        ("press", "1", frame.time_s, frame.index),
        ("release", "1", later.time_s, later.index),
    ]
    assert later.index > frame.index


def test_a_frozen_view_is_what_a_mark_is_on(window, session):
    frame = session.snapshot().frame
    press(window, Key.Key_Space)
    session.now_s = 63.0
    window.refresh()
    press(window, Key.Key_Z)
    assert session.marks.calls[0] == ("press", "z", frame.time_s, frame.index)


def test_a_held_key_marks_once(window, session):
    held = QKeyEvent(QEvent.Type.KeyPress, Key.Key_1, Qt.KeyboardModifier.NoModifier, "1", True, 1)
    QTest.keyPress(window, Key.Key_1)
    QApplication.sendEvent(window, held)
    QTest.keyRelease(window, Key.Key_1)
    assert [call[0] for call in session.marks.calls] == ["press", "release"]


def test_without_a_picture_a_mark_has_the_time_that_is_shown(open_window):
    session = Session("no_camera")
    press(open_window(session.controls()), Key.Key_1)
    assert session.marks.calls[0] == ("press", "1", 59.2, None)


def test_a_key_that_is_held_while_the_window_loses_the_keyboard_is_let_go(window, session):
    QTest.keyPress(window, Key.Key_1)
    window._commands.release_all()
    QTest.keyRelease(window, Key.Key_1)
    assert [call[0] for call in session.marks.calls] == ["press", "release"]


def test_reserved_keys_stay_the_window_s(open_window, session):
    session.marks = Marks(pairs=(("M", "moves"), ("1", "laughs")))
    press(open_window(session.controls()), Key.Key_M)
    assert session.marks.calls == []
    assert session.muted == [True]


def test_marks_are_drawn_at_once_and_undone(window, session):
    session.now_s = 60.0
    window.refresh()
    before = window.traces.grab().toImage()
    press(window, Key.Key_1)
    assert window.traces.grab().toImage() != before
    press(window, Key.Key_U)
    assert "laughs" in window.toast.text
    assert window.traces.grab().toImage() == before
    press(window, Key.Key_U)
    assert window.toast.text == "there is nothing to take back"


def test_a_note_belongs_to_the_moment_it_was_begun_at(window, session):
    frame = session.snapshot().frame
    press(window, Key.Key_N)
    session.now_s = 66.0
    window.refresh()
    QTest.keyClicks(window._note, "looks away q")
    press(window._note, Key.Key_Return)
    assert session.marks.calls == [("note", "looks away q", frame.time_s, frame.index)]
    assert window.isVisible()
    press(window, Key.Key_N)
    press(window._note, Key.Key_Escape)
    assert len(session.marks.calls) == 1
    assert not window._note.isVisible()


# --- replay -----------------------------------------------------------------------------------


def test_a_note_without_a_recording_is_not_begun(window, session):
    session.marks.pairs = ()
    press(window, Key.Key_N)
    assert not window._note.isVisible()
    assert window.toast.text == "A note belongs to a recording; R starts one"


def test_annotation_keys_are_listed_as_they_stand_on_the_keyboard(window, session):
    session.marks.pairs = (("e", "event"),)
    assert dict(window.keys())["E"] == "mark event"


def test_a_replay_has_its_timeline_and_keys(open_window, session):
    window = open_window(session.controls(transport=True))
    assert window.transport is not None
    press(window, Key.Key_Space)
    assert not session.playback.playing
    assert not window.frozen
    press(window, Key.Key_Right, Key.Key_Right, Key.Key_Left)
    assert session.playback.position_s == pytest.approx(42.0)
    press(window, Key.Key_End)
    assert session.playback.position_s == 110.0
    press(window, Key.Key_Home)
    assert session.playback.position_s == 10.0
    press(window, Key.Key_BracketRight)
    assert session.playback.speed == 2.0
    offered = dict(window.keys())
    assert offered["Space"] == "play and pause"


def test_a_live_window_has_no_timeline(window):
    assert window.transport is None


# --- for hours --------------------------------------------------------------------------------


@pytest.mark.slow
def test_three_hundred_refreshes_leave_nothing_behind(window, session):
    def show(n):
        for _ in range(n):
            session.now_s += 0.05
            window.refresh()
            QApplication.processEvents()
        gc.collect()
        ours = ("PySide6", "pyqtgraph", "realtime_er.sinks")
        return sum(str(type(thing).__module__).startswith(ours) for thing in gc.get_objects())

    first = show(60)
    for state in ("nobody", "camera_lost", "happy"):
        session.state = state
        show(60)
    assert show(60) <= first + 5


def test_sizes_follow_the_window(open_window, session):
    small = open_window(session.controls(), (1280, 720))._style.unit
    large = open_window(session.controls(), (1920, 1080))._style.unit
    assert small == pytest.approx(1.0)
    assert large > 1.3
