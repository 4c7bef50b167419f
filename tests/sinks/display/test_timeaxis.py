from itertools import pairwise

import pytest

pytest.importorskip("pyqtgraph", reason="needs the `window` extra")

from realtime_er.sinks.display.timeaxis import SPANS_S, TimeAxis, ago_text, ticks
from realtime_er.sinks.display.timeplot import spread


def test_it_follows_until_somebody_scrolls_back():
    axis = TimeAxis()
    assert axis.window(100.0) == (70.0, 100.0)
    axis.scroll(-1, 100.0, 0.0)
    assert not axis.follows
    assert axis.window(100.0) == axis.window(105.0) == (64.0, 94.0)
    axis.scroll(2, 105.0, 0.0)
    assert axis.follows


def test_it_does_not_scroll_out_of_what_is_remembered():
    axis = TimeAxis()
    for _ in range(50):
        axis.scroll(-1, 100.0, 60.0)
    assert axis.window(100.0)[1] == pytest.approx(75.0)
    axis.newest()
    axis.scroll(-3, 100.0, None)
    assert axis.follows


def test_home_shows_the_oldest_when_there_is_more_than_a_screen():
    axis = TimeAxis()
    axis.oldest(20.0, 5.0)
    assert axis.follows
    axis.oldest(100.0, 5.0)
    assert axis.window(100.0) == (5.0, 35.0)


def test_zoom_stops_at_both_ends():
    axis = TimeAxis()
    for _ in range(20):
        axis.zoom(True)
    assert axis.span_s == SPANS_S[0]
    for _ in range(20):
        axis.zoom(False)
    assert axis.span_s == SPANS_S[-1]


def test_times_are_said_relative_to_now():
    assert [text for _, text in ticks(70.0, 100.0, 100.0)][-1] == "now"
    assert ticks(70.0, 100.0, 100.0)[1] == (75.0, "\N{MINUS SIGN}25 s")
    assert [text for _, text in ticks(50.0, 80.0, 100.0)][-1] == "\N{MINUS SIGN}20 s"
    assert all(len(ticks(1000.0 - span, 1000.0, 1000.0)) <= 8 for span in SPANS_S)
    assert ago_text(150.0) == "\N{MINUS SIGN}2:30"


def test_labels_do_not_overlap_and_keep_their_order():
    found = spread([50.0, 52.0, 51.0, 10.0], 17.0, 0.0, 100.0)
    ordered = sorted(found)
    assert min(b - a for a, b in pairwise(ordered)) >= 17.0 - 1e-9
    assert found[0] < found[2] < found[1]
    assert found[3] == 10.0
    at_the_edge = spread([99.0, 99.5, 100.0], 20.0, 0.0, 100.0)
    assert at_the_edge == [60.0, 80.0, 100.0]
