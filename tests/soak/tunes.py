"""Music from arithmetic: chords, bass, drums and a melody with vibrato that changes its instrument."""

from __future__ import annotations

import numpy as np

from tests.perception.sounds import RATE_HZ, Sound

_BEAT_S = 0.46
_CHORDS = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))


def _tone(midi: float, seconds: float, harmonics: int, decay: float, vibrato: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * t + vibrato * np.sin(2 * np.pi * 5.5 * t)
    wave = sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))
    fade = np.minimum(1.0, np.minimum(t / 0.01, (seconds - t) / 0.04))
    return np.asarray(wave * np.exp(-decay * t) * fade)


def song(seconds: float, rms: float = 0.08, seed: int = 6) -> Sound:
    """Four chords again and again, another melody each time, float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    out = np.zeros(int(seconds * RATE_HZ) + 4 * RATE_HZ)

    def add(at_s: float, sound: np.ndarray, gain: float) -> None:
        first = int(at_s * RATE_HZ)
        part = out[first : first + len(sound)]
        part += gain * sound[: len(part)]

    kick_t = np.arange(int(0.18 * RATE_HZ)) / RATE_HZ
    kick = np.sin(2 * np.pi * (50 * kick_t + 6 * (1 - np.exp(-30 * kick_t)))) * np.exp(-18 * kick_t)
    for beat in range(int(seconds / _BEAT_S)):
        at_s, bar = beat * _BEAT_S, beat // 4
        chord = _CHORDS[bar % 4]
        verse = bar // 8 % 3  # plucked, sustained, a voice-like line
        if beat % 4 == 0:
            for note in chord:
                add(at_s, _tone(note, 4 * _BEAT_S, 6, 0.8, 0.0), 0.25)
        add(at_s, _tone(chord[0] - 24, _BEAT_S, 3, 3.0, 0.0), 0.5)
        if beat % 2 == 0:
            add(at_s, kick, 0.9)
        else:
            snare = rng.standard_normal(int(0.12 * RATE_HZ))
            add(at_s, snare * np.exp(-np.arange(len(snare)) / 500), 0.25)
        hat = rng.standard_normal(400) * np.exp(-np.arange(400) / 80)
        add(at_s + _BEAT_S / 2, np.diff(hat, prepend=0.0), 0.12)
        for half in range(2):
            if rng.random() < 0.7:
                note = int(rng.choice(chord)) + 12 + int(rng.choice([0, 0, 2]))
                decay, vibrato = ((4.0, 0.0), (0.5, 0.2), (0.3, 0.9))[verse]
                length_s = _BEAT_S * (0.5 if verse == 0 else 0.95)
                add(at_s + half * _BEAT_S / 2, _tone(note, length_s, 9, decay, vibrato), 0.4)
    out = out[: int(seconds * RATE_HZ)]
    return np.clip(out * rms / np.sqrt(np.mean(out**2)), -0.99, 0.99).astype(np.float32)
