"""Embeddings of one modality, kept as long as some window may still want them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from realtime_er.messages import Embedding

EPSILON_S = 5e-7
"""Half a microsecond: ticks and samples are compared in seconds, which carry rounding."""


class FeatureCache:
    """Embeddings of one modality in the order of their time; older than the horizon are dropped."""

    def __init__(self, horizon_s: float) -> None:
        self._horizon_s = horizon_s
        self._items: deque[Embedding] = deque()

    def add(self, embedding: Embedding) -> None:
        """Add the newest embedding; one that is not newer than the last is refused.

        Raises:
            ValueError: its time does not increase.
        """
        if self._items and embedding.end_s <= self._items[-1].end_s:
            raise ValueError(
                f"{embedding.modality}: embedding at {embedding.end_s:.6f} s after "
                f"{self._items[-1].end_s:.6f} s"
            )
        self._items.append(embedding)

    def within(self, end_s: float) -> list[Embedding]:
        """Those in ``(end_s - horizon_s, end_s]`` that were available by ``end_s``."""
        start_s = end_s - self._horizon_s + EPSILON_S
        limit_s = end_s + EPSILON_S
        return [
            item
            for item in self._items
            if start_s < item.end_s <= limit_s and item.available_s <= limit_s
        ]

    def forget_before(self, end_s: float) -> None:
        """Drop what no tick from ``end_s`` on can use."""
        while self._items and self._items[0].end_s <= end_s - self._horizon_s:
            self._items.popleft()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Embedding]:
        return iter(self._items)
