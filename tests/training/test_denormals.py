"""The processor's setting for denormal numbers is given back, also after a fault."""

import sys

import pytest

torch = pytest.importorskip("torch")

from realtime_er.training.denormals import denormals_flushed  # noqa: E402


def smallest_eighth() -> float:
    return (torch.tensor(sys.float_info.min, dtype=torch.float64) / 8).item()


def test_denormals_are_zero_within_and_numbers_after():
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormal numbers")

    @denormals_flushed()
    def fails():
        return 1.0 / smallest_eighth()

    with pytest.raises(ZeroDivisionError):
        fails()
    assert smallest_eighth() > 0.0
