"""Cepstra of a RAVDESS clip as its published networks read them: librosa's, by numpy and scipy.

44.1 kHz mono, 2.45 s from 0.5 s on, windows of 2048 samples every 512, 128 mel bands on Slaney's
scale (area-normalised), decibels no lower than 80 below the loudest, orthonormal DCT, the first 13
rows: float32 [13, 212].
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.fft import dct

from realtime_er.messages import FloatArray

RATE_HZ = 44_100
OFFSET_S = 0.5
DURATION_S = 2.45
N_MFCC = 13
N_STEPS = 212
_WINDOW = 2048
_HOP = 512
_N_MELS = 128
_FLOOR = 1e-10
_RANGE_DB = 80.0
_LINEAR_HZ = 200.0 / 3.0
_KNEE_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0

F64 = npt.NDArray[np.float64]


def clip_cepstra(sound: FloatArray) -> FloatArray:
    """The cepstra of a whole clip.

    Args:
        sound: float32 [samples], mono at 44.1 kHz, in [-1, 1], from the clip's beginning. What is
            too short is filled up with silence at its end.

    Returns:
        float32 [13, 212].

    Raises:
        ValueError: ``sound`` is not one-dimensional.
    """
    if sound.ndim != 1:
        raise ValueError(f"sound must be [samples], got {sound.shape}")
    first, length = round(OFFSET_S * RATE_HZ), round(DURATION_S * RATE_HZ)
    part = sound[first : first + length].astype(np.float64)
    return cepstra(np.pad(part, (0, length - len(part))))


def cepstra(sound: F64) -> FloatArray:
    """Mel cepstra of sound at 44.1 kHz.

    Args:
        sound: float64 [samples], at least 1025, so that it can be mirrored at its ends.

    Returns:
        float32 [13, 1 + samples // 512].
    """
    # Mirrored at both ends, as librosa was when the networks were published (0.10 pads zeros).
    mirrored = np.pad(sound, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_WINDOW) / _WINDOW)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    decibels = 10.0 * np.log10(np.maximum(_FLOOR, power @ mel_filters().T))
    decibels = np.maximum(decibels, decibels.max() - _RANGE_DB)
    rows: FloatArray = dct(decibels, type=2, axis=1, norm="ortho")[:, :N_MFCC].T.astype(np.float32)
    return np.ascontiguousarray(rows)


@cache
def mel_filters() -> F64:
    """Triangles on Slaney's mel scale from 0 Hz to 22,050 Hz, each of area 1, float64 [128, 1025]."""
    edges_mel = np.linspace(0.0, float(_to_mel(np.array(RATE_HZ / 2.0))), _N_MELS + 2)
    edges = _to_hz(edges_mel)
    bins = np.fft.rfftfreq(_WINDOW, 1.0 / RATE_HZ)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rise, fall))
    found: F64 = triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]
    found.setflags(write=False)
    return found


def _to_mel(hz: F64) -> F64:
    above = _KNEE_HZ / _LINEAR_HZ + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ, above)


def _to_hz(mel: F64) -> F64:
    knee = _KNEE_HZ / _LINEAR_HZ
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, knee) - knee))
    return np.where(mel < knee, mel * _LINEAR_HZ, above)
