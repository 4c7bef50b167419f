"""What a score's age is made of, tick by tick; the parts sum to it exactly.

A tick waits for its last track. Of that track, the first message that reached past the end of the
window tells where the time went:

    window end ─capture─> handed over ─queue─> taken by its stage ─encode─> done ─wait─> tick ─fuse─> out

"capture" contains the block or frame interval that had to be filled; "wait" is what is left until the
tick began: the inbox, the fusion thread's turn, or a deadline that passed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from realtime_er.bench.notes import Step
from realtime_er.messages import Estimate

PARTS = ("capture", "queue", "encode", "wait", "fuse")

_EPSILON_S = 2e-6


def parts_of(
    estimates: Iterable[Estimate], tracks: Mapping[str, Sequence[Step]]
) -> dict[str, list[float]]:
    """Seconds of each part, one value per estimate of a live session.

    Args:
        estimates: with ``timing.age_s``; others are left out.
        tracks: steps by track, in the order in which they were done.

    Returns:
        "age" and each of ``PARTS`` to equally many values; and "late", one zero or one each: a tick
        that a deadline closed before its track was there (all its delay counts as wait).
    """
    known = {name: [step.known_s for step in steps] for name, steps in tracks.items() if steps}
    found: dict[str, list[float]] = {name: [] for name in ("age", *PARTS, "late")}
    for estimate in estimates:
        age_s = estimate.timing.age_s
        if age_s is None:
            continue
        end_s, fuse_s = estimate.time_s, estimate.timing.fuse_s
        tick_s = age_s - fuse_s
        critical: Step | None = None
        for name, reached in known.items():
            at = bisect_left(reached, end_s - _EPSILON_S)
            if at == len(reached):
                continue
            step = tracks[name][at]
            if critical is None or step.done_s > critical.done_s:
                critical = step
        late = critical is None or critical.done_s - end_s > tick_s + 1e-3
        if critical is None or late:
            capture = queue = encode = 0.0
        else:
            # What was handed over before the window ended had not to be waited for.
            marks = [max(0.0, time_s - end_s) for time_s in _times(critical)]
            marks = [min(mark, tick_s) for mark in marks]
            capture, queue, encode = marks[0], marks[1] - marks[0], marks[2] - marks[1]
        found["age"].append(age_s)
        found["capture"].append(capture)
        found["queue"].append(queue)
        found["encode"].append(encode)
        found["wait"].append(tick_s - capture - queue - encode)
        found["fuse"].append(fuse_s)
        found["late"].append(float(late))
    return found


def _times(step: Step) -> tuple[float, float, float]:
    return step.captured_s, step.taken_s, step.done_s
