"""Makes ``assets/screenshots``: the bundled clip, seen by several windows, and a replay of it.

On its way the clip is edited as people and devices would: the camera is covered, nobody speaks, the
camera is unplugged. Needs the ``window`` extra; run with
``QT_QPA_PLATFORM=offscreen python assets/make_screenshots.py``.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PySide6.QtGui import QPixmap

from realtime_er.clock import Clock, SessionClock
from realtime_er.config import Config, load_config
from realtime_er.messages import AudioBlock, Event, Gap, VideoFrame
from realtime_er.recording.labels import load_labels
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.player import Player
from realtime_er.recording.rater_marks import RaterMarks
from realtime_er.recording.reader import RecordedSession
from realtime_er.resources import resource_dir
from realtime_er.session import Session
from realtime_er.sinks.display.app import application
from realtime_er.sinks.display.controls import Controls
from realtime_er.sinks.display.kiosk import Kiosk
from realtime_er.sinks.display.theme import THEMES
from realtime_er.sinks.display.window import Window
from realtime_er.sources.base import Emit, Pacer, SourceMessage, Stream
from realtime_er.sources.media_file import MediaFile

OUT = Path(__file__).with_name("screenshots")
COVERED_S, SILENT_S, UNPLUGGED_S = (9.0, 17.0), (9.4, 17.0), 20.5
LAPTOP, WIDE, TALL = (1280, 720), (1920, 1080), (720, 1280)


class Edited:
    """A stream of the clip with something done to it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.kind, self.name = stream.kind, stream.name
        self.open, self.close, self.info = stream.open, stream.close, stream.info

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Play it, covered, silenced and unplugged where the script says so."""
        unplugged = False

        def edited(message: SourceMessage) -> None:
            nonlocal unplugged
            if isinstance(message, VideoFrame):
                if message.time_s >= UNPLUGGED_S:
                    if not unplugged:
                        emit(Event(message.time_s, "camera lost", "no picture for 1.5 s"))
                    unplugged = True
                    return
                if COVERED_S[0] <= message.time_s < COVERED_S[1]:
                    image = np.full_like(message.image, 6)
                    image.setflags(write=False)
                    message = replace(message, image=image)
            elif isinstance(message, AudioBlock):
                if SILENT_S[0] <= message.start_s < SILENT_S[1]:
                    # Not zeros: an open microphone always has a little noise.
                    noise = np.random.default_rng(message.first_sample)
                    samples = noise.integers(-8, 9, len(message.samples)) / np.float32(32768)
                    message = replace(message, samples=samples.astype(np.float32))
            elif isinstance(message, Gap):
                return
            emit(message)

        self._stream.run(edited, pacer, stop)


class EditedClip:
    """The bundled clip in real time, edited."""

    realtime = True

    def __init__(self) -> None:
        self._clip = MediaFile(resource_dir("assets") / "demo.mp4", paced=True)

    def streams(self, config: Config, clock: Clock) -> Sequence[Any]:
        """Its two streams."""
        return [Edited(stream) for stream in self._clip.streams(config, clock)]


def save(picture: QPixmap, name: str) -> None:
    """Save a picture, small: soft colours and photographs are for JPEG."""
    path = OUT / name
    if path.suffix == ".jpg":
        picture.save(str(path), quality=88)
    else:
        picture.save(str(path))
        with Image.open(path) as saved:
            small = saved.convert("RGB")
        small.save(path, optimize=True)
    sys.stdout.write(f"{path.name}: {path.stat().st_size // 1024} KB\n")


def replay() -> QPixmap:
    """A recording of the clip in the window, with some annotations."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "session"
        clip = MediaFile(resource_dir("assets") / "demo.mp4")
        record = (folder, RecordOptions())
        with Session(load_config("analyze"), source=clip, record=record) as session:
            for _estimate in session.estimates():
                pass
        return annotated(folder)


def annotated(folder: Path) -> QPixmap:
    """The recording at its twentieth second, with the marks of one rater."""
    app = application()
    marks = RaterMarks(folder, "anna", load_labels())
    with RecordedSession.open(folder) as session:
        for key, shown_s in (("2", 1.5), ("e", 5.0), ("2", 9.2), ("1", 10.0), ("1", 17.2)):
            marks.press(key, shown_s, None)
        with Player(session, clock=SessionClock()) as player:
            controls = Controls(player.snapshot, transport=player, annotator=marks)
            window = Window(controls, title="replay", theme=THEMES["dark"])
            window.resize(*LAPTOP)
            window.show()
            player.seek(19.5)
            for _ in range(5):
                window.refresh()
                app.processEvents()
            picture = window.grab()
    marks.close(19.5)
    return picture


def main() -> None:
    """Play the clip once and take every picture at its time."""
    app = application()
    OUT.mkdir(exist_ok=True)
    with Session(load_config("demo"), source=EditedClip()) as session:
        controls = Controls(session.snapshot, select_target=session.select_target)

        def window(size: tuple[int, int], theme: str) -> Window:
            made = Window(controls, title="realtime_er", theme=THEMES[theme])
            made.resize(*size)
            return made

        laptop, light = window(LAPTOP, "dark"), window(LAPTOP, "light")
        portrait = window(TALL, "dark")
        kiosk = Kiosk(session.snapshot, theme=THEMES["dark"])
        kiosk.resize(*WIDE)
        plan: list[tuple[float, Window | Kiosk, str]] = [
            (7.6, laptop, "laptop-dark.png"),
            (7.7, light, "laptop-light.png"),
            (7.8, portrait, "portrait.png"),
            (7.9, kiosk, "demo-screen.jpg"),
            (14.0, laptop, "no-face-no-speech.png"),
            (16.9, kiosk, "demo-screen-attract.jpg"),
            (22.5, laptop, "camera-lost.png"),
            (22.6, kiosk, "demo-screen-camera-lost.jpg"),
        ]
        taken: list[tuple[QPixmap, str]] = []
        shown: list[Window | Kiosk] = [laptop, light, portrait, kiosk]
        for widget in shown:
            widget.show()
        refresh: Callable[[], list[None]] = lambda: [w.refresh() for w in shown]  # noqa: E731
        while plan and session.poll() is not None:
            refresh()
            app.processEvents()
            threading.Event().wait(0.1)
            due_s, widget, name = plan[0]
            if session.snapshot().now_s >= due_s:
                taken.append((widget.grab(), name))
                plan.pop(0)
    taken.append((replay(), "replay.png"))
    for picture, name in taken:
        save(picture, name)


if __name__ == "__main__":
    main()
