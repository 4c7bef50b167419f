"""What displays see of the sound."""

import numpy as np
import pytest

from realtime_er.messages import AudioBlock
from realtime_er.view import View


def test_the_outline_holds_the_last_half_minute_however_long_it_runs():
    view = View()
    assert view.snapshot(0.0, (), 0, 0).waveform.shape == (0, 3)
    for second in range(200):
        value = np.float32(second / 200)
        view.sound_captured(
            AudioBlock(16_000 * second, float(second), np.full(16_000, value, np.float32))
        )
        shown = view.snapshot(second + 1.0, (), 0, 0).waveform
        assert len(shown) == 50 * min(second + 1, 30)
        assert np.allclose(np.diff(shown[:, 0]), 0.02)
        assert shown[-1, 2] == value


def test_sound_that_nobody_looks_at_is_kept_no_longer_than_it_is_shown():
    view = View()
    for number in range(10_000):
        block = AudioBlock(320 * number, 0.02 * number, np.zeros(320, np.float32))
        view.sound_captured(block)
    assert len(view._outline._kept) <= 1502
    shown = view.snapshot(200.0, (), 0, 0).waveform
    assert shown[0, 0] == pytest.approx(170.0, abs=0.021)
    assert len(shown) == pytest.approx(1500, abs=1)
    assert not view._outline._kept
