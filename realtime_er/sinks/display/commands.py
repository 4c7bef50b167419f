"""What keys and clicks do to the session: target, microphone, recording, marks, replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realtime_er.errors import RealtimeERError
from realtime_er.sinks.display.controls import Annotator, Controls, Transport
from realtime_er.sinks.display.keys import Binding
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.transport import next_speed, speed_text

SEEK_S = 2.0
"""How far an arrow key goes in a replay."""

_ARROWS = "\N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}"


class Commands:
    """Offers only what the controls offer. Main thread.

    Args:
        controls: What can be done.
        shown: What is on the screen just now, None before the first refresh.
        say: Shows a short message.
        changed: Draws again what is shown, with new marks.
        ask_consent: Opens the question that comes before a recording; ``begin_recording`` follows
            it.
    """

    def __init__(
        self,
        controls: Controls,
        shown: Callable[[], Shown | None],
        say: Callable[[str], None],
        changed: Callable[[], None],
        ask_consent: Callable[[], None],
    ) -> None:
        self._controls = controls
        self._shown = shown
        self._say = say
        self._changed = changed
        self._ask_consent = ask_consent
        self._held: set[str] = set()

    def bindings(self, write_note: Callable[[], None]) -> list[Binding]:
        """The keys for what the controls offer; none for what they do not."""
        controls = self._controls
        found: list[Binding] = []
        if controls.select_target is not None:
            text = "switch to another face (or click on it)"
            found.append(Binding(("Tab",), "Tab", text, lambda: self._next_face(1)))
            found.append(Binding(("Backtab",), "", "", lambda: self._next_face(-1)))
        if controls.set_muted is not None:
            found.append(Binding(("M",), "M", "mute the microphone, and back", self._mute))
        if controls.record is not None:
            found.append(Binding(("R",), "R", "record, and stop recording", self._record))
        if controls.annotator is not None:
            annotator = controls.annotator
            text = "take back the newest annotation"

            def note() -> None:
                if annotator.keys():
                    write_note()
                else:
                    self._say("A note belongs to a recording; R starts one")

            found.append(Binding(("N",), "N", "write a note on this moment", note))
            found.append(Binding(("U",), "U", text, lambda: self._undo(annotator)))
        return found

    def transport_bindings(self) -> list[Binding]:
        """The keys of a replay; they take the place of those that freeze and scroll."""
        transport = self._controls.transport
        if transport is None:
            return []

        def seek(by_s: float) -> Callable[[], None]:
            return lambda: _seek(transport, by_s)

        def speed(steps: int) -> Callable[[], None]:
            return lambda: self._change_speed(transport, steps)

        return [
            Binding(
                ("Space",), "Space", "play and pause", lambda: transport.play(not transport.playing)
            ),
            Binding(("Left",), _ARROWS, f"{SEEK_S:.0f} s back and forward", seek(-SEEK_S), True),
            Binding(("Right",), "", "", seek(SEEK_S), True),
            Binding(("Home",), "Home End", "go to the beginning, the end", seek(float("-inf"))),
            Binding(("End",), "", "", seek(float("inf"))),
            Binding(("]",), "[ ]", "slower, faster", speed(1)),
            Binding(("[",), "", "", speed(-1)),
        ]

    # --- target, microphone, recording --------------------------------------------------------

    def select(self, track_id: int) -> None:
        """Make this face the target."""
        if self._controls.select_target is not None:
            self._controls.select_target(track_id)

    def _next_face(self, steps: int) -> None:
        shown = self._shown()
        faces = shown.snapshot.faces if shown else None
        if faces is None or not faces.faces:
            return
        ids = [face.track_id for face in sorted(faces.faces, key=lambda face: face.box_px[0])]
        place = ids.index(faces.target_id) + steps if faces.target_id in ids else 0
        self.select(ids[place % len(ids)])

    def _mute(self) -> None:
        if self._controls.set_muted is not None:
            muted = not self._controls.snapshot().muted
            self._controls.set_muted(muted)
            self._say("The microphone is muted" if muted else "The microphone listens again")

    def _record(self) -> None:
        recording = self._controls.snapshot().recording
        if recording is not None and not recording.failure:
            self._change_recording(on=False)
        elif self._controls.consent is not None:
            self._ask_consent()
        else:
            self.begin_recording()

    def begin_recording(self) -> None:
        """Begin to record; what is said of it is shown."""
        self._change_recording(on=True)

    def _change_recording(self, *, on: bool) -> None:
        if self._controls.record is None:
            return
        try:
            said = self._controls.record(on)
        except RealtimeERError as error:
            said = str(error)
        if said:
            self._say(said)

    # --- annotations --------------------------------------------------------------------------

    def moment(self) -> tuple[float, int | None]:
        """Time and index of the frame that is on the screen; without one, the time that is shown."""
        shown = self._shown()
        if shown is None:
            return 0.0, None
        frame = shown.snapshot.frame
        return (shown.now_s, None) if frame is None else (frame.time_s, frame.index)

    def press(self, name: str) -> None:
        """A key that is none of the window's went down; ``name`` is Qt's, in capitals."""
        annotator, key = self._controls.annotator, name.lower()
        with self._told():
            if annotator is not None and annotator.press(key, *self.moment()):
                self._held.add(key)
                self._changed()

    def release(self, name: str) -> None:
        """A key went up."""
        annotator, key = self._controls.annotator, name.lower()
        if annotator is not None and key in self._held:
            self._held.discard(key)
            with self._told():
                annotator.release(key, *self.moment())
                self._changed()

    def release_all(self) -> None:
        """The window lost the keyboard: keys that are held now go up unseen."""
        for key in sorted(self._held):
            self.release(key.upper())

    def keep_note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """A note was written."""
        if self._controls.annotator is not None:
            with self._told():
                self._controls.annotator.note(text, shown_s, frame_index)
                self._changed()

    def _undo(self, annotator: Annotator) -> None:
        with self._told():
            what = annotator.undo()
            self._say(f"taken back: {what}" if what else "there is nothing to take back")
            self._changed()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A mark that cannot be written (disk full) is said; the live view goes on."""
        try:
            yield
        except RealtimeERError as error:
            self._say(str(error))

    # --- replay -------------------------------------------------------------------------------

    def _change_speed(self, transport: Transport, steps: int) -> None:
        speed = next_speed(transport.speed, steps)
        transport.set_speed(speed)
        self._say(speed_text(speed))


def _seek(transport: Transport, by_s: float) -> None:
    start_s, end_s = transport.span_s
    transport.seek(min(max(transport.position_s + by_s, start_s), end_s))
