"""Training material of the speech encoder: every clip in several disturbed versions, as band powers.

Disturbances that need the waveform (speed, noise, reverberation) are computed once and kept; those
that act on band powers or features (filters, masks, level, crops) are drawn anew in every batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import signal
from torch import Tensor

from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.speech.model import (
    BANDS,
    FRAMES_PER_STEP,
    POWER_FLOOR,
    clip_features,
    clip_power,
    level_of,
)

# Speed changes by resampling (up, down), so that pitch and formants move too: the cheapest way to
# meet more voices than the corpora have.
_SPEEDS = ((1, 1), (9, 10), (19, 20), (20, 19), (10, 9), (8, 9), (9, 8))
_SHORTEST_STEPS = 18


@dataclass(frozen=True)
class SpeechMaterial:
    """Versions of clips; version 0 is the recording as it is.

    Attributes:
        clips: the clips, N.
        log_power: float16 [versions, N, frames, 64], log10 of band powers plus the floor.
        frames: int64 [versions, N], frames that belong to the clip.
    """

    clips: list[SpeechClip]
    log_power: Tensor
    frames: Tensor

    def power(self, versions: Tensor, clips: Tensor) -> Tensor:
        """Band powers of chosen versions of chosen clips, float32 [B, frames, 64]."""
        chosen = self.log_power[versions, clips].float()
        return torch.relu(torch.pow(10.0, chosen) - POWER_FLOOR)


def disturb(samples: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """One random version of a clip: speed, gain, light reverberation, white or pink noise.

    Args:
        samples: float32 [S].
        rng: source of all randomness.

    Returns:
        float32 [about 0.88 S to 1.13 S].
    """
    up, down = _SPEEDS[rng.integers(len(_SPEEDS))]
    sound = signal.resample_poly(samples, up, down) if up != down else samples
    if rng.random() < 0.35:
        decay_samples = 16_000 * rng.uniform(0.02, 0.12)
        tail = np.arange(int(3 * decay_samples))
        room = rng.standard_normal(len(tail)) * np.exp(-tail / decay_samples)
        room *= rng.uniform(0.1, 0.6) / np.sqrt((room**2).sum())
        room[0] = 1.0
        sound = signal.fftconvolve(sound, room)[: len(sound)]
    if rng.random() < 0.6:
        noise = rng.standard_normal(len(sound))
        if rng.random() < 0.7:
            spectrum = np.fft.rfft(noise)
            slope = rng.uniform(0.3, 1.0)
            spectrum /= np.maximum(np.arange(len(spectrum)), 4) ** slope
            noise = np.fft.irfft(spectrum, len(sound))
        below_db = rng.uniform(5.0, 40.0)
        loudness = np.sqrt((sound**2).mean() / ((noise**2).mean() + 1e-12))
        sound = sound + noise * loudness * 10.0 ** (-below_db / 20.0)
    gain = 10.0 ** (rng.uniform(-12.0, 12.0) / 20.0)
    limited: npt.NDArray[np.float32] = np.clip(sound * gain, -1.0, 1.0).astype(np.float32)
    return limited


def prepare(clips: Sequence[SpeechClip], versions: int, seed: int) -> SpeechMaterial:
    """Reads all clips once and computes the band powers of ``versions`` versions of each.

    Raises:
        CorpusError: a file cannot be read.
    """
    rows: list[list[Tensor]] = [[] for _ in range(versions)]
    for number, clip in enumerate(clips):
        samples = clip.samples()
        rng = np.random.default_rng((seed, number))
        for version in range(versions):
            sound = disturb(samples, rng) if version else samples
            power = clip_power(torch.from_numpy(sound)[None])[0]
            rows[version].append(torch.log10(power + POWER_FLOOR).half())
    frames = torch.tensor([[len(row) for row in version] for version in rows])
    shape = (versions, len(clips), int(frames.max()), BANDS)
    log_power = torch.full(shape, math.log10(POWER_FLOOR), dtype=torch.float16)
    for version, of_clips in enumerate(rows):
        for number, row in enumerate(of_clips):
            log_power[version, number, : len(row)] = row
    return SpeechMaterial(list(clips), log_power, frames)


def _curves(rng: torch.Generator, rows: int, spread: float) -> Tensor:
    """Smooth random curves over the bands, float32 [rows, 1, 64], in log10 of power."""
    points = spread * torch.randn(rows, 1, 5, generator=rng)
    return torch.nn.functional.interpolate(points, size=BANDS, mode="linear", align_corners=True)


def _loudness(power: Tensor, frames: Tensor, start: Tensor, steps: int) -> Tensor:
    """Sum of levels above 25 dB below the peak within crops, float32 [B]."""
    level = level_of(power)
    above = torch.relu(level - level.amax(dim=1, keepdim=True) + 2.5)
    place = torch.arange(power.shape[1])
    end = torch.minimum(start + steps * FRAMES_PER_STEP, frames)
    return (above * ((place >= start[:, None]) & (place < end[:, None]))).sum(dim=1)


@dataclass(frozen=True)
class SpeechBatch:
    """Disturbed crops of B clips.

    Attributes:
        features: float32 [B, 8 S, 64].
        steps: int64 [B], how many of the S steps count.
        places: int64 [B, S], the step of the undisturbed clip that each step lies on; it may be
            beyond the clip's end.
    """

    features: Tensor
    steps: Tensor
    places: Tensor


def draw_batch(
    material: SpeechMaterial, chosen: Tensor, rng: torch.Generator, tries: int = 1
) -> SpeechBatch:
    """A disturbed batch: version, crop, filter, starting level, masks.

    Args:
        material: the clips' versions.
        chosen: int64 [B], clip numbers.
        rng: source of all randomness.
        tries: crops to draw for each clip, of which the one with most speech is taken.
    """
    rows = len(chosen)
    versions = torch.randint(material.log_power.shape[0], (rows,), generator=rng)
    power = material.power(versions, chosen)
    frames = material.frames[versions, chosen]
    longest = int(frames.max()) // FRAMES_PER_STEP
    steps = int(torch.randint(_SHORTEST_STEPS, longest + 1, (1,), generator=rng))
    slack = torch.relu(frames - steps * FRAMES_PER_STEP)
    start = (torch.rand(rows, generator=rng) * (slack + 1)).long()
    for _ in range(tries - 1):
        other = (torch.rand(rows, generator=rng) * (slack + 1)).long()
        fuller = _loudness(power, frames, other, steps) > _loudness(power, frames, start, steps)
        start = torch.where(fuller, other, start)
    place = start[:, None] + torch.arange(steps * FRAMES_PER_STEP)
    inside = place < frames[:, None]
    place = torch.minimum(place, frames[:, None] - 1)
    power = power[torch.arange(rows)[:, None], place] * inside.unsqueeze(-1)
    power = power * torch.pow(10.0, _curves(rng, rows, 0.2))

    # A live stream's level remembers what came before: start anywhere around the clip's own peak.
    peak = level_of(power).amax(dim=1)
    before = peak + torch.rand(rows, generator=rng) * 2.6 - 2.0
    known = torch.rand(rows, generator=rng) < 0.5
    features = clip_features(power, torch.where(known, before, 0.0))

    bands, times = torch.arange(BANDS), torch.arange(steps * FRAMES_PER_STEP)
    for axis, longest_mask in ((2, 10), (1, 20)):
        index = bands if axis == 2 else times
        width = (torch.rand(rows, generator=rng) * (longest_mask + 1)).long()
        first = (torch.rand(rows, generator=rng) * (len(index) - longest_mask)).long()
        hidden = (index >= first[:, None]) & (index < (first + width)[:, None])
        features = features.masked_fill(hidden[:, None] if axis == 2 else hidden[..., None], 0.0)
    count = torch.clamp(frames // FRAMES_PER_STEP, max=steps)
    stretch = material.frames[0, chosen] / frames
    firsts = start[:, None] + torch.arange(steps) * FRAMES_PER_STEP
    places = torch.round(firsts * stretch[:, None] / FRAMES_PER_STEP).long()
    return SpeechBatch(features, count, places)
