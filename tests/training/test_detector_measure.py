"""Agreement, false alarms and matches of scripted detectors."""

from __future__ import annotations

import numpy as np
import pytest

from realtime_er.perception.detectors import Detection
from realtime_er.training.detector.measure import (
    Picture,
    compare,
    false_alarms,
    match,
    time_ms,
    windows,
)
from realtime_er.training.detector.report import agreement_metrics, entry

POINTS = np.array([[3, 4], [7, 4], [5, 6], [4, 8], [6, 8]], np.float32)
FOUND = Detection((0.0, 0.0, 10.0, 10.0), 0.9, POINTS)
IMAGE = np.zeros((20, 20, 3), np.uint8)


class Scripted:
    name = "yunet"

    def __init__(self, *answers: list[Detection]) -> None:
        self.answers = list(answers)

    def detect(self, image: np.ndarray) -> list[Detection]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_agreement_counts_only_where_the_reference_sees_one() -> None:
    shifted = Detection((2.0, 0.0, 10.0, 10.0), 0.9, POINTS + np.array([1, 0], np.float32))
    reference = Scripted([FOUND], [], [FOUND], [FOUND, FOUND], [FOUND])
    detector = Scripted([shifted], [], [FOUND, shifted])
    pictures = [Picture(IMAGE, name) for name in "abcde"]
    agreed = compare(detector, reference, pictures)
    assert agreed.found.tolist() == [1, 0, 2]
    assert agreed.skipped == 2
    assert agreed.groups.tolist() == ["a", "c", "e"]
    assert agreed.overlap.tolist() == pytest.approx([8 / 12, 0.0, 1.0])
    assert agreed.points[0].tolist() == pytest.approx([0.1] * 5)
    assert np.isnan(agreed.points[1]).all()
    figures = agreement_metrics(agreed, "", "here", 1)
    assert figures["exactly_one_face"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert figures["median_iou"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["landmarks_within_8_percent"]["n"] == 2


def test_nonsense_of_the_reference_does_not_count() -> None:
    nonsense = [
        Detection((0.0, 0.0, 0.0, 10.0), 0.9, POINTS),
        Detection((0.0, 0.0, 1e30, 10.0), 0.9, POINTS),
        Detection((float("nan"), 0.0, 5.0, 5.0), 0.9, POINTS),
    ]
    pictures = [Picture(IMAGE, "a"), Picture(IMAGE, "b")]
    agreed = compare(Scripted([FOUND]), Scripted(nonsense, [*nonsense, FOUND]), pictures)
    assert agreed.groups.tolist() == ["b"]
    assert agreed.skipped == 1


def test_false_alarms_and_matches() -> None:
    counts, groups = false_alarms(Scripted([], [FOUND]), [Picture(IMAGE, "a"), Picture(IMAGE, "b")])
    assert counts.tolist() == [0, 1]
    assert groups.tolist() == ["a", "b"]
    truth = np.array([0, 0, 9, 10], np.float32)
    aside = np.array([14, 14, 6, 6], np.float32)
    doubted = Detection((14.0, 14.0, 6.0, 6.0), 0.9)
    wrong = Detection((14.0, 0.0, 5.0, 5.0), 0.9)
    found = match(Scripted([FOUND, doubted, wrong]), [(IMAGE, [truth, aside], [aside])])
    assert found.hit.tolist() == [True, True]
    assert found.alarms.tolist() == [1]
    assert found.size_px.tolist() == [10.0, 6.0]


def test_windows_stay_off_the_face() -> None:
    face = Detection((40.0, 40.0, 20.0, 20.0), 1.0)
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 40:60] = 255
    parts = list(windows(image, "room", 60, 1, face))
    assert 0 < len(parts) < 60
    assert all(int(part.image.max()) == 0 for part in parts)
    assert all(max(part.image.shape[:2]) == 320 for part in parts)


def test_an_entry_draws_whole_groups() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0])
    figure = entry(values, np.array(["a", "a", "b", "b"]), "mean", "here", 1)
    assert (figure["value"], figure["groups"], figure["interval_95"]) == (0.5, 2, [0.0, 1.0])


def test_times_are_of_every_run() -> None:
    taken = time_ms(Scripted([]), IMAGE, runs=5)
    assert taken.shape == (5,)
    assert (taken >= 0).all()
