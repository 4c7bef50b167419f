"""The simulated computer of an accelerated soak: real models, real device layer, simulated time.

``tests.virtual_machine`` gives threads, mailboxes and the session's clock; here come the events that
devices and recordings wait for, and models that are the shipped ones and take time of the simulated
processors as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from realtime_er import session, stages
from realtime_er.clock import Standstills
from realtime_er.config import Config
from realtime_er.models import Models
from realtime_er.recording import recorder
from realtime_er.sources import camera_stream, microphone
from tests.virtual_machine import VirtualMachine

# Processor seconds of one call, about what two busy cores need.
FIND_FACES_S, DESCRIBE_FACE_S, VOICE_STEP_S, WORDS_S = 0.012, 0.006, 0.012, 0.3


class _Event:
    """``threading.Event`` in simulated time."""

    def __init__(self, machine: VirtualMachine) -> None:
        self._machine = machine
        self._queue: list = []
        self._set = False

    def set(self) -> None:
        self._set = True
        self._machine.wake(self._queue)

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout_s: float | None = None) -> bool:
        end_s = None if timeout_s is None else self._machine.now_s() + timeout_s
        while not self._set:
            left_s = None if end_s is None else end_s - self._machine.now_s()
            if left_s is not None and left_s <= 0.0:
                break
            self._machine.block(self._queue, left_s)
        return self._set


class SoakMachine(VirtualMachine):
    """Everything that a session with devices and a recording waits for takes simulated time."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().install(monkeypatch)
        waits = SimpleNamespace(Event=lambda: _Event(self), Lock=threading.Lock)
        for module in (session, camera_stream, microphone, recorder):
            monkeypatch.setattr(module, "threading", waits)
        monkeypatch.setattr(recorder, "SessionClock", lambda: self)
        # How far a simulation is from the wall clock says nothing about a computer that slept.
        monkeypatch.setattr(stages, "Standstills", lambda clock: Standstills(clock, clock.now_s))


class _Costly:
    """A model, or what holds it, with one call that takes time."""

    def __init__(self, inner, cost: Callable[[float], None]) -> None:
        self._inner = inner
        self._cost = cost

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


class _Finding(_Costly):
    def observe(self, frame):
        self._cost(FIND_FACES_S)
        return self._inner.observe(frame)


class _Describing(_Costly):
    def encode(self, picture):
        self._cost(DESCRIBE_FACE_S)
        return self._inner.encode(picture)


class _Hearing(_Costly):
    def push(self, first_sample, samples):
        done = self._inner.push(first_sample, samples)
        for _ in done:
            self._cost(VOICE_STEP_S)
        return done


class _Recognizing(_Costly):
    def transcribe(self, segment, abandoned=None):
        self._cost(WORDS_S)
        return self._inner.transcribe(segment, abandoned)


class CostlyModels(Models):
    """The shipped models; each call takes ``load(now_s)`` times its usual processor time."""

    def __init__(
        self, config: Config, machine: VirtualMachine, load: Callable[[float], float]
    ) -> None:
        super().__init__(config)
        self._machine = machine
        self._load_at = load

    def _spend(self, processor_s: float) -> None:
        self._machine.compute(processor_s * self._load_at(self._machine.now_s()))

    def load(self, **wanted: bool) -> None:
        super().load(**wanted)
        if self.recognizer is not None:
            self.recognizer = _Recognizing(self.recognizer, self._spend)

    @property
    def face(self):
        return _Describing(super().face, self._spend)

    @property
    def audio(self):
        return _Hearing(super().audio, self._spend)

    def face_perception(self):
        return _Finding(super().face_perception(), self._spend)
