"""Loading the shipped bundle."""

import shutil

import pytest

import realtime_er as rer
from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
from realtime_er.errors import ModelError, SpecMismatch, WeightsMissing
from realtime_er.models import TEXT_UNAVAILABLE, Models


def copied_bundle(folder):
    for kind in KINDS:
        shutil.copytree(bundle_dir("compact", kind), folder / f"compact-{kind}")
    return rer.load_config("analyze", {"models.directory": str(folder)})


@pytest.mark.parametrize("kind", KINDS)
def test_every_shipped_model_has_a_complete_card(kind):
    card = load_card(bundle_dir("compact", kind))
    assert card.kind == kind
    assert card.licence
    assert card.raw["training"]["data"]
    assert all("value" in m and "n" in m and "split" in m for m in card.raw["metrics"].values())


def test_what_was_switched_off_is_not_loaded():
    models = Models(rer.load_config("analyze"))
    models.load(video=False, audio=True, text=False)
    assert models.recognizer is None
    assert not models.notices
    with pytest.raises(ModelError, match="face encoder is not loaded"):
        _ = models.face


def test_the_head_is_checked_against_a_modality_that_comes_later(tmp_path):
    config = copied_bundle(tmp_path)
    models = Models(config)
    models.load(video=False, audio=True, text=False)
    card = tmp_path / "compact-face" / "card.json"
    card.write_text(card.read_text("utf-8").replace("compact-face-2", "another-face"), "utf-8")
    with pytest.raises(SpecMismatch, match="face encoder"):
        models.load(video=True, audio=True, text=False)


def test_a_missing_bundle_is_one_line(tmp_path):
    config = rer.load_config("analyze", {"models.directory": str(tmp_path)})
    with pytest.raises(WeightsMissing, match="compact-face: no card") as raised:
        Models(config).load(video=True, audio=True, text=True)
    assert "\n" not in str(raised.value)


def test_without_a_speech_model_the_notice_says_what_fixes_it(monkeypatch):
    monkeypatch.setattr("realtime_er.models.find_model", lambda _name: None)
    models = Models(rer.load_config("analyze"))
    models.load(video=False, audio=True, text=True)
    assert models.recognizer is None
    assert models.notices == (TEXT_UNAVAILABLE,)
    assert "pip install" in TEXT_UNAVAILABLE


@pytest.mark.parametrize(
    ("usual_bytes", "small_bytes", "has_smaller"), [(900, 100, True), (100, 100, False)]
)
def test_a_smaller_speech_model_is_found_where_it_is_smaller(
    tmp_path, monkeypatch, usual_bytes, small_bytes, has_smaller
):
    for name, size in (("base.en", usual_bytes), ("tiny.en", small_bytes)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(bytes(size))
    monkeypatch.setattr("realtime_er.models.find_model", lambda name: tmp_path / name)
    monkeypatch.setattr("realtime_er.models.ShortWhisper", lambda folder, **_how: folder.name)
    models = Models(rer.load_config("live", {"asr.model": "base.en"}))
    models.load(video=False, audio=True, text=True)
    assert models.recognizer.has_smaller is has_smaller
    off = Models(rer.load_config("live", {"asr.model": "base.en", "ladder.enabled": False}))
    off.load(video=False, audio=True, text=True)
    assert not off.recognizer.has_smaller
