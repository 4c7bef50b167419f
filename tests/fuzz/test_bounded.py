"""The short form of ``python -m tests.fuzz``: the same few damaged inputs of every kind, every time."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

EXAMPLES = {
    "media": 60,
    "session": 5,
    "cells": 6,
    "replay": 20,
    "config": 200,
    "manifest": 300,
    "eaf": 60,
    "model": 30,
    "weights": 100,
    "camera": 60,
    "rtsp": 12,
}
_SLOW = {"session", "cells", "replay", "model", "weights"}  # not for their number: they load much


def test_every_kind_is_tried() -> None:
    assert EXAMPLES.keys() == TARGETS.keys()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that no session has
@pytest.mark.filterwarnings("ignore:Basic Auth Realm was unquoted:UserWarning")
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] if kind in _SLOW else []) for kind in EXAMPLES],
)
def test_damaged_input_is_refused_in_our_own_words(kind: str) -> None:
    if kind == "weights":
        pytest.importorskip("torch")
    target = TARGETS[kind]
    good = target.seeds()
    for data in good:
        target.run(data)
    rng = random.Random(kind)
    for _ in range(EXAMPLES[kind]):
        target.run(mutated(good, rng))
