"""A camera and a microphone that do what a test says, when it says so.

The script is the test itself: it runs beside the stream's producer, moves the clock, and hands over
sound or pictures as a driver would. Samples and frames say which ones they are.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from realtime_er.clock import VirtualClock
from realtime_er.config import MicrophoneConfig
from realtime_er.errors import DeviceLost, DeviceNotFound, SourceError
from realtime_er.messages import Event, ImageArray, VideoFrame
from realtime_er.sources.base import SourceMessage
from realtime_er.sources.camera_stream import CameraStream, FoundCamera
from realtime_er.sources.microphone import Microphone
from tests.sources.media import Collected, OpenPacer, painted

PATIENCE_S = 10.0
"""A test that waits longer than this for its stream has failed."""

TIMEOUT_S = 0.25
"""Silence for this long (real) counts as loss: what is 1.25 s in earnest."""


_ROOM_SAMPLES = 8000


def noise(first: int, n: int) -> np.ndarray:
    """Samples that carry their own index, modulo what 16 bits can say, and are never constant."""
    return ((np.arange(first, first + n) % 65536 - 32768) / 32768).astype(np.float32)


running: list[Running] = []
"""Those that were begun in a test."""


class Running:
    """A stream in its producer's thread, and everything that it has emitted."""

    def __init__(self, stream: Any, clock: VirtualClock) -> None:
        self.stream = stream
        self.clock = clock
        self.messages: list[SourceMessage] = []
        self.fault: BaseException | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        running.append(self)

    def abandon(self) -> None:
        """End, whatever has happened."""
        self._stop.set()
        self.stream.close()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE_S)

    def start(self) -> None:
        self.stream.open()
        self._thread.start()

    def _run(self) -> None:
        try:
            self.stream.run(self._emit, OpenPacer(), self._stop)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.fault = error
        with self._changed:
            self._changed.notify_all()

    def _emit(self, message: SourceMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait_for(self, what: Callable[[Running], bool]) -> None:
        """Until something is true of what was emitted."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: what(self) or self._over(), PATIENCE_S)
        assert arrived, self.events()
        assert what(self), (self.events(), self.fault)

    def _over(self) -> bool:
        return not self._thread.is_alive()

    def wait_for_event(self, kind: str, count: int = 1) -> None:
        self.wait_for(lambda run: sum(event == kind for event, _ in run.events()) >= count)

    def events(self) -> list[tuple[str, str]]:
        """Kind and detail of each."""
        return [(m.kind, m.detail) for m in list(self.messages) if isinstance(m, Event)]

    def kinds(self) -> list[str]:
        return [kind for kind, _detail in self.events()]

    def end(self) -> Collected:
        """Stop as a session does; what was emitted keeps a stream's contract."""
        self._stop.set()
        self._thread.join(0.3)
        self.stream.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.fault is not None:
            raise self.fault
        collected = Collected(self.messages)
        collected.check_contract()
        return collected


# --- microphone ---------------------------------------------------------------------------------


class ScriptedPortAudio:
    """The part of ``sounddevice`` that is used, with devices that come and go."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.default = SimpleNamespace(device=(0, 0))
        self.devices: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self.opened: list[dict[str, Any]] = []
        self.starts = 0
        self.attempts = 0
        self._opened = threading.Condition()
        self.plug("Built-in Mic")

    def plug(self, *names: str, rate_hz: float = 16000.0, channels: int = 1) -> None:
        """These devices are there now, in this order, and no others."""
        self.devices = [
            {"name": name, "max_input_channels": channels, "default_samplerate": rate_hz}
            for name in names
        ]

    def query_devices(self, device: int | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if not self.devices:
            raise self.PortAudioError("Error querying device -1")
        return self.devices[device or 0]

    def InputStream(self, **settings: Any) -> Any:  # noqa: N802
        with self._opened:
            self.attempts += 1
            self._opened.notify_all()
        if self.failure is not None:
            raise self.failure
        settings["name"] = self.devices[settings["device"] or 0]["name"]
        with self._opened:
            self.opened.append(settings)
            self._opened.notify_all()
        return SimpleNamespace(start=lambda: None, close=lambda: None)

    def wait_opened(self, count: int) -> None:
        with self._opened:
            assert self._opened.wait_for(lambda: len(self.opened) >= count, PATIENCE_S)

    def wait_attempts(self, count: int) -> None:
        with self._opened:
            assert self._opened.wait_for(lambda: self.attempts >= count, PATIENCE_S)

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        self.starts += 1


class ScriptedMicrophone(Running):
    """A microphone whose callbacks the test makes: 20 ms of sound each."""

    stream: Microphone

    def __init__(self, device: str = "", rate_hz: float = 16000.0, channels: int = 1) -> None:
        self.library = ScriptedPortAudio()
        self.library.plug("Built-in Mic", "USB Headset", rate_hz=rate_hz, channels=channels)
        self.sample = 0  # the next one of the device
        clock = VirtualClock(1.0)
        config = MicrophoneConfig(device=device, timeout_s=TIMEOUT_S)
        super().__init__(Microphone(config, clock, self.library), clock)

    def play(
        self,
        n_blocks: int,
        *,
        burst: bool = False,
        overflow: bool = False,
        sound: Callable[[int, int], np.ndarray] = noise,
    ) -> None:
        """Hand over blocks, each 20 ms after the other, or all at once (``burst``)."""
        settings = self.library.opened[-1]
        n, channels = settings["blocksize"], settings["channels"]
        for block in range(n_blocks):
            if not burst:
                self.clock.advance_to(self.clock.now_s() + n / settings["samplerate"])
            samples = np.repeat(sound(self.sample, n)[:, None], channels, axis=1)
            self.sample += n
            status = SimpleNamespace(input_overflow=overflow and block == 0)
            self._make_room()
            settings["callback"](samples, n, None, status)

    def _make_room(self) -> None:
        """A script is faster than life: let the producer take what waits before it is dropped."""
        pause = threading.Event()
        for _attempt in range(10_000):
            mailbox = self.stream._mailbox
            if mailbox is None or mailbox.counts().in_flight < _ROOM_SAMPLES:
                return
            pause.wait(0.001)
        raise AssertionError("the producer takes nothing")

    def settle(self) -> None:
        """Until everything that was handed over has been taken."""
        pause = threading.Event()
        for _attempt in range(10_000):
            mailbox = self.stream._mailbox
            if mailbox is None or mailbox.counts().in_flight == 0:
                return
            pause.wait(0.001)
        raise AssertionError("the producer takes nothing")

    def pass_time(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_s() + seconds)

    def reopened(self, count: int) -> None:
        """Wait for the opening with this number; its samples count from zero."""
        self.library.wait_opened(count)
        self.sample = 0


# --- camera -------------------------------------------------------------------------------------


class ScriptedCapture:
    """A camera's driver that hands over what stands in its queue."""

    def __init__(self, owner: ScriptedCamera) -> None:
        self._owner = owner
        self.closed = False

    def open(self) -> dict[str, Any]:
        failure = self._owner.cannot_open
        if failure is not None:
            raise failure
        self._owner.n_opened += 1
        return {"width_px": 128, "height_px": 64}

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        while not stop.is_set():
            try:
                item = self._owner.queue.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            item[1].setflags(write=False)
            return item
        raise DeviceLost("stopped")

    def close(self) -> None:
        self.closed = True


class ScriptedCamera(Running):
    """A camera whose pictures the test takes: 30 a second."""

    stream: CameraStream

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.cannot_open: SourceError | None = None
        self.n_opened = 0
        self.shown = 0  # pictures so far
        self.captures: list[ScriptedCapture] = []
        clock = VirtualClock(1.0)

        def make() -> ScriptedCapture:
            self.captures.append(ScriptedCapture(self))
            return self.captures[-1]

        def find(wanted: str) -> FoundCamera:
            if wanted == "nothing":
                raise DeviceNotFound("no camera 'nothing'")
            return FoundCamera(make, wanted)

        super().__init__(CameraStream(find, "0", clock, TIMEOUT_S, {}), clock)

    def frame(self, image: ImageArray, back_s: float = 0.0) -> None:
        """Hand one picture over and wait until it was taken."""
        self.clock.advance_to(self.clock.now_s() + 1 / 30)
        image = image.copy()
        before = len(self.messages)
        self.queue.put((self.clock.now_s() - back_s, image))
        if self._thread.is_alive():
            self.wait_for(lambda run: len(run.messages) > before)

    def reopened(self, count: int) -> None:
        """Wait for the opening with this number; the driver before it takes no more pictures."""
        pause = threading.Event()
        for _attempt in range(10_000):
            if self.n_opened >= count:
                return
            pause.wait(0.001)
        raise AssertionError("it is not opened again")

    def play(self, n_frames: int, size_px: tuple[int, int] = (128, 64)) -> None:
        for _ in range(n_frames):
            self.shown += 1
            self.frame(painted(self.shown % 1000, *size_px))

    def begin(self, n_frames: int = 5) -> None:
        """Start with some pictures."""
        self.shown += 1
        self.queue.put((self.clock.now_s(), painted(self.shown)))
        self.start()
        self.wait_for(lambda run: any(isinstance(m, VideoFrame) for m in run.messages))
        self.play(n_frames - 1)
