"""What chance alone would make of a calibration error, beside the error itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from realtime_er.training.calibration import Floats, chance_errors
from realtime_er.training.evaluate.report import SEED, Goal, Report

ECE_GOAL = Goal(0.03, False)


def add_chance(
    report: Report,
    on: str,
    clips: npt.NDArray[np.int64],
    probabilities: Floats,
    weights: Floats,
) -> None:
    """Adds the mean error of heads that are never wrong about their confidence on as many clips.

    And how many of them would reach the goal: where that is one in twenty, the goal cannot be shown
    with so few clips, whatever the head.
    """
    errors = chance_errors(clips, probabilities, weights, SEED)
    report.add(on, "the same by chance alone", float(errors.mean()), n=len(clips))
    share = float(np.mean([ECE_GOAL.met_by(float(one)) for one in errors]))
    report.add(on, "share of faultless heads that reach the goal", share, n=len(errors))
