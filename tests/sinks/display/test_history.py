from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from realtime_er.messages import LABELS
from realtime_er.sinks.display.history import MEMORY_S, History, Ring, thinned
from tests.sinks.display import samples


def fed(*times_s, state="happy"):
    history = History()
    for now_s in times_s:
        history.feed(samples.SAMPLES[state](now_s))
    return history


def test_a_ring_keeps_the_newest_rows_in_one_piece():
    ring = Ring(4, 1)
    for value in range(11):
        ring.append(np.array([[float(value)]]))
        assert ring.rows[:, 0].tolist() == [float(v) for v in range(max(0, value - 3), value + 1)]
    assert len(ring) == 4
    ring.append(np.arange(100.0)[:, None])
    assert ring.rows[:, 0].tolist() == [96.0, 97.0, 98.0, 99.0]
    ring.clear()
    assert len(ring) == 0


def test_every_estimate_is_remembered_once():
    history = fed(40.0, 40.05, 40.1, 41.3, 55.0)
    found = history.scores(0.0, 60.0)
    assert np.allclose(np.diff(found.times_s), samples.HOP_S)
    assert found.times_s[0] == pytest.approx(10.1)
    assert found.times_s[-1] == pytest.approx(55.0)
    newest = samples.happy(55.0).estimate
    assert np.allclose(found.scores[-1], newest.probabilities)
    assert np.allclose(found.contributions[-1, 1], newest.contributions["audio"])


def test_ten_minutes_are_remembered_and_no_more():
    history = fed(*np.arange(20.0, 700.0, 20.0))
    assert history.newest_s - history.oldest_s == pytest.approx(MEMORY_S, abs=1.0)


def test_a_pause_of_the_window_is_a_gap_and_not_a_line():
    history = fed(40.0, 90.0)  # the snapshot of 90 s begins at 60.1 s
    found = history.scores(30.0, 70.0)
    gap = np.isnan(found.scores).all(axis=1)
    assert gap.sum() == 1
    assert 40.0 < found.times_s[gap][0] < 60.1


@pytest.mark.parametrize("hop_s", [0.1, 0.25, 1.0])
def test_thinned_lines_keep_their_points_at_any_tick_rate(hop_s):
    slow = tuple(
        replace(samples.make_estimate(k), index=k, time_s=k * hop_s)
        for k in range(round(30 / hop_s))
    )
    snapshot = replace(samples.happy(30.0), history=slow, estimate=slow[-1])
    history = History()
    history.feed(snapshot)
    assert history.period_s == pytest.approx(hop_s)
    seen = [set(history.scores(start_s, 29.0, 4).times_s[1:-1]) for start_s in (8.0, 8.5, 9.25)]
    assert seen[2] <= seen[1] <= seen[0]


def test_time_that_goes_back_starts_anew():
    history = fed(80.0)
    assert history.feed(samples.happy(50.0))
    assert history.newest_s == pytest.approx(50.0)
    assert history.oldest_s == pytest.approx(20.1)
    assert not history.feed(samples.happy(50.1))
    assert np.isnan(history.peaks(60.0, 70.0, 8)).all()
    assert history.speech(60.0, 90.0) == []


def test_going_back_to_before_the_first_estimate_forgets_everything():
    history = fed(80.0)
    assert history.feed(samples.starting(1.5))
    assert len(history) == 0
    assert history.oldest_s is None
    assert history.newest_s is None


def test_what_cannot_be_read_stays_unknown():
    found = fed(59.2, state="nobody").scores(40.0, 59.2)
    late = found.times_s > 51.3
    assert np.isnan(found.scores[late]).all()
    assert np.isfinite(found.scores[~late]).all()
    lacking = fed(59.2, state="broken_words").scores(40.0, 59.2)
    assert np.isnan(lacking.scores[:, LABELS.index("Disgust")]).all()
    assert np.isnan(lacking.contributions[:, 2]).all()


def test_what_has_faded_is_not_a_contribution_of_zero():
    estimate = samples.happy().estimate
    faded = np.full(7, 0.001, np.float32)
    estimate = replace(
        estimate,
        absent={"text": samples.Absence.EXPIRED},
        contributions={**estimate.contributions, "text": faded},
    )
    history = History()
    history.feed(replace(samples.happy(), estimate=estimate, history=(estimate,)))
    assert np.isnan(history.scores(0.0, 60.0).contributions[-1, 2]).all()


def test_thinning_keeps_gaps():
    values = np.arange(12.0).reshape(6, 2)
    values[3] = np.nan
    thin = thinned(values, 2)
    assert thin.shape == (3, 2)
    assert thin[0].tolist() == [1.0, 2.0]
    assert np.isnan(thin[1]).all()
    assert thinned(values, 1) is values


def test_groups_do_not_move_while_time_goes_on():
    history = fed(*np.arange(20.0, 120.0, 20.0))
    one = history.scores(30.0, 99.0, 4)
    other = history.scores(30.3, 99.3, 4)
    common = np.intersect1d(np.round(one.times_s, 6), np.round(other.times_s, 6))
    assert len(common) >= len(one.times_s) - 2


def test_the_outline_shows_silence_sound_and_holes():
    history = fed(59.2, state="muted")
    peaks = history.peaks(29.2, 59.2, 600)
    assert np.isnan(peaks[-90:]).all()  # muted for the last 5 s
    times_s = 29.2 + (np.arange(600) + 0.5) / 20
    speaking = (times_s % 7 > 1.0) & (times_s % 7 < 4.5) & (times_s < 54.0)
    silent = (times_s % 7 > 5.3) & (times_s < 54.0)
    assert np.nanmin(peaks[speaking]) > 0.05
    assert np.nanmax(peaks[silent]) < 0.05
    assert np.isnan(History().peaks(0.0, 1.0, 5)).all()


def test_coarse_columns_keep_the_loudest_block():
    history = fed(40.0)
    fine, coarse = history.peaks(12.0, 40.0, 280), history.peaks(12.0, 40.0, 7)
    assert np.allclose(coarse, np.nanmax(fine.reshape(7, 40), axis=1), atol=0.02)


def test_speech_spans_grow_and_do_not_repeat():
    history = fed(57.0, 57.5, 58.0, 59.0)
    spans = history.speech(28.0, 59.0)
    assert spans == sorted(spans)
    assert all(a[1] < b[0] for a, b in pairwise(spans))
    assert spans[-1] == pytest.approx((56.3, 59.0))
    assert history.speech(57.0, 58.0) == [(57.0, 58.0)]
