"""Picture and sound of one event, each through its own real device path: are they recorded together?

A flash and a beep begin at the same moment of one clock. The picture goes through an MJPEG server, the
sound through a named pipe, PulseAudio, ALSA and PortAudio; both are delivered as devices do, a picture
when it is taken, 20 ms of sound when they are over. What then lies between them in the recording is the
error of our time stamps and whatever those paths do not tell of their delay.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realtime_er.bench.machine import describe_machine
from realtime_er.clock import SessionClock
from realtime_er.config import load_config
from realtime_er.recording.manifest import MEDIA
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.faults.real import PipeSource, Server
from tests.pulse import missing_for_null_sink, null_sink_microphone
from tests.soak.material import BEEP, BEEP_S, FLASH_S
from tests.soak.watch import accounts, av_errors, errors_told, write_summary

_EVERY_S = 4.0
_FPS = 25
_PIPE_HZ = 48_000
_DARK, _LIGHT = 90, 255


def _jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", np.full((480, 640, 3), level, np.uint8))[1].tobytes()


class Flashing(Server):
    """A camera whose pictures are taken at ``k / 25`` seconds of a clock; light every four seconds."""

    def __init__(self, clock: SessionClock) -> None:
        super().__init__([_jpeg(_DARK), _jpeg(_LIGHT)])
        self._clock = clock

    def stream(self) -> Iterator[bytes]:
        number = math.ceil(self._clock.now_s() * _FPS)
        while not self._alive.wait(max(0.0, number / _FPS - self._clock.now_s())):
            yield self.pictures[number / _FPS % _EVERY_S < FLASH_S]
            number += 1


def beeping(part: int) -> bytes:
    """20 ms of faint noise; a beep begins every four seconds."""
    places = np.arange(part * 960, (part + 1) * 960)
    sound = np.random.default_rng(part).uniform(-0.01, 0.01, 960)
    since_s = places / _PIPE_HZ % _EVERY_S
    beep = since_s < BEEP_S
    sound[beep] = BEEP * np.sign(np.sin(2 * np.pi * 1000 * since_s[beep] + 0.4))
    return np.rint(sound * 32767).astype("<i2").tobytes()


def together(
    seconds: float, out: Path, *, say: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """Record so long; how far each beep lies from its flash.

    Raises:
        RuntimeError: this machine has no sound server to make a microphone of.
    """
    if missing := missing_for_null_sink():
        raise RuntimeError(f"needs {missing} for a microphone without hardware")
    out.mkdir(parents=True, exist_ok=True)
    clock = SessionClock()
    server = Flashing(clock)
    with tempfile.TemporaryDirectory() as temporary, null_sink_microphone():
        pipe = PipeSource(Path(temporary), beeping, clock)
        pipe.start()
        server.start()
        config = load_config(
            "live",
            {"camera.source": server.url, "microphone.device": "pulse", "asr.enabled": False},
        )
        try:
            with Session(config, record=(out / "session", RecordOptions())) as run:
                for estimate in run.estimates():
                    if estimate.time_s >= seconds:
                        run.stop()
                        break
                for _estimate in run.estimates():
                    pass
        finally:
            server.stop()
            pipe.stop()
    errors_s = av_errors(out / "session" / MEDIA)
    say(f"beep after flash, ms: {np.round(1000 * errors_s, 1).tolist()}")
    told = {"seconds": seconds, "machine": describe_machine(), "after": accounts(run)}
    return write_summary(out, told | {"av_error_s": errors_told(errors_s)})
