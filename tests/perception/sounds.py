"""Synthetic sounds that are not speech, float32 mono at 16 kHz, reproducible."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
Sound = npt.NDArray[np.float32]


def silence(seconds: float) -> Sound:
    """Digital silence."""
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def white(seconds: float, rms: float = 0.03, seed: int = 1) -> Sound:
    """White noise."""
    noise = np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ))
    return (noise * rms).astype(np.float32)


def pink(seconds: float, rms: float = 0.03, seed: int = 2) -> Sound:
    """Noise whose power falls with 1 / frequency."""
    count = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    noise = np.fft.irfft(spectrum, count)
    return (noise * rms / np.sqrt(np.mean(noise**2))).astype(np.float32)


def music(seconds: float, rms: float = 0.06, seed: int = 3) -> Sound:
    """Plucked chords and arpeggios with six harmonics, 120 beats a minute."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE_HZ) + RATE_HZ)
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for beat in range(int(seconds * 4)):
        root = 57 + int(rng.choice([0, 5, 7, 9]))
        notes = [root, root + 4, root + 7] if beat % 4 == 0 else [root + int(rng.choice([0, 4, 7]))]
        for note in notes:
            base_hz = 440.0 * 2 ** ((note - 69) / 12)
            tone = sum(
                np.sin(2 * np.pi * base_hz * k * time_s) / k * np.exp(-time_s * (2 + k))
                for k in range(1, 7)
            )
            at = beat * RATE_HZ // 4
            out[at : at + RATE_HZ] += tone
    out = out[: int(seconds * RATE_HZ)]
    return (out * rms / np.sqrt(np.mean(out**2))).astype(np.float32)


def clicks(seconds: float, seed: int = 4) -> Sound:
    """Keyboard: 5 ms bursts with a decaying ring, some six a second, over a faint hiss."""
    rng = np.random.default_rng(seed)
    out = white(seconds, 0.001, seed).astype(np.float64)
    shape = np.exp(-np.arange(320) / 60)
    for at in np.cumsum(rng.uniform(0.08, 0.3, int(seconds * 12))):
        start = int(at * RATE_HZ)
        if start + 320 < len(out):
            out[start : start + 320] += 0.3 * rng.uniform(0.3, 1) * shape * rng.standard_normal(320)
    return np.clip(out, -1, 1).astype(np.float32)


NOT_SPEECH = {
    "silence": silence,
    "white noise": white,
    "pink noise": pink,
    "music": music,
    "keyboard": clicks,
}
