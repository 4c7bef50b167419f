"""From many embeddings to one vector: windows of 4 s every 2 s, their mean and their spread (MER).

Numpy only; pure functions, and one ring for live use with one owning thread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from realtime_er.fusion.head import statistics
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray

WINDOW_S = 4.0
HOP_S = 2.0
WINDOW_FACES = 20
HOP_FACES = 10
"""4 s and 2 s of faces at 5 Hz; the published code counts faces instead of time."""
_SAME_S = 1e-6


def window_bounds(length: int, window: int, hop: int) -> list[tuple[int, int]]:
    """Where the windows of a recording begin and end.

    They start every ``hop``; the first is always kept, a later one only when at least ``hop`` is
    left for it. At 4 s and 2 s: under 4 s one window, 4 to 5.99 s two, 6 to 7.99 s three, 8 s
    four (the last being 2 s).

    Args:
        length: of the recording, in samples or faces; may be 0.
        window: length of a window, in the same unit.
        hop: from one start to the next.

    Returns:
        Pairs of start and end (exclusive); one pair at least.

    Raises:
        ValueError: ``length`` is negative, or not 0 < hop <= window.
    """
    if length < 0 or not 0 < hop <= window:
        raise ValueError(f"need length >= 0 and 0 < hop <= window: {length}, {hop}, {window}")
    bounds = [(0, min(window, length))]
    start = hop
    while min(start + window, length) - start >= hop:
        bounds.append((start, min(start + window, length)))
        start += hop
    return bounds


def tile(samples: FloatArray, length: int) -> FloatArray:
    """Repeats a short recording until it fills a window; a longer one is cut.

    Args:
        samples: float32 [N], N >= 1.
        length: wanted length.

    Returns:
        float32 [length].

    Raises:
        ValueError: there is no sample. Absent sound has no window; mask the modality.
    """
    if samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"need samples [N] with N >= 1, got {list(samples.shape)}")
    return np.resize(samples, length).astype(np.float32, copy=False)


def audio_windows(
    samples: FloatArray,
    *,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
) -> FloatArray:
    """Cuts a recording into windows of equal length, short ones tiled.

    Args:
        samples: float32 [N], mono, N >= 1.
        sample_rate_hz: its rate.
        window_s: length of a window.
        hop_s: from one start to the next.

    Returns:
        float32 [windows, round(window_s * sample_rate_hz)].

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    if samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"need samples [N] with N >= 1, got {list(samples.shape)}")
    if not np.isfinite(samples).all():
        raise ValueError("samples hold values that are not finite")
    window, hop = round(window_s * sample_rate_hz), round(hop_s * sample_rate_hz)
    bounds = window_bounds(len(samples), window, hop)
    return np.stack([tile(samples[start:end], window) for start, end in bounds])


def face_windows_by_time(
    times_s: Sequence[float] | npt.NDArray[np.floating],
    features: FloatArray,
    duration_s: float,
    *,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
) -> FloatArray:
    """Mean feature of each window of *time*, aligned with the sound's windows.

    A window in which no face was seen has no mean and is left out.

    Args:
        times_s: [T], since the recording's start.
        features: float32 [T, D].
        duration_s: of the recording; its windows are those of its sound.
        window_s: length of a window.
        hop_s: from one start to the next.

    Returns:
        float32 [windows with a face, D]; [0, D] without any face.

    Raises:
        ValueError: lengths differ, or a value is not finite.
    """
    times = _checked_times(times_s, features)
    # Counted in microseconds, so that a bound is never a matter of rounding.
    unit = 1_000_000
    bounds = window_bounds(
        max(round(duration_s * unit), 0), round(window_s * unit), round(hop_s * unit)
    )
    places = np.round(times * unit).astype(np.int64)
    means = []
    for number, (start, end) in enumerate(bounds):
        # A face at the very end (a still picture, a rounded duration) is in the last window.
        last = number == len(bounds) - 1
        inside = (places >= start) & ((places < end) | (last & (places >= end)))
        if inside.any():
            means.append(_mean(features[inside]))
    return np.stack(means) if means else np.zeros((0, features.shape[1]), np.float32)


def face_windows_until(
    times_s: Sequence[float] | npt.NDArray[np.floating],
    features: FloatArray,
    now_s: float,
    *,
    keep: int = 1,
    window_s: float = WINDOW_S,
    hop_s: float = HOP_S,
) -> FloatArray:
    """Mean feature of the K most recent windows of time, the last one ending now; for live use.

    Args:
        times_s: [T], on the session clock.
        features: float32 [T, D].
        now_s: end of the newest window; later faces are not read.
        keep: K.
        window_s: length of a window; its start is outside it, its end inside.
        hop_s: from one end to the next.

    Returns:
        float32 [at most K, D], oldest first; windows without a face are left out.

    Raises:
        ValueError: lengths differ, a value is not finite, or ``keep`` is below 1.
    """
    times = _checked_times(times_s, features)
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    means = []
    for back in reversed(range(keep)):
        end_s = now_s - back * hop_s
        inside = (times > end_s - window_s + _SAME_S) & (times <= end_s + _SAME_S)
        if inside.any():
            means.append(_mean(features[inside]))
    return np.stack(means) if means else np.zeros((0, features.shape[1]), np.float32)


def face_windows_by_count(
    features: FloatArray, *, window: int = WINDOW_FACES, hop: int = HOP_FACES
) -> FloatArray:
    """Mean feature of each window of 20 *faces*, as published: gaps and odd rates move them.

    Args:
        features: float32 [T, D].
        window: faces in a window.
        hop: faces from one start to the next.

    Returns:
        float32 [windows, D]; [0, D] without any face.

    Raises:
        ValueError: not [T, D], or a value is not finite.
    """
    _checked_times(np.arange(len(features), dtype=np.float64), features)
    if len(features) == 0:
        return features.astype(np.float32)
    bounds = window_bounds(len(features), window, hop)
    return np.stack([_mean(features[start:end]) for start, end in bounds])


def _mean(features: FloatArray) -> FloatArray:
    mean: FloatArray = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _checked_times(
    times_s: Sequence[float] | npt.NDArray[np.floating], features: FloatArray
) -> npt.NDArray[np.float64]:
    times = np.asarray(times_s, np.float64)
    if features.ndim != 2 or times.shape != (len(features),):
        raise ValueError(f"need times [T] and features [T, D]: {times.shape}, {features.shape}")
    if not (np.isfinite(features).all() and np.isfinite(times).all()):
        raise ValueError("features or times hold values that are not finite")
    return times


def recording_vector(windows: FloatArray) -> FloatArray:
    """What the fusion reads of one modality: mean and population spread over its windows.

    Args:
        windows: float32 [W, D], W >= 1.

    Returns:
        float32 [2 D]; the second half is all zeros for one window, as for most short clips the
        published heads were trained on.

    Raises:
        ValueError: there is no window; the modality is absent.
    """
    return statistics(windows)
