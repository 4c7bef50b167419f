"""Threads and the queues between them: nothing is unbounded, unnamed, uncounted or swallowed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Policy = Literal["block", "drop_oldest", "latest"]


class MailboxClosed(Exception):  # noqa: N818 - it is a signal, not an error
    """The mailbox is closed (``put``), or closed and empty (``get``)."""


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """What happened on one edge, in the edge's unit ("frames", "samples", ...).

    Once the edge is closed and drained ``in_flight`` is zero and
    ``offered == taken + dropped + superseded``.
    """

    name: str
    unit: str
    policy: Policy
    offered: int
    taken: int
    dropped: int
    superseded: int
    in_flight: int
    high_water: int

    @property
    def balanced(self) -> bool:
        """Whether every unit is accounted for."""
        return self.offered == self.taken + self.dropped + self.superseded + self.in_flight


class Mailbox(Generic[T]):
    """Bounded queue between two threads, with a named delivery policy and exact counts.

    Args:
        name: Edge name, "producer>consumer".
        capacity: Most items held.
        policy: ``block`` makes ``put`` wait for room; ``drop_oldest`` discards the oldest item;
            ``latest`` keeps only the newest (capacity is then one).
        unit: What ``size`` counts.
        size: Units in an item; one by default.
        supersedes: ``supersedes(new, old)`` True removes the waiting ``old`` as ``new`` arrives
            (a newer partial transcript replaces one not yet started).
        droppable: Items for which this is False are never dropped; ``put`` waits instead.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        policy: Policy,
        *,
        unit: str = "items",
        size: Callable[[T], int] | None = None,
        supersedes: Callable[[T, T], bool] | None = None,
        droppable: Callable[[T], bool] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"mailbox {name}: capacity must be at least 1, not {capacity}")
        self.name = name
        self.policy: Policy = policy
        self.unit = unit
        self._capacity = 1 if policy == "latest" else capacity
        self._size = size or (lambda _item: 1)
        self._supersedes = supersedes
        self._droppable = droppable or (lambda _item: True)
        self._items: deque[T] = deque()
        self._condition = threading.Condition()
        self._worth_waking: Callable[[T], bool] | None = None
        self._closed = False
        self._offered = self._taken = self._dropped = self._superseded = self._high_water = 0

    def put(self, item: T) -> None:
        """Hand over an item; waits only under ``block`` or for an item that may not be dropped.

        Raises:
            MailboxClosed: the mailbox is closed, also while waiting for room; the item counts as
                dropped.
        """
        with self._condition:
            self._offered += self._size(item)
            if self._closed:
                self._dropped += self._size(item)
                raise MailboxClosed(self.name)
            if self._supersedes is not None:
                kept = [old for old in self._items if not self._supersedes(item, old)]
                self._superseded += sum(map(self._size, self._items)) - sum(map(self._size, kept))
                self._items = deque(kept)
            while len(self._items) >= self._capacity:
                if self.policy != "block" and self._drop_one():
                    continue
                self._condition.wait()
                if self._is_closed():
                    self._dropped += self._size(item)
                    raise MailboxClosed(self.name)
            self._items.append(item)
            n_waiting = len(self._items)
            self._high_water = max(self._high_water, n_waiting)
            awaited = self._worth_waking
            if awaited is None or 2 * n_waiting >= self._capacity or awaited(item):
                self._condition.notify_all()

    def _is_closed(self) -> bool:
        # A call, because another thread may close it during wait().
        return self._closed

    def _drop_one(self) -> bool:
        for position, old in enumerate(self._items):
            if self._droppable(old):
                self._dropped += self._size(old)
                del self._items[position]
                return True
        return False

    def get(
        self,
        timeout_s: float | None = None,
        worth_waking: Callable[[T], bool] | None = None,
    ) -> T | None:
        """Take the oldest item, waiting for one; None when ``timeout_s`` passes first.

        Args:
            timeout_s: None waits for good.
            worth_waking: Of an item that comes while this call waits: False lets it lie until
                one that is worth waking for has come, the mailbox is half full, or the time is up.
                Called on the producer's thread with the mailbox locked.

        Raises:
            MailboxClosed: the mailbox is closed and everything in it has been taken.
        """
        with self._condition:
            if not self._items and not self._closed:
                self._worth_waking = worth_waking
                self._condition.wait_for(lambda: self._items or self._closed, timeout_s)
                self._worth_waking = None
            if self._items:
                item = self._items.popleft()
                self._taken += self._size(item)
                self._condition.notify_all()
                return item
            if self._closed:
                raise MailboxClosed(self.name)
            return None

    @property
    def waiting(self) -> int:
        """What waits, in units. Any thread."""
        with self._condition:
            return sum(map(self._size, self._items))

    @property
    def empty(self) -> bool:
        """Whether nothing waits; may have changed when this returns. Any thread."""
        return not self._items

    def close(self) -> None:
        """Refuse new items; waiting ones can still be taken. Idempotent, any thread."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def discard(self) -> None:
        """Close and count everything that still waits as dropped (the consumer is gone)."""
        with self._condition:
            self._closed = True
            self._dropped += self.waiting
            self._items.clear()
            self._condition.notify_all()

    def counts(self) -> EdgeCounts:
        """A consistent reading of all counters. Any thread."""
        with self._condition:
            return EdgeCounts(
                self.name,
                self.unit,
                self.policy,
                self._offered,
                self._taken,
                self._dropped,
                self._superseded,
                self.waiting,
                self._high_water,
            )


class Worker:
    """A named thread that runs one function and keeps the exception that ended it.

    Args:
        name: Thread name; "rter:" is put before it.
        run: What to run. It ends when its mailbox closes or its stop event is set.
        on_end: Called in the thread after ``run`` with its exception or None; closes downstream.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self.name = name
        self.fault: BaseException | None = None  # written by the thread, read after it ended
        self._run = run
        self._on_end = on_end
        self._thread = threading.Thread(target=self._main, name=f"rter:{name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _main(self) -> None:
        try:
            self._run()
        except MailboxClosed:
            pass  # the normal end of a worker that reads a mailbox
        except BaseException as error:  # noqa: BLE001 - stored and raised by the owner
            self.fault = error
        self._on_end(self.fault)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when it is still running after ``timeout_s``."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()
