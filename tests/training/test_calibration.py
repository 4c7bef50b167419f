"""Temperatures, and the calibration error that chance alone leaves."""

import numpy as np
import pytest

from realtime_er.training.calibration import chance_errors, find_temperature
from realtime_er.training.metrics import expected_calibration_error


def drawn(probabilities, rng):
    edges = probabilities.cumsum(axis=1)
    return (rng.random((len(edges), 1)) > edges).sum(axis=1).clip(max=6)


def test_chance_alone_leaves_a_gap_that_more_clips_close():
    rng = np.random.default_rng(4)
    guesses = rng.dirichlet(np.ones(7), 4000)
    few, many = (
        chance_errors(np.arange(count), guesses[:count], np.ones(count), 1).mean()
        for count in (200, 4000)
    )
    assert 0.05 < few < 0.15
    assert many < few / 3
    assert expected_calibration_error(drawn(guesses, rng), guesses) < 2.5 * many


def test_rows_of_one_clip_count_as_one():
    guesses = np.tile(np.random.default_rng(4).dirichlet(np.ones(7), 100), (3, 1))
    clips = np.tile(np.arange(100), 3)
    thrice = chance_errors(clips, guesses, np.ones(300), 1)
    once = chance_errors(clips[:100], guesses[:100], np.ones(100), 1)
    np.testing.assert_allclose(thrice, once)
    assert len(np.unique(once)) > 100


def test_temperature_is_found_again():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4000, 7)) * 2.0
    powers = np.exp(logits)
    labels = drawn(powers / powers.sum(axis=1, keepdims=True), rng)
    assert find_temperature(2.0 * logits, labels) == pytest.approx(2.0, rel=0.1)
