"""Rows, goals and the two ways of showing them; and that comparisons really take turns."""

import io
import json

import pytest
from rich.console import Console

from realtime_er.bench.goals import GOALS, judge
from realtime_er.bench.report import print_results, write_json
from realtime_er.bench.run import PARTS, Results, Wish, measure
from realtime_er.bench.tables import (
    Row,
    Section,
    absent,
    alternate,
    median_row,
    quantile_rows,
    ratios,
)
from realtime_er.errors import ConfigError

MACHINE = {
    "cpu": "A processor",
    "cores": 2,
    "threads": 2,
    "memory_gb": 8.0,
    "os": "Linux 6",
    "python": "CPython 3.11",
    "packages": {"numpy": "2.0"},
    "load_before": 0.1,
    "niceness": 0,
}


def results(*sections, bundle="compact"):
    return Results(bundle, MACHINE, ("a note",), sections, tuple(judge(bundle, sections)))


def test_comparisons_take_turns_and_the_first_round_is_not_counted():
    order = []

    def run(name, cost):
        order.append(name)
        return cost

    measured = alternate({"a": lambda: run("a", 8.0), "b": lambda: run("b", 2.0)}, 3)
    assert order == ["a", "b"] * 4
    assert measured == {"a": [8.0] * 3, "b": [2.0] * 3}
    assert ratios(measured["a"], measured["b"]) == [4.0] * 3


def test_a_median_keeps_its_spread_and_nothing_has_none():
    row = median_row("k", "what", [3.0, 1.0, 2.0], "ms")
    assert (row.value, row.spread) == (2.0, (1.0, 3.0))
    with pytest.raises(ValueError, match="no measurement of what"):
        median_row("k", "what", [], "ms")
    assert quantile_rows("age", "age", [])[0].value is None
    assert [row.key for row in quantile_rows("age", "age", [0.1, 0.2])] == [
        "age_p50",
        "age_p95",
        "age_p99",
    ]


@pytest.mark.parametrize("bundle", ["compact", "paper"])
def test_goals_are_met_missed_or_not_measured(bundle):
    goal = next(goal for goal in GOALS[bundle] if goal.row == "age_p95")
    for value, met in ((goal.limit, True), (goal.limit + 1, False), (None, None)):
        section = Section("age", "Ages", (Row("age_p95", "p95", value, "ms"),))
        verdicts = judge(bundle, [section])
        assert len(verdicts) == len(GOALS[bundle])
        assert {v.goal: v.met for v in verdicts}[goal] is met
        assert sum(v.met is not None for v in verdicts) == (met is not None)


def test_a_figure_that_was_not_measured_is_shown_as_such(tmp_path):
    sections = (
        Section("age", "Ages", (Row("age_p95", "score age", 81.25, "ms", (80.0, 90.0), "hm"),)),
        Section("display", "The window", (absent("fps", "pictures", "/s", "not installed"),)),
    )
    given = results(*sections)
    out = io.StringIO()
    print_results(given, Console(file=out, width=120))
    text = out.getvalue()
    for expected in ("A processor", "2 cores", "a note", "81.2 ms", "80 to 90", "not installed"):
        assert expected in text
    assert text.count("not measured") == len(GOALS["compact"]) - 1
    assert "not met" not in text

    path = tmp_path / "bench.json"
    write_json(given, path)
    record = json.loads(path.read_text())
    assert list(tmp_path.iterdir()) == [path]
    assert record["machine"] == MACHINE
    assert record["sections"]["age"]["rows"]["age_p95"]["value"] == 81.25
    assert record["sections"]["display"]["rows"]["fps"] == {
        "what": "pictures",
        "value": None,
        "unit": "/s",
        "note": "not installed",
    }
    assert len(record["goals"]) == len(GOALS["compact"])
    assert {goal["met"] for goal in record["goals"]} == {True, None}


def test_json_that_cannot_be_written_is_one_line(tmp_path):
    folder = tmp_path / "taken"
    folder.mkdir()
    with pytest.raises(ConfigError, match=r"--json .*taken: cannot be written"):
        write_json(results(), folder)


def test_an_unknown_part_names_those_there_are():
    with pytest.raises(ConfigError, match=f"no such part; there are {', '.join(PARTS)}"):
        measure(Wish("compact", only=("speed",)))
