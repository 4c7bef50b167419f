"""Made-up estimates and words that look like a session's, for displays, tables and pictures."""

import numpy as np

from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    Estimate,
    Health,
    Hypothesis,
    Snapshot,
    Timing,
    Word,
)

HOP_S = 0.1
TIMING = Timing(0.04, 0.001, {"face": 0.1, "audio": None, "text": None}, "watermark")


def make_estimate(index, *, lead="Happy", score=0.7, absent=None, label=None, missing=(), text=""):
    """``lead`` gets ``score``; ``missing`` labels are NaN; all modalities absent: nothing to read."""
    absent = absent or {}
    nothing = set(absent) == set(MODALITIES)
    probabilities = np.full(7, (1 - score) / (6 - len(missing)), np.float32)
    probabilities[LABELS.index(lead)] = score
    for name in missing:
        probabilities[LABELS.index(name)] = np.nan
    if nothing:
        probabilities[:] = np.nan
    present = [m for m in MODALITIES if m not in absent]
    share = (probabilities - np.float32(1 / 7)) / np.float32(max(1, len(present)))
    return Estimate(
        index=index,
        time_s=index * HOP_S,
        label=None if nothing else (label if label is not None else lead) or None,
        confidence=0.0 if nothing else score,
        probabilities=probabilities,
        contributions={m: share.astype(np.float32) for m in present},
        absent=absent,
        transcript=text,
        partial="",
        timing=TIMING,
    )


def make_final(segment_id, text, start_s, end_s, *, is_final=True, committed=None):
    words = text.split()
    step_s = (end_s - start_s) / max(1, len(words))
    return Hypothesis(
        segment_id=segment_id,
        revision=3,
        text=text,
        committed=text if committed is None else committed,
        is_final=is_final,
        start_s=start_s,
        end_s=end_s,
        trigger_s=end_s + 0.6,
        available_s=end_s + 1.0,
        words=tuple(
            Word(word, start_s + place * step_s, start_s + (place + 1) * step_s, 0.9)
            for place, word in enumerate(words)
        ),
    )


def make_recording(n=60):
    """Happy, then nobody in the picture, then sad."""
    estimates = []
    for index in range(1, n + 1):
        away = {"face": Absence.NO_FACE} if n // 3 < index <= 2 * n // 3 else {}
        lead = "Happy" if index <= n // 2 else "Sad"
        estimates.append(make_estimate(index, lead=lead, absent=away))
    return estimates


def make_snapshot(estimate, *, states=None, finals=(), current=None, health=None, notices=()):
    newest_s = estimate.time_s if estimate else 0.0
    return Snapshot(
        now_s=newest_s,
        estimate=estimate,
        history=(estimate,) if estimate else (),
        states=states if states is not None else dict.fromkeys(MODALITIES),
        finals=tuple(finals),
        current=current,
        faces=None,
        frame=None,
        health=health or Health(),
        notices=tuple(notices),
    )
