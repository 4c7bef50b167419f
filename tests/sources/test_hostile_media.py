"""Media files whose numbers cannot be: times that would never end, pictures that fill the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.errors import MediaError
from realtime_er.messages import AudioBlock, Gap
from realtime_er.sources import media_file
from realtime_er.sources.media_decode import MOST_HOLE_S, BlockCutter, FrameTimes
from realtime_er.sources.media_file import MediaFile
from tests.sources.media import collect, write_video


@pytest.mark.parametrize("jump_s", [MOST_HOLE_S + 1, 1e9, 1e18])
def test_a_picture_days_ahead_follows_on(jump_s: float) -> None:
    times = FrameTimes(0.04)
    made = [times.next_s(t) for t in (0.0, 0.04, 0.08 + jump_s, 0.12 + jump_s)]
    assert np.diff(made) == pytest.approx(0.04, abs=200.0 * np.finfo(float).eps * jump_s + 1e-9)
    assert times.repaired >= 1


def test_a_pause_of_hours_is_kept() -> None:
    times = FrameTimes(0.04)
    assert [times.next_s(t) for t in (0.0, MOST_HOLE_S - 1)] == [0.0, MOST_HOLE_S - 1]
    assert times.repaired == 0


def test_a_first_time_days_ahead_is_the_beginning() -> None:
    assert FrameTimes(0.04).next_s(1e12) == 0.0


def test_sound_days_ahead_follows_on() -> None:
    cutter = BlockCutter("microphone")
    sound = np.zeros((640, 1), np.int16)
    made = list(cutter.push(sound, 16_000, 0.0)) + list(cutter.push(sound, 16_000, 1e9))
    made += list(cutter.push(sound, 16_000, 1e9 + 0.04))
    assert not any(isinstance(item, Gap) for item in made)
    assert [b.first_sample for b in made if isinstance(b, AudioBlock)] == [0, 640, 1280]
    assert cutter.repaired == 1


def test_giant_pictures_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "clip.mkv", range(0, 400, 40), codec="libx264")
    monkeypatch.setattr(media_file, "MAX_PIXELS", 128 * 64 - 1)
    with pytest.raises(MediaError, match="cannot be decoded"):
        MediaFile(path).streams(load_config("analyze"), VirtualClock())
    monkeypatch.setattr(media_file, "MAX_PIXELS", 128 * 128)
    (stream,) = MediaFile(path).streams(load_config("analyze"), VirtualClock())
    assert len(collect(stream).frames) == 10
