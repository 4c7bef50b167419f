"""Session time from sample counts, whatever delays the deliveries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_er.clock import SampleClock, VirtualClock
from tests.properties.bounded import bounded

_BLOCK_S = 0.1
_SECONDS = 40

delays_s = st.lists(st.floats(0.0, 0.08), min_size=1, max_size=30)


@bounded(20)
@given(ppm=st.floats(-300, 300), start_s=st.floats(0.0, 1e5), delays=delays_s)
def test_block_times_increase_and_stay_within_the_delays(
    ppm: float, start_s: float, delays: list[float]
) -> None:
    rate_hz = 16_000
    block = round(rate_hz * _BLOCK_S)
    clock = SampleClock(rate_hz)
    last_s = float("-inf")
    for number in range(round(_SECONDS / _BLOCK_S)):
        end = (number + 1) * block
        true_start_s = start_s + number * block / rate_hz * (1 + ppm * 1e-6)
        true_end_s = true_start_s + block / rate_hz * (1 + ppm * 1e-6)
        clock.observe(end, true_end_s + delays[number % len(delays)])
        time_s = clock.time_s(end - block)
        if number > 1.5 / _BLOCK_S:  # until then it follows the earliest arrival at once
            assert time_s > last_s
            assert abs(time_s - true_start_s) <= max(delays) + 0.020
        last_s = time_s


@bounded(60)
@given(times_s=st.lists(st.floats(0, 1e9), min_size=1))
def test_a_virtual_clock_shows_the_latest_time_it_was_told(times_s: list[float]) -> None:
    clock = VirtualClock()
    for time_s in times_s:
        clock.advance_to(time_s)
    assert clock.now_s() == max(times_s)
