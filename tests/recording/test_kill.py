"""``kill -9`` at any moment: what is older than two seconds is readable as it is."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from realtime_er.messages import SAMPLE_RATE_HZ
from tests.conftest import ROOT
from tests.recording.synthetic import estimate

LOSS_S = 2.0


def record_and_kill(folder: Path, after_s: float) -> tuple[float, float, float]:
    """Session times of the newest picture, sound and estimate when the process was killed."""
    command = [sys.executable, "-m", "tests.recording.synthetic", str(folder), "60"]
    newest = (0.0, 0.0, 0.0)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            times = tuple(float(part) for part in line.split())
            if len(times) == 3:
                newest = times
            if newest[0] >= after_s:
                process.kill()
                break
        for line in process.stdout:  # what it had said before it died
            times = tuple(float(part) for part in line.split()) if line.endswith("\n") else ()
            if len(times) == 3:
                newest = times
    return newest


def packets(media: Path) -> dict[str, list[float]]:
    """Packet times per stream, by ffprobe."""
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        pytest.skip("needs ffprobe")
    entries = ["-show_entries", "packet=codec_type,pts_time", "-of", "csv=p=0"]
    done = subprocess.run(
        [ffprobe, "-v", "error", *entries, str(media)], capture_output=True, text=True, check=True
    )
    found: dict[str, list[float]] = {"video": [], "audio": []}
    for line in done.stdout.splitlines():
        kind, time_s = line.split(",")[:2]
        found[kind].append(float(time_s))
    return found


def check_killed(folder: Path, after_s: float) -> tuple[float, float, float]:
    """Everything but the end is there; returns how much of each was lost, in seconds."""
    frame_s, sound_s, estimate_s = record_and_kill(folder, after_s)
    assert frame_s >= after_s
    found = packets(folder / "media.mkv")
    video, audio = found["video"], found["audio"]
    assert video == sorted(set(video))
    assert audio == sorted(set(audio))
    # Nothing is missing before the end either.
    assert len(video) == round(video[-1] * 30) + 1
    assert len(audio) == round(audio[-1] * SAMPLE_RATE_HZ / 320) + 1
    connection = sqlite3.connect(folder / "session.sqlite")
    ticks = [tick for (tick,) in connection.execute("SELECT tick FROM estimates ORDER BY seq")]
    assert ticks == list(range(len(ticks)))
    text, confidence = connection.execute(
        "SELECT transcript, confidence FROM estimates WHERE tick = 1"
    ).fetchone()
    assert (text, confidence) == (estimate(1).transcript, estimate(1).confidence)
    connection.close()
    lost = frame_s - video[-1], sound_s - audio[-1], estimate_s - ticks[-1] * 0.1
    assert max(lost) <= LOSS_S
    return lost


@pytest.mark.slow
def test_killed_once(tmp_path):
    check_killed(tmp_path / "session", 3.6)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(20))
def test_killed_at_random_moments(tmp_path, number):
    after_s = random.Random(number).uniform(2.1, 6.0)
    check_killed(tmp_path / "session", after_s)
