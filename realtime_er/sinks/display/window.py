"""The live window: everything at once, and the keys.

``refresh`` pulls a snapshot and updates the panels; whoever owns the window calls it about twenty
times a second. Nothing in the pipeline waits for it. Main thread only.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QFocusEvent,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from realtime_er.errors import ConfigError
from realtime_er.messages import Snapshot
from realtime_er.sinks.display.arrange import arrange
from realtime_er.sinks.display.card import Card, Toast
from realtime_er.sinks.display.commands import Commands
from realtime_er.sinks.display.contributions import ContributionBars, ContributionTraces
from realtime_er.sinks.display.controls import Controls
from realtime_er.sinks.display.history import History
from realtime_er.sinks.display.keys import Binding
from realtime_er.sinks.display.note import NoteField
from realtime_er.sinks.display.picture import Picture
from realtime_er.sinks.display.scores import Scores
from realtime_er.sinks.display.shown import Shown, leading
from realtime_er.sinks.display.sound import Sound
from realtime_er.sinks.display.status import HealthStrip
from realtime_er.sinks.display.theme import Style, Theme
from realtime_er.sinks.display.timeaxis import TimeAxis, ago_text
from realtime_er.sinks.display.traces import Traces
from realtime_er.sinks.display.transcript import Transcript
from realtime_er.sinks.display.transport import TransportBar

_MOVES_S = 0.14
"""The plots follow the scores: half the cost of following the pictures. Without scores they move so
often."""

_ARROWS = "\N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}"
_COMMANDS = (
    Qt.KeyboardModifier.ControlModifier
    | Qt.KeyboardModifier.AltModifier
    | Qt.KeyboardModifier.MetaModifier
)


class Window(QWidget):
    """The main view.

    Args:
        controls: What is shown, and what can be done to it; keys exist for what is not None.
        title: Title of the window.
        theme: A theme, or "dark" or "light".
    """

    closed = Signal()
    """The window was closed, by key or by the system."""
    wants_keys_help = Signal()
    """The list of keys is asked for."""
    wants_devices = Signal()
    """The dialog of the devices is asked for."""
    wants_consent = Signal()
    """Who is recorded, and whether they agree, is to be asked before ``begin_recording``."""
    wants_kiosk = Signal()
    """The demo screen is asked for."""

    def __init__(
        self,
        controls: Controls,
        *,
        title: str = "realtime_er",
        theme: Theme | str = "dark",
    ) -> None:
        super().__init__()
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(640, 480)
        self._controls = controls
        self._style = style = Style(theme)
        self._axis = TimeAxis()
        self._history = History()
        self._frozen: Snapshot | None = None
        self._shown: Shown | None = None
        self._about: str | None = None
        self._times_key: object = None
        self._times_s = (0.0, 0.0)  # right end and now, as the plots show them

        self.toast = Toast(style, self)
        self._commands = Commands(
            controls,
            lambda: self._shown,
            self.toast.say,
            self._repaint,
            self.wants_consent.emit,
        )
        self.picture = Picture(style, self)
        self.picture.allow_selection(controls.select_target is not None)
        self.picture.face_clicked.connect(self._commands.select)
        self.scores = Scores(style)
        self.bars = ContributionBars(style)
        self.traces = Traces(style, self._zoom)
        self.over_time = ContributionTraces(style, self._zoom)
        self.sound = Sound(style)
        self.transcript = Transcript(style)
        self.health = HealthStrip(style, self)
        self.health.keys_wanted.connect(self.wants_keys_help)
        self._note = NoteField(style, self)
        self._note.written.connect(self._commands.keep_note)
        self._places: dict[str, QWidget] = {
            "picture": self.picture,
            "scores": Card(style, "", self.scores, self),
            "now": Card(style, "Contributions", self.bars, self),
            "traces": Card(style, "Scores", self.traces, self),
            "over_time": Card(style, "Contributions over time", self.over_time, self),
            "sound": Card(style, "", self.sound, self),
            "words": Card(style, "Words", self.transcript, self),
            "health": self.health,
        }
        self.transport: TransportBar | None = None
        if controls.transport is not None:
            self.transport = TransportBar(style, controls.transport)
            self._places["transport"] = Card(style, "", self.transport, self)
        self._bindings = self._bind()
        self._by_name = {name.upper(): b for b in self._bindings for name in b.names}
        self.resize(1280, 720)

    # --- what is shown ------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether the view stands still; the session never does."""
        return self._frozen is not None

    @property
    def axis(self) -> TimeAxis:
        """Which part of the time is shown."""
        return self._axis

    @property
    def history(self) -> History:
        """What the window remembers."""
        return self._history

    def refresh(self) -> None:
        """Look at the session and update what changed."""
        live = self._controls.snapshot()
        if self._history.feed(live):
            self._axis.newest()
            self._frozen = None
        self._show(live if self._frozen is None else self._frozen)
        if self._frozen is not None and self._shown is not None:
            # The strip is about the session, which goes on: who is recorded must see it.
            self.health.show_health(replace(self._shown, snapshot=live))

    def _show(self, snapshot: Snapshot) -> None:
        annotator = self._controls.annotator
        marks = annotator.marks() if annotator else ()
        start_s, end_s = self._axis.window(snapshot.now_s)
        lead = leading(snapshot.estimate)
        self._about = lead or self._about or _last_lead(snapshot)
        shown = self._shown = Shown(
            snapshot=snapshot,
            history=self._history,
            now_s=snapshot.now_s,
            start_s=start_s,
            end_s=end_s,
            lead=lead,
            about=self._about,
            marks=marks,
        )
        self.picture.show_picture(shown, "view frozen" if self.frozen else "")
        self.scores.show_scores(shown)
        self.bars.show_now(shown)
        self.transcript.show_words(shown)
        if not self.frozen:
            self.health.show_health(shown)
        key = (end_s - start_s, shown.lead, marks, self._history.newest_s, self.frozen)
        moved_s = max(abs(end_s - self._times_s[0]), abs(shown.now_s - self._times_s[1]))
        if key != self._times_key or moved_s >= _MOVES_S:
            self._times_key, self._times_s = key, (end_s, shown.now_s)
            self.traces.show_scores(shown)
            self.over_time.show_contributions(shown)
            self.sound.show_sound(shown)
            self._entitle(shown)
        if self.transport is not None:
            self.transport.show_transport(marks)

    def _entitle(self, shown: Shown) -> None:
        now = f"Contributions to {shown.lead}" if shown.lead else "Contributions"
        over = f"Contributions to {shown.about}" if shown.about else "Contributions"
        remark = ""
        if not self._axis.follows:
            back = ago_text(shown.now_s - shown.end_s).lstrip("\N{MINUS SIGN}")
            remark = f"{back} back \N{MIDDLE DOT} End goes to the newest"
        if self.frozen:
            frozen = "view frozen \N{MIDDLE DOT} space goes on"
            remark = f"{remark} \N{MIDDLE DOT} {frozen}" if remark else frozen
        for name, title, said in (
            ("now", now, ""),
            ("over_time", f"{over} over time", ""),
            ("traces", "Scores", remark),
        ):
            card = self._places[name]
            if isinstance(card, Card):
                card.entitle(title, said)

    def save_picture(self, path: Path) -> None:
        """Save what the window shows; the ending of the name decides the format.

        Raises:
            ConfigError: the picture cannot be written there.
        """
        if not self.grab().save(str(path)):
            raise ConfigError(
                f"{path}: the picture cannot be written; is the folder there and writable?"
            )

    def begin_recording(self) -> None:
        """After ``wants_consent``: they agree."""
        self._commands.begin_recording()

    # --- keys ---------------------------------------------------------------------------------

    def keys(self) -> tuple[tuple[str, str], ...]:
        """The keys that exist here and what they do, for the list of keys."""
        annotator = self._controls.annotator
        return tuple((b.shown, b.text) for b in self._bindings if b.text) + tuple(
            (key.upper(), f"mark {text}") for key, text in (annotator.keys() if annotator else ())
        )

    def _bind(self) -> tuple[Binding, ...]:
        controls, commands = self._controls, self._commands
        found = commands.transport_bindings() or self._view_bindings()
        text = "zoom the time axis (or the mouse wheel)"
        found += [
            Binding(("+", "="), "+ \N{MINUS SIGN}", text, lambda: self._zoom(True), True),
            Binding(("-", "_"), "", "", lambda: self._zoom(False), True),
        ]
        found += commands.bindings(lambda: self._note.open_at(*commands.moment()))
        if controls.choices is not None:
            text = "choose camera and microphone"
            found.append(Binding(("D",), "D", text, self.wants_devices.emit))
        found += [
            Binding(("S",), "S", "save a picture of this window", self._save),
            Binding(("F11",), "F11", "demo screen", self.wants_kiosk.emit),
            Binding(("?", "H", "F1"), "? H", "this list", self.wants_keys_help.emit),
            Binding(("Q", "Esc"), "Q Esc", "close", self._close),
        ]
        return tuple(found)

    def _view_bindings(self) -> list[Binding]:
        text = "look back and forward in time"
        return [
            Binding(("Space",), "Space", "freeze the view; the session goes on", self._freeze),
            Binding(("Left",), _ARROWS, text, lambda: self._scroll(-1), True),
            Binding(("Right",), "", "", lambda: self._scroll(1), True),
            Binding(("End",), "End", "go to the newest", self._newest),
            Binding(("Home",), "Home", "go to the oldest that is remembered", self._oldest),
        ]

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """A window's key, or an annotation's."""
        name = QKeySequence(event.key()).toString().upper()
        if event.modifiers() & _COMMANDS:
            if name in ("Q", "W"):
                self.close()
            return
        binding = self._by_name.get(name)
        if binding is not None:
            if binding.repeats or not event.isAutoRepeat():
                binding.act()
        elif not event.isAutoRepeat():
            self._commands.press(name)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """The end of an annotation that is held."""
        if not event.isAutoRepeat():
            self._commands.release(QKeySequence(event.key()).toString().upper())

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """A key that is held now is let go where we cannot see it."""
        self._commands.release_all()
        super().focusOutEvent(event)

    # --- what keys do -------------------------------------------------------------------------

    def _repaint(self) -> None:
        if self._shown is not None:
            self._show(self._shown.snapshot)

    def _freeze(self) -> None:
        if self._frozen is None and self._shown is not None:
            self._frozen = self._shown.snapshot
            self._repaint()
        else:
            self._frozen = None
            self._axis.newest()
            self.refresh()

    def _scroll(self, steps: int) -> None:
        if self._shown is not None:
            self._axis.scroll(steps, self._shown.now_s, self._history.oldest_s)
            self._repaint()

    def _newest(self) -> None:
        self._axis.newest()
        self._repaint()

    def _oldest(self) -> None:
        if self._shown is not None:
            self._axis.oldest(self._shown.now_s, self._history.oldest_s)
            self._repaint()

    def _zoom(self, closer: bool) -> None:
        self._axis.zoom(closer)
        self._repaint()

    def _save(self) -> None:
        stamp = datetime.now(UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        path = Path.cwd() / f"realtime_er_{stamp}.png"
        try:
            self.save_picture(path)
        except ConfigError as error:
            self.toast.say(str(error))
        else:
            self.toast.say(f"saved {path}")

    def _close(self) -> None:
        self.close()

    # --- Qt -----------------------------------------------------------------------------------

    def focusNextPrevChild(self, next_child: bool) -> bool:  # noqa: N802
        """Tab is ours: it switches the face."""
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put every panel where it belongs at this size."""
        self._style.fit(self.width(), self.height())
        places = arrange(self.width(), self.height(), self._style.unit, self.transport is not None)
        self.traces.fit()
        self.over_time.fit()
        for name, area in places.items():
            self._places[name].setGeometry(area.left, area.top, area.width, area.height)
        below = places.get("transport", places["health"])
        self.toast.lift_px = self._note.lift_px = self.height() - below.top
        self.toast.place()
        self._note.place()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom the time axis, wherever the pointer is."""
        turned = event.angleDelta().y()
        if turned:
            self._zoom(turned > 0)
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the ground between the cards."""
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(self._style.theme.window))
        painter.end()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Say that it was closed."""
        event.accept()
        self.closed.emit()


def _last_lead(snapshot: Snapshot) -> str | None:
    return next((lead for e in reversed(snapshot.history) if (lead := leading(e))), None)
