import pytest

from realtime_er.config import Config, load_config
from realtime_er.errors import ConfigError


@pytest.mark.parametrize("preset", ["live", "demo", "analyze", "paper"])
def test_presets_load(preset):
    assert isinstance(load_config(preset), Config)


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[face]\nrate = 5\n", r"mine\.toml: unknown key face\.'rate' \(did you mean 'rate_hz'"),
        ("[fase]\nrate_hz = 5\n", r"unknown key 'fase' \(did you mean 'face'"),
        ("[face]\nrate_hz = 'fast'\n", r"face\.rate_hz must be a number, not 'fast'"),
        ("[face]\nrate_hz = true\n", r"face\.rate_hz must be a number"),
        ("[face]\nrate_hz = 0\n", r"face\.rate_hz must be above 0"),
        ("[face]\nrate_hz = nan\n", r"face\.rate_hz must be above 0"),
        ("[vad]\nengine = 'magic'\n", r"vad\.engine must be one of silero, webrtc"),
        ("face = 3\n", r"face must be a table \[face\]"),
        ("[face\n", "not valid TOML"),
        ("[models]\nbundle = 'big'\n", r"models\.bundle must be one of compact, paper, not 'big'"),
        ("[paper]\nkeep_windows = 0\n", r"paper\.keep_windows must be at least 1"),
        ("[models]\nthreads = 1.5\n", r"models\.threads must be a whole number"),
    ],
)
def test_bad_input_names_file_and_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, text))


def test_missing_preset_lists_what_there_is():
    with pytest.raises(
        ConfigError, match="no preset named 'lve'; there are analyze, demo, live, paper"
    ):
        load_config("lve")


def test_missing_file():
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config("nowhere/x.toml")


def test_overrides_win_and_are_checked():
    config = load_config("live", {"face.rate_hz": 5, "camera.enabled": False})
    assert config.face.rate_hz == 5.0
    assert not config.camera.enabled
    with pytest.raises(ConfigError, match="unknown setting 'rate_hz'"):
        load_config("live", {"rate_hz": 5})
    with pytest.raises(ConfigError, match="unknown key face"):
        load_config("live", {"face.rate": 5})


def test_to_dict_round_trips():
    values = load_config("live").to_dict()
    assert values["tick"]["hop_s"] == 0.1
