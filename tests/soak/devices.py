"""A camera and a microphone at the driver's boundary, in simulated time, with troubles of a plan."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.errors import DeviceLost, DeviceNotFound
from realtime_er.messages import SAMPLE_RATE_HZ, ImageArray
from realtime_er.runtime import Worker
from realtime_er.sources.base import Stream
from realtime_er.sources.camera_stream import CameraStream, FoundCamera
from realtime_er.sources.microphone import Microphone
from tests.faults.scripted import ScriptedPortAudio
from tests.soak.material import FPS, SIZE_PX, Material
from tests.virtual_machine import VirtualMachine

DRIFT = 80e-6
"""The sound card's seconds are this much longer: 2.3 s over eight hours."""


class WorldDevices:
    """The source of a session: what is plugged in. Counts what its drivers handed over."""

    realtime = True

    def __init__(self, machine: VirtualMachine, material: Material) -> None:
        self.machine = machine
        self.material = material
        self.frames = self.samples = 0

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        camera = FoundCamera(lambda: _Driver(self), "soak camera")
        return [
            CameraStream(lambda _wanted: camera, "0", clock, config.camera.timeout_s, {}),
            Microphone(config.microphone, clock, _PortAudio(self)),
        ]

    def trouble(self, device: str, time_s: float) -> str:
        span = self.material.plan.troubles[device].at(time_s)
        return span.what if span else ""


class _Driver:
    """One opening of the camera."""

    def __init__(self, world: WorldDevices) -> None:
        self._world = world
        self._index = 0
        self._waiting: list[ImageArray] = []
        self._last: ImageArray | None = None

    def open(self) -> dict[str, Any]:
        now_s = self._world.machine.now_s()
        if self._world.trouble("camera", now_s) == "vanish":
            raise DeviceNotFound("soak camera: unplugged")
        self._index = math.floor(now_s * FPS) + 1
        return {"width_px": SIZE_PX[0], "height_px": SIZE_PX[1]}

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        world = self._world
        while not stop.is_set():
            if self._waiting and world.trouble("camera", world.machine.now_s()) != "burst":
                return self._hand_over(world.machine.now_s(), self._waiting.pop(0))
            world.machine.wait_until(self._index / FPS)
            now_s, image = self._index / FPS, world.material.picture(self._index)
            self._index += 1
            trouble = world.trouble("camera", now_s)
            if trouble == "vanish":
                raise DeviceLost("soak camera: unplugged")
            if trouble == "burst":
                self._waiting.append(image)
            elif trouble == "frozen" and self._last is not None:
                return self._hand_over(now_s, self._last)
            elif trouble == "backwards":
                return self._hand_over(now_s - 0.5, image)
            elif trouble != "stall":
                return self._hand_over(now_s, image)
        raise DeviceLost("stopped")

    def _hand_over(self, time_s: float, image: ImageArray) -> tuple[float, ImageArray]:
        self._world.frames += 1
        self._last = image
        return time_s, image

    def close(self) -> None:
        pass


class _PortAudio(ScriptedPortAudio):
    """The sound system, with one microphone."""

    def __init__(self, world: WorldDevices) -> None:
        super().__init__()
        self._world = world

    def InputStream(self, **settings: Any) -> Any:  # noqa: N802
        if self._world.trouble("microphone", self._world.machine.now_s()) == "vanish":
            raise self.PortAudioError("unplugged")
        return _Input(self._world, settings)


class _Input:
    """One opening of the microphone: its callbacks come on a thread of their own."""

    def __init__(self, world: WorldDevices, settings: dict[str, Any]) -> None:
        self._world = world
        self._block = int(settings["blocksize"])
        self._callback = settings["callback"]
        self._closed = False

    def start(self) -> None:
        Worker("portaudio", self._run, lambda _fault: None).start()

    def close(self) -> None:
        self._closed = True

    def _run(self) -> None:
        world, machine = self._world, self._world.machine
        opened_s, first = machine.now_s(), 0
        period_s = (1 + DRIFT) / SAMPLE_RATE_HZ
        rng = np.random.default_rng(round(opened_s * 1000))
        waiting: list[np.ndarray] = []
        while True:
            begin_s = opened_s + first * period_s
            first += self._block
            machine.wait_until(opened_s + first * period_s + 0.004 * float(rng.random()) ** 3)
            trouble = world.trouble("microphone", begin_s)
            if self._closed or trouble == "vanish":
                return
            samples = world.material.sound(begin_s, self._block)
            if trouble == "muted":
                samples[:] = 0.0
            elif trouble == "damaged":
                samples[:] = np.nan
            if trouble == "burst":
                waiting.append(samples)
            elif trouble not in ("stall", "silent"):
                for held in [*waiting, samples]:
                    world.samples += len(held)
                    self._callback(held[:, None], len(held), None, _NO_STATUS)
                waiting.clear()


_NO_STATUS = SimpleNamespace(input_overflow=False)
