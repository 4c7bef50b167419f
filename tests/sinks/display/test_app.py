"""The loop that shows a session: it ends when it should, and hides no fault."""

import gc
import weakref

import pytest

pytest.importorskip("PySide6", reason="needs the `window` extra")

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from realtime_er.config import load_config
from realtime_er.errors import ConfigError, WorkerFault
from realtime_er.session import Session
from realtime_er.sinks.display import app as app_module
from realtime_er.sinks.display.app import Look, application, show
from realtime_er.sinks.display.controls import Choices, Controls
from realtime_er.sinks.display.kiosk import Kiosk
from realtime_er.sinks.display.window import Window
from tests.sinks.display import samples
from tests.test_session import FakeModels, both
from tests.test_session import run as recognise

SMALL = (640, 480)


class Stage:
    """A session of ten looks; ``at`` maps a look to what happens then."""

    def __init__(self, at=None, end=10):
        self.looks, self.at, self.end = 0, at or {}, end
        self.snapshots = 0

    def snapshot(self):
        self.snapshots += 1
        return samples.happy(30.0 + 0.05 * self.looks)

    def pump(self):
        self.looks += 1
        self.at.get(self.looks, lambda: None)()
        return self.looks < self.end


def visible(kind):
    return [w for w in application().topLevelWidgets() if isinstance(w, kind) and w.isVisible()]


def run(stage, **look):
    controls = Controls(stage.snapshot)
    show(controls, stage.pump, Look(size_px=SMALL, **look))
    assert visible(Window) == visible(Kiosk) == []


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(app_module, "REFRESH_S", 0.001)


def test_it_ends_with_its_session():
    stage = Stage()
    run(stage)
    assert stage.looks == 10
    assert stage.snapshots >= 9


def test_closing_the_window_ends_it():
    stage = Stage({4: lambda: visible(Window)[0].close()}, end=1000)
    run(stage)
    assert stage.looks < 20


def test_closing_the_demo_screen_ends_it():
    stage = Stage({4: lambda: visible(Kiosk)[0].close()}, end=1000)
    run(stage, kiosk=True, title="the demo clip")
    assert stage.looks < 20


def test_nothing_is_left_of_it():
    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)

    def keep(_stream, held=held):
        return Choices((), "")

    stage = Stage({3: lambda: QTest.keyClick(visible(Window)[0], Qt.Key.Key_D)})
    show(Controls(stage.snapshot, choices=keep), stage.pump, Look(size_px=SMALL))
    del held, keep
    gc.collect()
    assert gone() is None


def test_what_a_session_raises_comes_out():
    def fail():
        raise WorkerFault("the face thread failed")

    with pytest.raises(WorkerFault, match="face thread failed"):
        run(Stage({3: fail}, end=1000))


def test_what_painting_raises_comes_out(monkeypatch):
    def fail(self, event):
        raise ZeroDivisionError("no space to paint")

    monkeypatch.setattr(Window, "paintEvent", fail)
    with pytest.raises(ZeroDivisionError, match="no space to paint"):
        run(Stage(end=1000))


def test_f11_goes_to_the_demo_screen_and_back():
    seen = []

    def press():
        (shown,) = visible(Window) or visible(Kiosk)
        seen.append(type(shown))
        QTest.keyClick(shown, Qt.Key.Key_F11)

    run(Stage({3: press, 6: press, 9: press}, end=12))
    assert seen == [Window, Kiosk, Window]


def test_the_demo_screen_shows_a_message_while_there_is_one():
    told = []

    def note():
        told.append(visible(Kiosk)[0].grab().toImage())

    stage = Stage({3: note, 8: note})
    message = lambda: "One moment, please" if stage.looks < 5 else ""  # noqa: E731
    controls = Controls(stage.snapshot)
    show(controls, stage.pump, Look(size_px=SMALL, kiosk=True), message=message)
    assert told[0] != told[1]


def test_a_picture_is_saved_at_its_time_and_that_is_the_end(tmp_path):
    path = tmp_path / "window.png"
    stage = Stage(end=1000)
    run(stage, screenshot=path, after_s=30.3)
    assert 5 <= stage.looks <= 8
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_was_not_taken_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"window.png: not taken, .*--after"):
        run(Stage(end=5), screenshot=tmp_path / "window.png", after_s=60.0)


def test_a_picture_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        run(Stage(end=1000), screenshot=tmp_path / "window.bmpp", after_s=0.0)


def test_dialogs_do_not_stop_the_view():
    def ask():
        QTest.keyClick(visible(Window)[0], Qt.Key.Key_H)

    stage = Stage({3: ask}, end=30)
    run(stage)
    assert stage.looks == 30


def test_estimates_are_the_same_with_and_without_the_window():
    config = load_config("analyze", {"face.min_sharpness": 0.0})
    speech = range(16_000, 48_000)
    shown = []
    with Session(config, source=both(), models=FakeModels(config, speech=speech)) as session:

        def pump():
            waiting = session.poll()
            shown.extend(waiting or ())
            return waiting is not None

        show(Controls(session.snapshot), pump, Look(size_px=SMALL))
    _session, alone = recognise(both(), speech=speech)
    assert len(alone) == 60
    assert [e.to_record() for e in shown] == [e.to_record() for e in alone]
