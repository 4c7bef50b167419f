"""A computer whose time is simulated: threads take turns, and only what models cost takes time.

The real stages, mailboxes and workers run on it. One thread runs at a time; when all of them wait,
the clock jumps to the next thing that happens. So a run is the same every time, and a minute of an
overloaded machine takes a second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import pytest

from realtime_er import runtime, session

# What hours of simulated time cannot resolve.
_LEAST_S = 1e-9


class _Task:
    """One thread: the baton is its turn to run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.baton = threading.Lock()
        self.baton.acquire()
        self.wake_s: float | None = None
        self.left_s = 0.0  # of processor time, while it computes


class VirtualMachine:
    """Processors shared by whoever computes; a clock (``now_s``) like a session's.

    ``install`` puts it under ``realtime_er``. The thread that makes it takes part as "main".
    """

    def __init__(self, processors: int = 2) -> None:
        self.processors = processors
        self._now_s = 0.0
        self._current = _Task("main")
        self._runnable: deque[_Task] = deque()
        self._waiting: list[_Task] = []
        self._computing: list[_Task] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the threads, mailboxes and clocks of sessions be those of this machine."""
        machine = self

        class Threading:
            Condition = staticmethod(lambda: _Condition(machine))

            @staticmethod
            def Thread(target: Callable[[], None], name: str) -> _Thread:  # noqa: N802
                return _Thread(machine, target, name)

        monkeypatch.setattr(runtime, "threading", Threading)
        monkeypatch.setattr(session, "SessionClock", lambda: machine)

    def now_s(self) -> float:
        """Virtual seconds since it was made."""
        return self._now_s

    def compute(self, processor_s: float) -> None:
        """Take this much of a processor's time; longer when more threads than processors do."""
        me = self._current
        me.left_s = processor_s
        self._computing.append(me)
        self._switch()

    def wait_until(self, time_s: float) -> None:
        """Wait without computing, as a device does."""
        if time_s > self._now_s:
            self._current.wake_s = time_s
            self._waiting.append(self._current)
            self._switch()

    # --- turns --------------------------------------------------------------------------------

    def start(self, task: _Task) -> None:
        """A new thread may run."""
        self._runnable.append(task)

    def block(self, queue: list[_Task], timeout_s: float | None) -> None:
        """Wait to be taken from ``queue`` by ``wake``, or for the time to pass."""
        me = self._current
        queue.append(me)
        me.wake_s = None if timeout_s is None else self._now_s + max(0.0, timeout_s)
        if me.wake_s is not None:
            self._waiting.append(me)
        self._switch()
        if me in queue:
            queue.remove(me)

    def wake(self, queue: list[_Task]) -> None:
        """Everybody in ``queue`` may run, in the order in which they came."""
        for task in queue:
            if task in self._waiting:
                self._waiting.remove(task)
            if task not in self._runnable:  # its time was over at the same moment
                self._runnable.append(task)
        queue.clear()

    def leave(self) -> None:
        """The current thread ends."""
        self._hand_on()

    def _switch(self) -> None:
        me = self._current
        self._hand_on()
        me.baton.acquire()

    def _hand_on(self) -> None:
        while not self._runnable:
            self._advance()
        self._current = self._runnable.popleft()
        self._current.baton.release()

    def _advance(self) -> None:
        """To the next thing that happens."""
        share = min(1.0, self.processors / len(self._computing)) if self._computing else 0.0
        times = [task.wake_s for task in self._waiting if task.wake_s is not None]
        times += [self._now_s + task.left_s / share for task in self._computing]
        if not times:
            raise RuntimeError("every thread waits for another")
        next_s = max(self._now_s, min(times))
        for task in self._computing:
            task.left_s -= (next_s - self._now_s) * share
        self._now_s = next_s
        done = [task for task in self._computing if task.left_s <= _LEAST_S]
        done += [t for t in self._waiting if t.wake_s is not None and t.wake_s <= next_s]
        self._computing = [task for task in self._computing if task not in done]
        self._waiting = [task for task in self._waiting if task not in done]
        self._runnable.extend(done)

    def current(self) -> _Task:
        """Whose turn it is."""
        return self._current


class _Condition:
    """Of one mailbox. Nobody else runs between two waits, so there is nothing to lock."""

    def __init__(self, machine: VirtualMachine) -> None:
        self._machine = machine
        self._queue: list[_Task] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass

    def notify_all(self) -> None:
        self._machine.wake(self._queue)

    def wait(self) -> None:
        self._machine.block(self._queue, None)

    def wait_for(self, ready: Callable[[], object], timeout_s: float | None) -> None:
        end_s = None if timeout_s is None else self._machine.now_s() + timeout_s
        while not ready():
            left_s = None if end_s is None else end_s - self._machine.now_s()
            if left_s is not None and left_s <= 0.0:
                return
            self._machine.block(self._queue, left_s)


class _Thread:
    """A real thread that runs when it is its turn."""

    def __init__(self, machine: VirtualMachine, target: Callable[[], None], name: str) -> None:
        self._machine = machine
        self._task = _Task(name)
        self._joining: list[_Task] = []
        self._ended = False

        def run() -> None:
            self._task.baton.acquire()
            target()
            self._ended = True
            machine.wake(self._joining)
            machine.leave()

        self._thread = threading.Thread(target=run, name=name)

    @property
    def ident(self) -> int | None:
        return self._thread.ident

    def start(self) -> None:
        self._thread.start()
        self._machine.start(self._task)

    def join(self, timeout_s: float) -> None:
        if not self._ended:
            self._machine.block(self._joining, timeout_s)
        if self._ended:
            self._thread.join()

    def is_alive(self) -> bool:
        return not self._ended
