"""Ticks are the same in whatever order the tracks hand over what happened.

Each track is in order of time, as its thread makes it; how they are interleaved is anybody's guess. A
tick is closed as soon as the watermarks allow it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime_er.config import load_config
from realtime_er.messages import Absence, Embedding, FaceReport, Hypothesis, SpeechActivity
from realtime_er.windows import Announced, Transcribed, Watermark, Window, WindowBuilder
from tests.properties.bounded import bounded

_DURATION_S = 4.0
_CONFIG = load_config("analyze")
_ENDED = float("inf")


def _vector(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def _faces(seen: list[bool]) -> list[Any]:
    out: list[Any] = []
    for k in range(round(_DURATION_S * 10)):
        time_s = k / 10 + 0.013
        there = seen[k % len(seen)]
        vector = Embedding("face", time_s, time_s, _vector(k, 4), "f", 1) if there else None
        absence = None if there else Absence.NO_FACE
        out += [FaceReport(k, time_s, (), 1 if there else None, absence, vector)]
        out += [Watermark("face", time_s)]
    return [*out, Watermark("face", _ENDED)]


def _voice() -> list[Any]:
    out: list[Any] = []
    for k in range(round(_DURATION_S / 0.08)):
        end_s = (k + 1) * 0.08
        out += [Embedding("audio", end_s - 0.08, end_s, _vector(1000 + k, 4), "a")]
        out += [Watermark("audio", end_s)]
    return [*out, Watermark("audio", _ENDED)]


def _speech(speaking: list[bool]) -> list[Any]:
    out: list[Any] = []
    for k in range(round(_DURATION_S / 0.05)):
        voiced = speaking[k % len(speaking)]
        out += [SpeechActivity(k * 0.05, (k + 1) * 0.05, voiced, float(voiced), -20.0)]
        if k % 16 == 15:
            out += [Announced(1, k // 16, (k + 1) * 0.05)]
        out += [Watermark("speech", (k + 1) * 0.05)]
    return [*out, Watermark("speech", _ENDED)]


def _texts(announced: list[Announced]) -> list[Transcribed]:
    out = []
    for item in announced:
        text = " ".join(["word"] * (item.revision + 1))
        end_s, known_s = item.trigger_s, item.trigger_s + _CONFIG.asr.delay_s
        made = Hypothesis(1, item.revision, text, text, False, 0.0, end_s, end_s, known_s)
        vector = Embedding("text", 0.0, end_s, _vector(2000 + item.revision, 4), "t", 1)
        out.append(Transcribed(made, vector))
    return out


def _hand_over(builder: WindowBuilder, message: Any) -> None:
    match message:
        case FaceReport():
            builder.add_face(message)
        case Embedding():
            builder.add_voice(message)
        case SpeechActivity():
            builder.add_speech(message)
        case Announced():
            builder.announce(message)
        case Transcribed():
            builder.add_text(message)
        case Watermark():
            builder.advance(message)


def _windows(tracks: list[list[Any]], order: list[int]) -> list[Window]:
    """Close every tick up to the end; ``order`` says which track goes on, over and over."""
    builder = WindowBuilder(_CONFIG, frozenset({"face", "audio", "text"}), {}, live=False)
    waiting = [deque(track) for track in tracks]
    texts = deque(_texts([item for item in tracks[2] if isinstance(item, Announced)]))
    announced, step, made = 0, 0, []
    while any(waiting) or texts:
        chosen = order[step % len(order)] % 4
        step += 1
        if chosen == 3 and announced > 0 and texts:
            announced -= 1
            _hand_over(builder, texts.popleft())
        else:
            # Where the chosen track has ended, the next that has not goes on.
            ready = [track for track in (*waiting[chosen % 3 :], *waiting) if track]
            if not ready:
                announced = len(texts)
                order = [3]
                continue
            message = ready[0].popleft()
            announced += isinstance(message, Announced)
            _hand_over(builder, message)
        while builder.next_time_s <= _DURATION_S and builder.ready():
            made.append(builder.build())
    return made


def _plain(window: Window) -> tuple[Any, ...]:
    vectors = [window.fusion_input.of(name) for name in ("face", "audio", "text")]
    spoken = [step.end_s for step in window.newly_spoken]
    return (
        window.index,
        window.end_s,
        [None if vector is None else vector.tobytes() for vector in vectors],
        window.absent,
        window.text_weight,
        window.evidence_age_s,
        window.transcript,
        window.partial,
        spoken,
    )


@bounded(30)
@given(
    order=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    seen=st.lists(st.booleans(), min_size=1, max_size=12),
    speaking=st.lists(st.booleans(), min_size=1, max_size=12),
)
def test_any_order_of_arrival_gives_the_same_windows(
    order: list[int], seen: list[bool], speaking: list[bool]
) -> None:
    tracks = [_faces(seen), _voice(), _speech(speaking)]
    expected = _windows(tracks, [0, 1, 2, 3])
    assert len(expected) == round(_DURATION_S / _CONFIG.tick.hop_s)
    assert any(window.fusion_input.text is not None for window in expected)
    again = _windows(tracks, order)
    assert list(map(_plain, again)) == list(map(_plain, expected))
