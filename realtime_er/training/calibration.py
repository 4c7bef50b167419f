"""One temperature for confidences, and what chance alone leaves of a calibration error.

Pure functions; they may be called from any thread. Guo et al. 2017, equation 9, for the temperature.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime_er.training.metrics import expected_calibration_error

Floats = npt.NDArray[np.float64]
CHANCE_DRAWS = 200


def chance_errors(
    clips: npt.NDArray[np.int64], probabilities: Floats, weights: Floats, seed: int
) -> Floats:
    """Calibration errors that a head which is never wrong about its confidence would show.

    So few clips leave a gap in most bins by chance alone: labels are drawn from the probabilities
    themselves, one draw for a clip, as often as ``CHANCE_DRAWS`` says.

    Args:
        clips: int64 [N]; rows of one clip share a number.
        probabilities: float64 [N, C], rows summing to one.
        weights: float64 [N], how much each row counts.
        seed: of the draws.

    Returns:
        float64 [``CHANCE_DRAWS``].
    """
    rng = np.random.default_rng(seed)
    numbers = np.unique(clips, return_inverse=True)[1]
    edges = probabilities.cumsum(axis=1)
    errors = np.empty(CHANCE_DRAWS)
    for index in range(CHANCE_DRAWS):
        drawn = rng.random(int(numbers.max()) + 1)[numbers]
        labels = (drawn[:, None] > edges).sum(axis=1).clip(max=probabilities.shape[1] - 1)
        errors[index] = expected_calibration_error(labels, probabilities, weights=weights)
    return errors


def find_temperature(
    logits: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    weights: Floats | None = None,
) -> float:
    """The divisor of the logits with the least negative log-likelihood, from 0.05 to 5."""
    exact = logits.astype(np.float64)
    grid = np.exp(np.linspace(np.log(0.05), np.log(5.0), 231))
    losses = []
    for divisor in grid:
        scaled = exact / divisor
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        loss = normaliser - scaled[np.arange(len(labels)), labels]
        losses.append(float(np.average(loss, weights=weights)))
    return float(grid[int(np.argmin(losses))])
