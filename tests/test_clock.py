import numpy as np
import pytest

from realtime_er.clock import SampleClock, SessionClock, VirtualClock


def test_session_clock_starts_at_zero_and_never_goes_back():
    clock = SessionClock()
    first, second = clock.now_s(), clock.now_s()
    assert 0 <= first <= second < 1.0


def test_virtual_clock_ignores_earlier_times():
    clock = VirtualClock()
    clock.advance_to(2.0)
    clock.advance_to(1.0)
    assert clock.now_s() == 2.0


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 200.0])
def test_two_hours_of_drift_and_jitter_stay_within_20_ms(ppm):
    rate_hz, block = 48_000, 24_000
    rng = np.random.default_rng(3)
    clock = SampleClock(rate_hz)
    worst_s, last_s, increasing = 0.0, -1.0, True
    for index in range(2 * 3600 * 2):
        end = (index + 1) * block
        true_end_s = 0.25 + end / rate_hz * (1 + ppm * 1e-6)
        clock.observe(end, true_end_s + 0.003 + rng.exponential(0.004))
        start_s = clock.time_s(end - block)
        increasing = increasing and start_s > last_s
        last_s = start_s
        true_start_s = 0.25 + (end - block) / rate_hz * (1 + ppm * 1e-6)
        if index > 10:
            worst_s = max(worst_s, abs(start_s - true_start_s))
    assert increasing
    assert worst_s < 0.020
    assert clock.drift_ppm == pytest.approx(ppm, abs=15.0)
