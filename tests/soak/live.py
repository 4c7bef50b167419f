"""Half an hour in real time, on real streams: an MJPEG server, a PulseAudio microphone, and their faults."""

from __future__ import annotations

import tempfile
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime_er.bench.machine import describe_machine
from realtime_er.config import load_config
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.faults.real import NullSource, Server
from tests.perception.sounds import RATE_HZ, Sound
from tests.pulse import missing_for_null_sink, null_sink_microphone
from tests.soak.material import FPS, REAL_TIME_SOUNDS, Material, Plan, sounds
from tests.soak.watch import Watch, accounts, read_rows, replayed, trend, write_summary

_TAPE_S = 300.0
"""What is heard and seen; then it begins again."""

# What is brought about, in turn, every two minutes; and how long it lasts.
_CAMERA_MODES = {"silent": 4.0, "broken": 3.0, "same": 4.0, "stopped": 4.0}
_EVERY_S = 120.0


class Troubles:
    """Brings faults about on a thread of its own, one after another, and counts them."""

    def __init__(self, server: Server, source: NullSource) -> None:
        self._server = server
        self._source = source
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Troubles:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        modes = list(_CAMERA_MODES)
        n = 0
        while not self._over.wait(_EVERY_S):
            name = "unloaded" if n % 5 == 4 else modes[n % 5]
            n += 1
            if name == "unloaded":
                self._source.unload()
                self._over.wait(4.0)
                self._source.load()
            elif name == "stopped":
                self._server.stop()
                self._over.wait(_CAMERA_MODES[name])
                self._server.restart()
            else:
                self._server.mode = name
                self._over.wait(_CAMERA_MODES[name])
                self._server.mode = "good"
            self.counts[name] = self.counts.get(name, 0) + 1


@contextmanager
def playing(play: Callable[[Path], Any], path: Path) -> Iterator[None]:
    """Play a file into the microphone again and again, also after its sink was away."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            player = play(path)
            while player.poll() is None and not over.wait(0.5):
                pass
            if over.is_set():
                player.terminate()
                player.wait()
            over.wait(0.5)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def write_wav(path: Path, sound: Sound) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())


def live(
    seconds: float, out: Path, *, say: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """Run a recorded live session for so long; what came of it.

    Raises:
        RuntimeError: this machine has no sound server to make a microphone of.
    """
    if missing := missing_for_null_sink():
        raise RuntimeError(f"needs {missing} for a microphone without hardware")
    out.mkdir(parents=True, exist_ok=True)
    heard = sounds()
    material = Material(Plan(_TAPE_S, 25, list(heard), REAL_TIME_SOUNDS), heard)
    pictures = [
        cv2.imencode(".jpg", cv2.resize(material.picture(k), (640, 480)))[1].tobytes()
        for k in range(int(_TAPE_S * FPS))
    ]
    server, source = Server(pictures), NullSource()
    summary: dict[str, Any] = {"seconds": seconds, "machine": describe_machine()}
    with tempfile.TemporaryDirectory() as temporary, null_sink_microphone() as play:
        sound = Path(temporary) / "sound.wav"
        blocks = [material.sound(k / FPS, RATE_HZ // FPS) for k in range(int(_TAPE_S * FPS))]
        write_wav(sound, np.concatenate(blocks))
        server.start()
        config = load_config("live", {"camera.source": server.url, "microphone.device": "pulse"})
        record = (out / "session", RecordOptions())
        try:
            with playing(play, sound), Session(config, record=record) as run:
                watch = Watch(run, out, say=say)
                with Troubles(server, source) as troubles:
                    for estimate in run.estimates():
                        watch.see(estimate)
                        if estimate.time_s >= seconds:
                            run.stop()
                            break
                for _estimate in run.estimates():
                    pass
                notices = run.notices
        finally:
            server.stop()
    summary |= {
        "notices": notices,
        "troubles": troubles.counts,
        "trend": trend(read_rows(out), min(600.0, seconds / 3)),
        "after": accounts(run),
    }
    write_summary(out, summary)
    summary["replay"] = replayed(out / "session")
    return write_summary(out, summary)
