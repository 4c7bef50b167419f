"""How property tests run here: the same examples every time, few enough to be quick."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

_SLOW_MACHINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def bounded(examples: int) -> Callable[[Any], Any]:
    """At most so many examples, always the same ones, however long each takes."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=_SLOW_MACHINE,
    )


def cut(total: int, cuts: list[int]) -> list[tuple[int, int]]:
    """The spans that ``cuts`` (any numbers) make of ``total``."""
    at = sorted({0, total, *(c % (total + 1) for c in cuts)})
    return list(itertools.pairwise(at))
