"""Flash and beep, two hours, a sound card that runs away: what is read back stays together."""

from __future__ import annotations

import av
import numpy as np
import pytest

from realtime_er.clock import SampleClock
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock
from realtime_er.recording.media_writer import MediaWriter, create_media_file

BLOCK = 1600
EVERY_S = 60.0
BEEP = 800


def write_session(path, duration_s: float, drift_ppm: float) -> list[float]:
    """A world with a flash and a beep at once every minute; returns when.

    The card's clock is off by ``drift_ppm``; its blocks arrive up to 40 ms late, pictures are stamped
    up to 3 ms late, and a third of them never come.
    """
    rng = np.random.default_rng(1)
    rate = SAMPLE_RATE_HZ * (1 + drift_ppm * 1e-6)
    flashes = [30.0 + EVERY_S * number for number in range(int((duration_s - 30) / EVERY_S))]
    onsets = [round(time_s * rate) for time_s in flashes]
    dark, light = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    moments = {time_s + offset: light for time_s in flashes for offset in (0.0, 0.033)}
    moments |= {5.0 * n + 0.21: dark for n in range(int(duration_s / 5)) if rng.random() > 1 / 3}
    pictures = sorted(moments.items())
    clock = SampleClock(SAMPLE_RATE_HZ)
    writer = MediaWriter(create_media_file(path), start_s=0.0, video=True, sound=True)
    tone = (np.rint(20000 * np.sin(np.arange(BEEP) * 0.4 + 0.4)) / 32768).astype(np.float32)
    upcoming = list(onsets)
    for first in range(0, int(duration_s * rate) // BLOCK * BLOCK, BLOCK):
        clock.observe(first + BLOCK, (first + BLOCK) / rate + 0.005 + 0.04 * rng.random() ** 2)
        samples = np.zeros(BLOCK, np.float32)
        if upcoming and upcoming[0] < first + BLOCK:
            start = upcoming[0] - first
            samples[max(0, start) :] = 0.0
            count = min(BEEP, BLOCK - start)
            samples[start : start + count] = tone[:count]
            upcoming.pop(0)
        block = AudioBlock(first, clock.time_s(first), samples)
        while pictures and pictures[0][0] < block.start_s:
            time_s, image = pictures.pop(0)
            writer.write_frame(image, time_s + 0.003 * rng.random())
        writer.write_sound(block)
    writer.close()
    return flashes


def read_back(path) -> tuple[list[float], list[float]]:
    """When the pictures turn light and when the sound sets in, by the file's own time stamps."""
    with av.open(str(path)) as container:
        lights = []
        was_light = False
        for frame in container.decode(video=0):
            is_light = int(frame.to_ndarray(format="gray").mean()) > 128
            if is_light and not was_light:
                lights.append(float(frame.pts * frame.time_base))
            was_light = is_light
    beeps: list[float] = []
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            samples = np.frombuffer(bytes(packet), "<i2")
            loud = np.flatnonzero(np.abs(samples) > 3000)
            if len(loud):
                time_s = float(packet.pts * packet.time_base) + loud[0] / SAMPLE_RATE_HZ
                if not beeps or time_s - beeps[-1] > 1.0:
                    beeps.append(time_s)
    return lights, beeps


@pytest.mark.slow
@pytest.mark.parametrize("drift_ppm", [200.0, -200.0])
def test_flash_and_beep_stay_together_for_two_hours(tmp_path, drift_ppm):
    path = tmp_path / "media.mkv"
    flashes = write_session(path, 7200.0, drift_ppm)
    lights, beeps = read_back(path)
    assert len(lights) == len(beeps) == len(flashes) == 119
    errors = np.abs(np.subtract(lights, beeps))
    assert errors.max() <= 0.020
    assert abs(lights[-1] - flashes[-1]) < 0.005


def test_flash_and_beep_stay_together_for_ten_minutes(tmp_path):
    path = tmp_path / "media.mkv"
    flashes = write_session(path, 600.0, 200.0)
    lights, beeps = read_back(path)
    assert len(lights) == len(beeps) == len(flashes)
    assert np.abs(np.subtract(lights, beeps)).max() <= 0.020
