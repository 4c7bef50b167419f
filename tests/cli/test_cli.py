"""The command line: help, exit codes, what goes to stdout and what to stderr."""

import dataclasses
import importlib
import json
import subprocess
import sys
import tomllib
import types

import pytest
from typer.testing import CliRunner

import realtime_er.session
import realtime_er.sources.media_file
from realtime_er.cli import app, options
from realtime_er.cli.doctor import Finding
from realtime_er.cli.train_ravdess import RAVDESS_HEADS
from realtime_er.config import load_config, read_settings
from realtime_er.errors import ConfigError, MediaError, WorkerFault
from realtime_er.fusion.registry import heads_reading
from realtime_er.resources import resource_dir
from realtime_er.sources.devices import Listing, MicrophoneDevice
from realtime_er.training.mer.recipe import MerRecipe
from realtime_er.training.recipes import (
    DetectorRecipe,
    FaceRecipe,
    FusionRecipe,
    SpeechRecipe,
    TextRecipe,
)
from tests.cli.fakes import FakeMediaFile, FakeSession

COMMANDS = [
    ["demo"],
    ["live"],
    ["analyze"],
    ["replay"],
    ["sessions"],
    ["export"],
    ["repair"],
    ["purge"],
    ["train", "speech"],
    ["train", "mer"],
    ["train", "late"],
    ["train", "foal"],
    ["train", "cfn-sr"],
    ["evaluate", "face"],
    ["evaluate", "mer"],
    ["evaluate", "compare"],
    ["evaluate", "foal"],
    ["extract"],
    ["devices"],
    ["doctor"],
    ["models", "list"],
    ["models", "check"],
]


def invoke(*args):
    return CliRunner().invoke(app, list(args))


@pytest.fixture
def sessions(monkeypatch):
    """Sessions are fakes; the list collects them."""
    FakeSession.made = []
    monkeypatch.setattr(realtime_er.session, "Session", FakeSession)
    monkeypatch.setattr(realtime_er.sources.media_file, "MediaFile", FakeMediaFile)
    return FakeSession.made


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: realtime-er {' '.join(command)}" in result.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys, realtime_er.cli\n"
        "heavy = {'numpy', 'cv2', 'av', 'onnxruntime', 'torch', 'matplotlib', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_head_on_maps_can_be_trained():
    assert sorted(RAVDESS_HEADS) == sorted(heads_reading("maps"))


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["live", "--set", "face.rate=5"], "did you mean 'rate_hz'"),
        (["live", "--set", "face.rate_hz"], "KEY=VALUE"),
        (["live", "--config", "nothing"], "no preset named 'nothing'"),
        (["live", "--config", "nothing.toml"], "no such configuration file"),
        (["demo", "--display", "hologram"], "terminal, none"),
        (["demo", "--json", "--display", "terminal"], "leave one out"),
        (["train", "face", "--data", "/no/such/folder"], "no such folder"),
    ],
)
def test_wrong_configuration_is_one_line_and_exit_code_2(args, part):
    result = invoke(*args)
    assert result.exit_code == 2
    assert part in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")


def test_wrong_usage_is_exit_code_2():
    assert invoke("live", "--nonsense").exit_code == 2
    assert invoke("train", "wheels").exit_code == 2
    assert invoke("analyze").exit_code == 2


def test_train_without_data_says_what_to_give(monkeypatch):
    monkeypatch.delenv("REALTIME_ER_DATA", raising=False)
    result = invoke("train", "face")
    assert result.exit_code == 2
    assert "REALTIME_ER_DATA" in result.stderr


def test_train_without_torch_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = invoke("train", "face", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert 'pip install "realtime_er[train]"' in result.stderr


def test_print_config_can_be_read_back(tmp_path):
    result = invoke(
        "live", "--print-config", "--camera", "2", "--set", "face.rate_hz=5", "--no-text"
    )
    assert result.exit_code == 0
    path = tmp_path / "mine.toml"
    path.write_text(result.stdout)
    config = load_config(path)
    assert config.camera.source == "2"
    assert config.face.rate_hz == 5.0
    assert not config.asr.enabled
    assert config.microphone.enabled


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a.b=5", 5),
        ("a.b=0.5", 0.5),
        ("a.b=true", True),
        ("a.b=haar", "haar"),
        ("a.b='x=y'", "x=y"),
        ("a.b=", ""),
    ],
)
def test_settings_are_typed(setting, expected):
    assert options.parse_setting(setting) == ("a.b", expected)


def test_setting_without_a_name_is_refused():
    with pytest.raises(ConfigError):
        options.parse_setting("=5")


def test_live_prints_a_line_a_second_and_a_summary(sessions):
    result = invoke("live", "--seconds", "2")
    assert result.exit_code == 0
    assert "0.1 s  Happy 70 %" in result.stdout
    assert "estimates in" in result.stdout
    assert "everything accounted for" in result.stdout
    assert "note: words are off" in result.stderr
    (session,) = sessions
    assert session.stopped
    assert session.closed
    assert session.given[-1].time_s == pytest.approx(2.0)


def test_json_is_all_there_is_on_stdout(sessions):
    result = invoke("live", "--json", "--seconds", "1")
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["index"] for record in records] == list(range(1, 11))
    assert "estimates in" in result.stderr


def test_switches_reach_the_session(sessions):
    invoke("live", "--no-audio", "--mic", "yeti", "--asr-model", "base.en", "--seconds", "0.1")
    config = sessions[0].config
    assert not config.microphone.enabled
    assert not config.asr.enabled
    assert config.camera.enabled
    assert config.microphone.device == "yeti"
    assert config.asr.model == "base.en"


def test_a_model_is_downloaded_only_when_asked_for(sessions, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "realtime_er.perception.whisper.find_model",
        lambda name, *, allow_download=False: asked.append((name, allow_download)),
    )
    invoke("live", "--seconds", "0.1", "--asr-model", "base.en")
    assert ("base.en", True) not in asked
    invoke("live", "--seconds", "0.1", "--asr-model", "base.en", "--asr-download")
    assert asked[-1] == ("base.en", True)


def test_demo_plays_the_bundled_clip_and_saves_a_picture(sessions, tmp_path):
    result = invoke("demo", "--out", str(tmp_path / "new"), "--display", "none")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "new" / "timeline.png").stat().st_size > 10_000
    source = sessions[0].source
    assert source.path.name == "demo.mp4"
    assert source.path.is_file()
    assert source.paced


def test_a_dead_worker_is_one_line_and_exit_code_1(sessions, monkeypatch):
    monkeypatch.setattr(FakeSession, "fault", WorkerFault("the face thread failed: out of memory"))
    result = invoke("live", "--seconds", "9")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: the face thread failed: out of memory (its traceback is in ")
    assert sessions[0].closed


def test_debug_shows_where(sessions, monkeypatch):
    monkeypatch.setattr(FakeSession, "fault", WorkerFault("the face thread failed"))
    result = invoke("live", "--debug", "--seconds", "9")
    assert result.exit_code == 1
    assert isinstance(result.exception, WorkerFault)


def test_an_unexpected_error_is_one_line_too(sessions, monkeypatch):
    monkeypatch.setattr(FakeSession, "fault", ZeroDivisionError("division by zero"))
    result = invoke("live", "--seconds", "9")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert "ZeroDivisionError: division by zero (not expected; its traceback is in " in last


@pytest.fixture
def recordings(tmp_path, sessions, monkeypatch):
    import realtime_er.analyze
    import realtime_er.perception.whisper

    def draw(estimates, finals, path, title):
        path.write_text(title)

    monkeypatch.setattr(realtime_er.analyze, "save_timeline", draw)
    monkeypatch.setattr(realtime_er.analyze, "model_ids", lambda config, whisper: "made up")
    monkeypatch.setattr(realtime_er.perception.whisper, "find_model", lambda name: None)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).write_text(name)
    return folder


def test_analyze_reports_and_resumes(recordings, tmp_path):
    args = ["analyze", str(recordings), "--out", str(tmp_path / "out")]
    result = invoke(*args)
    assert result.exit_code == 0, result.stderr
    assert "reads as Happy 40 % over 5.0 s" in result.stdout
    assert "x real time" in result.stdout
    assert "“It is a fine day.”" in result.stdout
    assert "2 done, 0 finished before, 0 failed" in result.stdout
    assert "0 done, 2 finished before, 0 failed" in invoke(*args).stdout
    assert "2 done" in invoke(*args, "--overwrite").stdout


def test_analyze_names_bad_files_at_the_end(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeMediaFile, "bad", {"a.wav": MediaError("a.wav: not a recording")})
    result = invoke("analyze", str(recordings), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "1 done, 0 finished before, 1 failed" in result.stdout
    assert result.stderr.splitlines()[-1] == "error: a.wav: not a recording"


def test_analyze_of_nothing_is_an_error(tmp_path):
    result = invoke("analyze", str(tmp_path / "nothing.mp4"))
    assert result.exit_code == 1
    assert "no such file or folder" in result.stderr


def test_devices_lists_or_says_why_not(monkeypatch):
    yeti = MicrophoneDevice(3, "Yeti [usb]", 48000.0, 2, is_default=True)
    listing = "realtime_er.sources.devices"
    monkeypatch.setattr(f"{listing}.list_cameras", lambda: Listing((), "no camera is connected"))
    monkeypatch.setattr(f"{listing}.list_microphones", lambda: Listing((yeti,)))
    result = invoke("devices")
    assert result.exit_code == 0
    assert "cameras: none" in result.stdout
    assert "note: no camera is connected" in result.stderr
    assert "Yeti [usb]" in result.stdout
    assert "2 channels, 48000 Hz, default" in result.stdout


def test_train_calls_the_trainer(monkeypatch, tmp_path):
    calls = []
    trainer = types.SimpleNamespace(
        train_text=lambda *folders, **settings: calls.append((folders, settings)),
        train_fusion=lambda *given, **settings: calls.append((given, settings)),
    )
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    for kind in ("text", "fusion"):
        monkeypatch.setitem(sys.modules, f"realtime_er.training.{kind}.train", trainer)
    monkeypatch.setenv("REALTIME_ER_DATA", str(tmp_path))
    out = tmp_path / "out"
    assert invoke("train", "text", "--out", str(out), "--seed", "5").exit_code == 0
    folders, settings = calls[0]
    assert folders == (tmp_path, out / "compact-text")
    assert settings["seed"] == 5
    assert settings["epochs"] == TextRecipe().epochs
    assert invoke("train", "fusion", "--out", str(out), "--epochs", "2").exit_code == 0
    given, settings = calls[1]
    assets = resource_dir("assets") / "models"
    assert given == (tmp_path, assets, out / "compact-fusion", FusionRecipe(epochs=2))
    (out / "compact-text").mkdir(parents=True)
    (out / "compact-text" / "card.json").write_text("{}")
    result = invoke("train", "fusion", "--out", str(out))
    assert result.exit_code == 2
    assert "face, speech" in result.stderr


def test_a_recipe_is_a_file_and_options_win(monkeypatch, tmp_path):
    calls = []
    trainer = types.SimpleNamespace(train_fusion=lambda *given, **_: calls.append(given[-1]))
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "realtime_er.training.fusion.train", trainer)
    path = tmp_path / "mine.toml"
    args = ["train", "fusion", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    args += ["--config", str(path)]
    result = invoke(*args)
    assert result.exit_code == 2
    assert "no such recipe" in result.stderr
    path.write_text("gated_dim = 16\nepochs = 3\nrate = 1")
    assert invoke(*args, "--seed", "7").exit_code == 0
    assert calls == [FusionRecipe(gated_dim=16, epochs=3, rate=1.0, seed=7)]
    for text, said in (
        ("gated_dims = 16", "did you mean 'gated_dim'"),
        ("epochs = 0", "at least 1"),
        ("rate = 'high'", "must be a number"),
    ):
        path.write_text(text)
        result = invoke(*args)
        assert result.exit_code == 2
        assert said in result.stderr
        assert str(path) in result.stderr


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("detector", DetectorRecipe()),
        ("face", FaceRecipe()),
        ("fusion", FusionRecipe()),
        ("mer", MerRecipe(seed=1)),
        ("speech", SpeechRecipe()),
        ("text", TextRecipe()),
    ],
)
def test_recipes_that_ship_spell_out_the_defaults(name, usual):
    path = resource_dir("config") / "train" / f"{name}.toml"
    assert read_settings(type(usual), path) == usual
    assert set(tomllib.loads(path.read_text())) == {one.name for one in dataclasses.fields(usual)}


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("broken", 1)])
def test_doctor_fails_only_when_something_is_broken(monkeypatch, state, code):
    # The package's attribute of this name is the command; its module has to be asked for.
    module = importlib.import_module("realtime_er.cli.doctor")
    monkeypatch.setattr(module, "examine", lambda config: [Finding("thing", state, "a [detail]")])
    result = invoke("doctor")
    assert result.exit_code == code
    assert "a [detail]" in result.stdout


def test_doctor_without_models_says_what_is_missing(tmp_path):
    result = invoke("doctor", "--set", f"models.directory={tmp_path}")
    assert result.exit_code == 1
    assert "face model" in result.stderr


def test_models_check_names_what_is_missing(tmp_path):
    result = invoke("models", "check", "--set", f"models.directory={tmp_path}")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 4


def test_a_thread_that_hangs_does_not_keep_the_program():
    program = """
import sys, threading
from realtime_er.cli import main
threading.Thread(target=threading.Event().wait, name="rter:asr").start()
sys.argv = ["realtime-er", "--version"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("realtime-er ")
