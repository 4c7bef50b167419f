"""Fakes at the device and model boundary only; their data say what they are."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from realtime_er.messages import (
    MODALITIES,
    SAMPLE_RATE_HZ,
    AudioBlock,
    VideoFrame,
)


def ramp(first: int, n: int) -> np.ndarray:
    """Samples that carry their own index: value = index / 2**23, exact in float32."""
    return (np.arange(first, first + n) / 2**23).astype(np.float32)


class RampMicrophone:
    """A stream whose samples identify themselves; ``lose`` drops a span before it is captured."""

    kind = "audio"
    name = "microphone"

    def __init__(self, duration_s: float, block: int = 480, lose: range = range(0)) -> None:
        self.n = round(duration_s * SAMPLE_RATE_HZ)
        self.block = block
        self.lose = lose
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1

    def run(self, emit, pacer, stop):
        for first in range(0, self.n, self.block):
            if first in self.lose:
                continue
            samples = ramp(first, min(self.block, self.n - first))
            samples.setflags(write=False)
            end_s = (first + len(samples)) / SAMPLE_RATE_HZ
            if not pacer.wait(end_s, stop):
                return
            emit(AudioBlock(first, first / SAMPLE_RATE_HZ, samples))

    def close(self):
        self.closed += 1

    def info(self):
        return {"device": "ramp"}


class CountingCamera:
    """A stream whose frames carry their index in their first pixel."""

    kind = "video"
    name = "camera"

    def __init__(self, duration_s: float, fps: float = 30.0, image=None, fail_at=None) -> None:
        self.n = round(duration_s * fps)
        self.fps = fps
        self.image = np.zeros((120, 160, 3), np.uint8) if image is None else image
        self.fail_at = fail_at
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1

    def run(self, emit, pacer, stop):
        for index in range(self.n):
            if index == self.fail_at:
                raise RuntimeError("the camera caught fire")
            image = self.image.copy()
            image[0, 0] = (index % 256, index // 256 % 256, 0)
            image.setflags(write=False)
            if not pacer.wait(index / self.fps, stop):
                return
            emit(VideoFrame(index, index / self.fps, image))

    def close(self):
        self.closed += 1

    def info(self):
        return {"device": "counting"}


class FakeSource:
    """Streams made by the test."""

    def __init__(self, *streams, realtime: bool = False) -> None:
        self._streams = streams
        self.realtime = realtime

    def streams(self, config, clock):
        enabled = {"video": config.camera.enabled, "audio": config.microphone.enabled}
        return [stream for stream in self._streams if enabled[stream.kind]]


class TableHead:
    """A fusion head that is a table: probabilities depend only on which modalities are there."""

    head_id = "table"

    def __init__(self, table=None, prior=None) -> None:
        self.prior = np.full(7, 1 / 7, np.float32) if prior is None else prior
        rng = np.random.default_rng(7)
        self.table = table or {
            frozenset(subset): rng.dirichlet(np.ones(7)).astype(np.float32)
            for size in (1, 2, 3)
            for subset in combinations(MODALITIES, size)
        }

    def probabilities(self, fusion_input):
        present = {m for m in MODALITIES if getattr(fusion_input, m) is not None}
        return {s: p for s, p in self.table.items() if s <= present}
