from itertools import combinations

import pytest

from realtime_er.sinks.display.arrange import PANELS, arrange

SIZES = [
    (1280, 720),
    (1920, 1080),
    (720, 1280),
    (1024, 768),
    (3840, 2160),
    (640, 480),
    (1000, 1000),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transport", [False, True])
def test_every_panel_has_a_place_of_its_own_inside_the_window(size, transport):
    unit = min(max((size[0] * size[1] / (1280 * 720)) ** 0.45, 0.8), 3.5)
    places = arrange(*size, unit, transport)
    assert set(places) == set(PANELS) | ({"transport"} if transport else set())
    for area in places.values():
        assert area.left >= 0
        assert area.top >= 0
        assert area.right <= size[0]
        assert area.bottom <= size[1]
        assert area.width >= 100
        assert area.height >= 20
    for a, b in combinations(places.values(), 2):
        assert a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top


def test_panels_with_a_time_axis_stand_above_each_other():
    for size in SIZES:
        places = arrange(*size, 1.0, False)
        columns = {(places[n].left, places[n].right) for n in ("traces", "over_time", "sound")}
        assert len(columns) == 1


def test_a_high_window_is_stacked_and_a_wide_one_has_columns():
    wide, high = arrange(1280, 720, 1.0, False), arrange(720, 1280, 1.0, False)
    assert wide["traces"].left > wide["picture"].right
    assert high["traces"].top > high["picture"].bottom
    assert high["traces"].width == pytest.approx(720, abs=40)
