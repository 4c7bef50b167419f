"""Plain output, one line at a time: a summary line a second, or every estimate as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TextIO

from realtime_er.messages import MODALITIES, Estimate, Health


def summary_line(estimate: Estimate, health: Health) -> str:
    """Time, label, confidence, state of each modality, age and drops in one line."""
    if estimate.label is not None:
        reads = f"{estimate.label} {100 * estimate.confidence:.0f} %"
    else:
        reads = "not sure" if estimate.confidence > 0 else "nothing to read"
    states = "  ".join(
        f"{modality}: {estimate.absent.get(modality, 'present')!s}" for modality in MODALITIES
    )
    age_s = estimate.timing.age_s
    age = "-" if age_s is None else f"{1000 * age_s:.0f} ms"
    drops = f"{health.dropped_frames} frames {health.dropped_samples} samples"
    return f"{estimate.time_s:8.1f} s  {reads:<15}  {states}  age {age}  dropped {drops}"


class SecondLines:
    """Writes ``summary_line`` for the first estimate of each second of stream time.

    Owned by the thread that iterates over the estimates.
    """

    def __init__(self, stream: TextIO, health: Callable[[], Health]) -> None:
        self._stream = stream
        self._health = health
        self._second = -1

    def show(self, estimate: Estimate) -> None:
        """Take an estimate; write when its second is new."""
        # Tick times are multiples of a float: 3 * 0.1 must still belong to what 0.3 belongs to.
        second = int(estimate.time_s + 1e-6)
        if second > self._second:
            self._second = second
            self._stream.write(summary_line(estimate, self._health()) + "\n")
            self._stream.flush()


def json_line(estimate: Estimate) -> str:
    """The canonical record and, under "timing", how old it is; valid JSON without NaN."""
    timing = estimate.timing
    record = estimate.to_record()
    record["timing"] = {
        "age_s": timing.age_s,
        "fuse_s": timing.fuse_s,
        "evidence_age_s": timing.evidence_age_s,
        "closed_by": timing.closed_by,
    }
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


class JsonLines:
    """Writes every estimate as one JSON line, flushed. Owned by one thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, estimate: Estimate) -> None:
        """Write one estimate."""
        self._stream.write(json_line(estimate) + "\n")
        self._stream.flush()
