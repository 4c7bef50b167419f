"""Real faults on real streams, counted: `python -m tests.faults.real [FAULT ...] --times 5`.

One recorded live session per fault, with the models that ship: an MJPEG server of this process as its
camera, a PulseAudio server of its own as its microphone. Each fault is brought about and ended a number
of times; what is said, masked, lost and recorded is measured on the session's clock. Prints one row
of the table in docs/reliability.md per fault.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from realtime_er.clock import SessionClock
from realtime_er.config import load_config
from realtime_er.messages import Estimate, Event
from realtime_er.models import Models
from realtime_er.recompute import check
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.pulse import SINK, missing_for_null_sink, null_sink_microphone
from tests.test_live import demo_pictures

PATIENCE_S = 30.0


class Server:
    """An MJPEG camera that can be stopped, silenced and spoilt. ``mode`` is read for each picture."""

    def __init__(self, pictures: list[bytes]) -> None:
        self.pictures = pictures
        self.mode = "good"
        self.port = 0
        self._index = 0
        self._alive = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video"

    def start(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for data in owner.stream():
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                except OSError:
                    return

            def log_message(self, *args: object) -> None:
                pass

        self._alive.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stream(self) -> Iterator[bytes]:
        while not self._alive.wait(2.0 if self.mode == "slow" else 0.04):
            data = self.pictures[self._index % len(self.pictures)]
            if self.mode == "silent":
                continue
            if self.mode == "broken":
                data = data[: len(data) // 8] + os.urandom(200)
            if self.mode != "same":
                self._index += 1
            yield data

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._alive.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def restart(self) -> None:
        self.mode = "good"
        self.start()


@dataclass
class Watched:
    """What a session has said so far."""

    clock: Any
    events: list[tuple[float, Event]] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    over: bool = False

    def wait(self, what: Callable[[], Any]) -> Any:
        with self.changed:
            found = self.changed.wait_for(lambda: self.over or what(), PATIENCE_S)
        assert found, (
            [event for _, event in self.events[-8:]],
            [(e.time_s, {m: str(a) for m, a in e.absent.items()}) for e in self.estimates[-3:]],
        )
        assert not self.over, "the session ended"
        return what()

    def event(self, since_s: float, *kinds: str) -> Event:
        def look() -> Event | None:
            return next(
                (e for _, e in self.events if e.time_s >= since_s and e.kind in kinds), None
            )

        found: Event = self.wait(look)
        return found

    def state(self, since_s: float, modality: str, *wanted: str) -> float:
        """Session time of the first estimate since then in which a modality is in such a state."""

        def look() -> float | None:
            for estimate in self.estimates:
                name = str(estimate.absent.get(modality, "present"))
                if estimate.time_s >= since_s and name in wanted:
                    return estimate.time_s
            return None

        found: float = self.wait(look)
        return found


@dataclass(frozen=True)
class Fault:
    """One way to bring trouble about.

    ``begin`` and ``end`` act; ``lost`` and ``back`` are the events that tell; ``masked`` the state on
    screen, of ``modality``; ``hold_s`` how long it lasts after it was noticed.
    """

    name: str
    modality: str
    begin: Callable[[], Any]
    end: Callable[[], Any]
    lost: tuple[str, ...]
    back: str
    masked: tuple[str, ...]
    hold_s: float = 1.0


def pactl(*words: str) -> str:
    found = subprocess.run(["pactl", *words], capture_output=True, text=True, check=True)
    return found.stdout.strip()


class NullSource:
    """The null sink of ``tests.pulse``, unloaded and loaded again."""

    def unload(self) -> None:
        pactl("unload-module", "module-null-sink")

    def load(self) -> None:
        pactl("load-module", "module-null-sink", f"sink_name={SINK}", "rate=48000", "channels=2")
        pactl("set-default-source", f"{SINK}.monitor")


def faint_noise(part: int) -> bytes:
    """The 20 ms of sound with this number, 16 bit at 48 kHz."""
    return np.random.default_rng(part).integers(-300, 300, 960, np.int16).tobytes()


class PipeSource:
    """A PulseAudio source that reads a named pipe, and the writer at its other end.

    ``sound(n)`` is what it hears from 20 n ms on of ``clock``; it is written when that is over.
    """

    def __init__(
        self,
        folder: Path,
        sound: Callable[[int], bytes] = faint_noise,
        clock: SessionClock | None = None,
    ) -> None:
        self._path = folder / "sound"
        self._sound = sound
        self._clock = clock or SessionClock()
        self._writing = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def start(self) -> None:
        pactl(
            "load-module", "module-pipe-source", "source_name=rter_pipe", f"file={self._path}",
            "format=s16le", "rate=48000", "channels=1",
        )  # fmt: skip
        pactl("set-default-source", "rter_pipe")
        self._writing.set()
        self._thread.start()

    def _write(self) -> None:
        part = int(self._clock.now_s() / 0.02)
        with self._path.open("wb", buffering=0) as pipe:
            while not self._over.wait(max(0.0, (part + 1) * 0.02 - self._clock.now_s())):
                if not self._writing.is_set():
                    part = int(self._clock.now_s() / 0.02)
                    continue
                pipe.write(self._sound(part))
                part += 1

    def stall(self) -> None:
        self._writing.clear()

    def go_on(self) -> None:
        self._writing.set()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def pulse_pid() -> int:
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-x", "pulseaudio"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(listed.stdout.split()[0])


def stop_self(seconds: float) -> None:
    """Stop this process, as Ctrl-Z does, and let it go on."""
    line = f"kill -STOP {os.getpid()}; sleep {seconds}; kill -CONT {os.getpid()}"
    subprocess.run(["sh", "-c", line], check=True)


@contextmanager
def session_of(
    folder: Path, url: str | None, microphone: bool, models: Models | None
) -> Iterator[tuple[Session, Watched]]:
    overrides: dict[str, Any] = {"asr.enabled": False, "microphone.enabled": microphone}
    overrides |= {"camera.source": url} if url else {"camera.enabled": False}
    overrides |= {"microphone.device": "pulse"} if microphone else {}
    session = Session(load_config("live", overrides), record=(folder, RecordOptions()))
    with session:
        watched = Watched(session._clock)
        observe = session._graph._view.observe  # type: ignore[union-attr]

        def tapped(message: Any) -> None:
            observe(message)
            if isinstance(message, Event):
                with watched.changed:
                    watched.events.append((watched.clock.now_s(), message))
                    watched.changed.notify_all()

        session._graph._view.observe = tapped  # type: ignore[union-attr, method-assign]
        reader = threading.Thread(target=_read, args=(session, watched))
        reader.start()
        try:
            yield session, watched
        finally:
            session.stop()
            reader.join()


def _read(session: Session, watched: Watched) -> None:
    try:
        for estimate in session.estimates():
            with watched.changed:
                watched.estimates.append(estimate)
                watched.changed.notify_all()
    finally:
        with watched.changed:
            watched.over = True
            watched.changed.notify_all()


def measure(fault: Fault, times: int, url: str | None, folder: Path) -> str:
    """Bring a fault about again and again in one session; its row."""
    noticed, masked, back = [], [], []
    pause = threading.Event()
    with session_of(folder, url, fault.modality == "audio", None) as (session, watched):
        shown = ("present",) if fault.modality == "face" else ("no speech", "muted", "present")
        watched.state(0.0, fault.modality, *shown)
        for _ in range(times):
            # A microphone that has just been opened is given longer: faults come to one that runs.
            pause.wait(4.0 if fault.modality == "audio" else 1.5)
            began_s = watched.clock.now_s()
            fault.begin()
            lost = watched.event(began_s, *fault.lost)
            noticed.append(lost.time_s - began_s)
            masked.append(watched.state(lost.time_s - 0.2, fault.modality, *fault.masked) - began_s)
            pause.wait(fault.hold_s)
            fault.end()
            ended_s = watched.clock.now_s()
            returned = watched.event(lost.time_s, fault.back)
            back.append(max(0.0, returned.time_s - ended_s))
            watched.state(returned.time_s, fault.modality, *shown)
        pause.wait(0.5)
    (report,) = session.recordings()
    stream = "camera" if fault.modality == "face" else "microphone"
    gaps = [gap for gap in session.gaps if gap.stream == stream and gap.end_s - gap.start_s > 0.5]
    compared = check(folder)
    facts = [
        f"{times} times in one session",
        f"noticed {span(noticed)}",
        f"masked {span(masked)}",
        f"back {span(back)}",
        f"gaps {len(gaps)} of {sum(gap.end_s - gap.start_s for gap in gaps):.1f} s",
        "accounted" if session.accounting().balanced else "NOT BALANCED",
        f"recording {'whole' if report.ok and not report.lost else report.line()}",
        f"replay {'equal' if compared.equal else compared.line()}",
    ]
    return " | ".join([fault.name, *facts])


def span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f} s"


def stood_still(times: int, url: str, folder: Path) -> str:
    """The process is stopped for five seconds, as by Ctrl-Z."""
    pause = threading.Event()
    missing, back = [], []
    with session_of(folder, url, True, None) as (session, watched):
        watched.state(0.0, "face", "present")
        for _ in range(times):
            pause.wait(1.5)
            began_s = watched.clock.now_s()
            stop_self(5.0)
            ended_s = watched.clock.now_s()
            missing.append(ended_s - began_s)
            watched.event(began_s, "session resumed")
            back.append(watched.state(ended_s, "face", "present") - ended_s)
            watched.state(ended_s + 1.0, "audio", "no speech", "muted", "present")
        pause.wait(0.5)
    ages = [e.timing.age_s for e in watched.estimates if e.timing.age_s is not None]
    (report,) = session.recordings()
    compared = check(folder)
    facts = [
        f"{times} times in one session",
        f"stood still {span(missing)}",
        f"face back {span(back)}",
        f"score age {min(ages):.2f} to {max(ages):.2f} s",
        "accounted" if session.accounting().balanced else "NOT BALANCED",
        f"recording {'whole' if report.ok and not report.lost else report.line()}",
        f"replay {'equal' if compared.equal else compared.line()}",
    ]
    return " | ".join(["process stopped for 5 s", *facts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", help="names below; all without any")
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    server = Server(list(demo_pictures(40)))
    source = NullSource()
    face, audio = ("camera lost", "camera frozen"), ("microphone lost",)
    gone = ("device lost",)

    def mode(name: str) -> Callable[[], None]:
        return lambda: setattr(server, "mode", name)

    good = mode("good")
    cameras = {
        "stopped": Fault("MJPEG server stopped and started again", "face", server.stop,
                         server.restart, face, "camera back", gone),
        "silent": Fault("MJPEG server keeps the line, sends nothing", "face", mode("silent"), good,
                        face, "camera back", gone),
        "slow": Fault("MJPEG server slowed to a picture every 2 s", "face", mode("slow"), good,
                      face, "camera back", gone),
        "broken": Fault("MJPEG server sends broken JPEGs", "face", mode("broken"), good,
                        face, "camera back", (*gone, "no face", "picture frozen")),
        "same": Fault("MJPEG server repeats one picture for ever", "face", mode("same"), good,
                      face, "camera back", ("picture frozen",)),
    }  # fmt: skip
    sounds = {
        "unloaded": Fault("PulseAudio source unloaded and loaded again", "audio", source.unload,
                          source.load, audio, "microphone back", gone),
    }  # fmt: skip
    known = [*cameras, *sounds, "pipe", "hung", "still"]
    for name in asked.faults:
        if name not in known:
            parser.error(f"{name}: known are {', '.join(known)}")
    wanted = asked.faults or known
    with tempfile.TemporaryDirectory(prefix="rter-faults-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        server.start()
        stack.callback(server.stop)
        for name in wanted:
            with ExitStack() as sound:
                if name not in cameras:
                    missing = missing_for_null_sink()
                    if missing:
                        say(f"{name}: not run, needs {missing}")
                        continue
                    sound.enter_context(null_sink_microphone())
                if name in cameras:
                    row = measure(cameras[name], asked.times, server.url, folder / name)
                elif name in sounds:
                    row = measure(sounds[name], asked.times, None, folder / name)
                elif name == "pipe":
                    pipe = PipeSource(folder)
                    pipe.start()
                    sound.callback(pipe.stop)
                    fault = Fault("PulseAudio source at a named pipe whose writer pauses", "audio",
                                  pipe.stall, pipe.go_on, audio, "microphone back", gone)  # fmt: skip
                    row = measure(fault, asked.times, None, folder / name)
                elif name == "hung":
                    pid = pulse_pid()
                    fault = Fault("PulseAudio server hangs (SIGSTOP) and goes on", "audio",
                                  lambda pid=pid: os.kill(pid, signal.SIGSTOP),
                                  lambda pid=pid: os.kill(pid, signal.SIGCONT),
                                  audio, "microphone back", gone)  # fmt: skip
                    row = measure(fault, asked.times, None, folder / name)
                else:
                    row = stood_still(asked.times, server.url, folder / name)
                say(row)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
