"""Rows of a session by time, without reading a whole table: replay opens at once, however long."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimeIndex:
    """Finds rows of a table by a column that grows with its integer key, by bisection.

    Args:
        connection: The session's database; its thread.
        table: Name of the table.
        key: Its integer primary key.
        time: The column that grows with it.
        where: Only rows for which this holds.
    """

    def __init__(
        self, connection: sqlite3.Connection, table: str, key: str, time: str, where: str = "1"
    ) -> None:
        self._connection = connection
        self._first, self._last = connection.execute(
            f"SELECT min({key}), max({key}) FROM {table} WHERE {where}"
        ).fetchone()
        self._at_or_after = (
            f"SELECT {key}, {time} FROM {table} WHERE {key} >= ? AND {where} ORDER BY {key} LIMIT 1"
        )
        self._before = (
            f"SELECT {key} FROM {table} WHERE {key} < ? AND {where} ORDER BY {key} DESC LIMIT 1"
        )

    def last(self, time: float) -> int | None:
        """Key of the last row whose time is at most ``time``; None before the first."""
        if self._first is None:
            return None
        low, high = self._first, self._last + 1  # the first row that is too late is in [low, high]
        while low < high:
            middle = (low + high) // 2
            row = self._connection.execute(self._at_or_after, (middle,)).fetchone()
            if row is None or row[1] > time:
                high = middle
            else:
                low = row[0] + 1
        found = self._connection.execute(self._before, (low,)).fetchone()
        return None if found is None else int(found[0])


class Trail(Generic[T]):
    """What happened in the last seconds before a time, read as the time goes on.

    Args:
        index: Finds the rows.
        horizon_s: How far it goes back.
        load: Reads the rows with keys in (after, until], in order, each with its key.
    """

    def __init__(
        self,
        index: TimeIndex,
        horizon_s: float,
        load: Callable[[int, int], Iterable[tuple[int, T]]],
    ) -> None:
        self._index = index
        self._horizon_s = horizon_s
        self._load = load
        self._items: deque[tuple[int, T]] = deque()
        self._span = (-1, -1)  # keys in (after, until] are in _items

    def upto(self, time_s: float) -> tuple[T, ...]:
        """Everything in ``[time_s - horizon_s, time_s]``, oldest first."""
        until = self._index.last(time_s)
        if until is None:
            return ()
        after = self._index.last(time_s - self._horizon_s - 1e-9)
        after = -1 if after is None else after
        known_after, known_until = self._span
        if not known_after <= after <= known_until <= until:
            self._items.clear()
            known_until = after
        self._items.extend(self._load(known_until, until))
        while self._items and self._items[0][0] <= after:
            self._items.popleft()
        self._span = (after, until)
        return tuple(item for _key, item in self._items)
