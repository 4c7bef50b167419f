"""Every part of the bench gives a whole table, on a short clip; and the command's arguments."""

import json
import sys

import pytest
from typer.testing import CliRunner

from realtime_er.bench import backends, drawing, reencoding, run, starting
from realtime_er.bench.analysis import analysis_section
from realtime_er.bench.overhead import SteadySource
from realtime_er.cli import app
from realtime_er.config import load_config


@pytest.mark.slow
def test_both_ways_are_run_in_turn(clip, monkeypatch):
    order = []
    for cls, method in (("_Streaming", "run"), ("_Again", "_hop")):
        made = getattr(reencoding, cls)
        plain = getattr(made, method)

        def noted(self, *args, plain=plain, cls=cls):
            order.append((cls, *args))
            return plain(self, *args)

        monkeypatch.setattr(made, method, noted)
    config = load_config("demo", {"asr.enabled": False, "face.rate_hz": 4.0})
    section = reencoding.reencoding_section(config, clip, 1)
    once, again = ("_Streaming",), [("_Again", length) for length in reencoding.LENGTHS_S]
    # A round to warm up, a round that counts, and long windows at the end.
    assert order == [once, *again[:2], once, *again[:2], *again[2:]]
    for length in reencoding.LENGTHS_S:
        for key in (f"tick_{length}", f"again_{length}", f"ratio_{length}"):
            assert section.row(key).value > 0
    assert section.row("flat").value > 0


def test_analysis_without_words(clip, monkeypatch):
    def drawn(estimates, finals, path, title):
        path.write_bytes(b"a picture")

    monkeypatch.setattr("realtime_er.analyze.save_timeline", drawn)
    config = load_config("analyze", {"asr.enabled": False})
    section = analysis_section(config, clip, 1)
    assert section.row("speed").value > 0
    assert section.row("cores").value > 0
    assert section.row("speed_words").value is None
    assert section.row("duration").value == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
def test_the_window_is_drawn_and_counted(monkeypatch):
    pytest.importorskip("PySide6", reason="needs PySide6 (the extra 'window')")
    pytest.importorskip("pyqtgraph", reason="needs pyqtgraph (the extra 'window')")
    monkeypatch.setattr(drawing, "_WARM_S", 0.2)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")  # set by it too: taken back afterwards
    section = drawing.drawing_section(load_config("demo"), SteadySource(3.0), 0.6)
    assert section.row("fps").value > 0
    assert section.row("cores").value > 0
    assert section.row("draw_age_p95").value > 0


def test_without_a_window_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    section = drawing.drawing_section(load_config("demo"), SteadySource(1.0), 1.0)
    assert [row.value for row in section.rows] == [None]
    assert "realtime_er[window]" in section.rows[0].note


def test_a_process_that_gives_no_score_is_a_row_without_a_figure(monkeypatch, clip):
    monkeypatch.setattr(starting, "_until", lambda command, wanted: None)
    monkeypatch.setattr(starting, "_import_s", lambda code: 0.5)
    section = starting.starting_section("analyze", [], clip, 1)
    assert section.row("analyze").value is None
    assert section.row("demo").note == "the process gave no score"
    assert section.row("import_live").value == 0.5


def test_the_first_wanted_line_of_a_process_is_timed():
    import sys

    command = [sys.executable, "-c", "print('no'); print('scored')"]
    assert starting._until(command, lambda line: line.startswith("scored")) > 0
    assert starting._until(command, lambda line: False) is None


def test_a_process_that_says_nothing_is_given_up():
    silent = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    assert starting._until(silent, lambda line: True, patience_s=0.5) is None


def test_the_compact_bundle_has_one_runtime():
    section = backends.backends_section(load_config("demo"), 1)
    assert [row.value for row in section.rows] == [None]


def test_the_command_measures_writes_and_judges(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "WARM_S", 0.2)
    figures = tmp_path / "bench.json"
    monkeypatch.setattr(run, "run_overhead", lambda config, seconds, warm_s: _short(config))
    command = ["bench", "--only", "overhead", "--only", "backends", "--seconds", "5"]
    command += ["--source", str(clip), "--json", str(figures)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    record = json.loads(figures.read_text())
    assert set(record["sections"]) == {"overhead", "backends"}
    assert {goal["figure"]: goal["met"] for goal in record["goals"]}["overhead.ours"] is not None
    assert "our own overhead" in result.output


def _short(config):
    from realtime_er.bench.overhead import run_overhead

    return run_overhead(config, 0.4, warm_s=0.2)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--bundle", "huge"], "error: --bundle must be compact or paper, not 'huge'"),
        (["--seconds", "1"], "error: --seconds must be from 5 to 86400, not 1"),
        (["--json", "nowhere/at/all.json"], "error: --json nowhere/at/all.json: no folder"),
        (["--only", "everything"], "error: --only everything: no such part"),
        (["--set", "face.rate=5"], "unknown key face.'rate'"),
        (["--source", "nothing.mp4"], "error: nothing.mp4: no such file"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, line):
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exit_code in (1, 2)
    assert line in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_every_form_of_the_large_encoders_takes_its_turn(monkeypatch):
    """Which forms there are is for the runtimes' own tests; here two stand for them."""
    calls = []

    def forms(name, encoder, material, threads):
        assert threads == 1
        return {
            form: lambda form=form: calls.append((name, form))
            for form in ("torch fp32", "onnx fp32")
        }, {"openvino int8": "it gives something else"}

    monkeypatch.setattr(backends, "_forms", forms)
    monkeypatch.setattr(backends, "_encoders", lambda config: [("face", None, None)])
    section = backends.backends_section(load_config("paper"), 2)
    turn = [("face", "torch fp32")] * backends._CALLS + [("face", "onnx fp32")] * backends._CALLS
    assert calls == turn * 3  # one to warm up, two that count
    assert [row.key for row in section.rows] == [
        "face torch fp32",
        "face onnx fp32",
        "face onnx fp32 ratio",
        "face openvino int8",
    ]
    assert section.rows[-1].note == "it gives something else"


def test_random_weights_are_made_once_and_named(tmp_path, monkeypatch):
    from realtime_er.bench import weights

    made = []
    monkeypatch.setattr(weights, "_write", made.append)
    settings = weights.random_weights(tmp_path)
    assert made == [tmp_path]
    assert settings["paper.audio"] == str(tmp_path / "audio")
    (tmp_path / weights._DONE).touch()
    weights.random_weights(tmp_path)
    assert len(made) == 1


def test_exports_of_another_run_are_left(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (the extra 'paper')")
    from realtime_er.bench import weights
    from realtime_er.encoders.paper import hub
    from realtime_er.encoders.runtimes import store

    monkeypatch.setattr(store, "default_root", lambda: tmp_path / "cache")
    for name in ("face", "audio", "text"):
        (tmp_path / "made" / name).mkdir(parents=True)
        (tmp_path / "made" / name / "model.safetensors").write_text(name)
    folders = [
        store.Store(name, hub.find_weights(tmp_path / "made" / name).identity).folder
        for name in ("face", "audio")
    ]
    folders[0].mkdir(parents=True)
    before = weights.exports()
    folders[1].mkdir()
    weights.remove_exports(tmp_path / "made", before)
    assert [folder.exists() for folder in folders] == [True, False]


def test_weights_that_are_there_are_not_missing(tmp_path):
    pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (the extra 'paper')")
    from realtime_er.bench.weights import missing_weights

    (tmp_path / "model.safetensors").touch()
    sources = {"face": str(tmp_path), "audio": "nobody/nothing-of-that-name", "text": "no-such"}
    assert missing_weights(sources) == ["audio", "text"]
