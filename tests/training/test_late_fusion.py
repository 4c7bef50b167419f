"""Temperatures from features, and the folder that the live head reads."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from realtime_er.cli.guard import guarded
from realtime_er.errors import ConfigError, SpecMismatch
from realtime_er.fusion.paper_head import load_paper_head
from realtime_er.messages import LABELS, MODALITIES
from realtime_er.training.corpora.label_schemes import SCHEMES
from realtime_er.training.features import save_features
from realtime_er.training.mer.late_fusion import train_late
from tests.encoders.paper import tiny
from tests.fusion.test_late import BY_HAND as WEIGHTS
from tests.fusion.test_late import DIMS, MEANING, given, own_heads, transcribed
from tests.training import mer_samples

ENCODERS = mer_samples.ENCODERS
IDS = {name: one["id"] for name, one in ENCODERS.items()}
# Those whose classifiers know all seven.
NAMES = {"face": LABELS, "text": ("anger", "disgust", "fear", "joy", "neutral", "sadness",
                                  "surprise")}  # fmt: skip
NATIVE = {"Neutral": "neutral", "Happy": "joy", "Sad": "sadness", "Surprise": "surprise",
          "Fear": "fear", "Disgust": "disgust", "Angry": "anger"}  # fmt: skip
SHARPNESS = {"face": 2.5, "text": 1.6}


def drawn(per_class=50):
    """Clips whose labels are drawn from what both classifiers say at a temperature they lack."""
    made = mer_samples.features("meld", per_class=per_class, modalities=("face", "text"))
    rng = np.random.default_rng(3)
    heads = own_heads(NAMES)
    vectors = {"face": rng.normal(size=made.video.shape), "text": rng.normal(size=made.text.shape)}
    labels = []
    for row in range(len(made)):
        # Half of the clips follow the face, half the words.
        name = "face" if row % 2 else "text"
        x = vectors[name][row, : DIMS[name]]
        active = np.maximum(x, 0) if name == "face" else np.tanh(x)
        z = (heads[name].weight @ active + heads[name].bias) / SHARPNESS[name]
        p = np.exp(z) / np.exp(z).sum()
        labels.append(NATIVE[MEANING[heads[name].labels[rng.choice(7, p=p)]]])
    mask = made.mask.copy()
    mask[np.arange(len(made)) % 2 == 1, 2] = 0.0
    mask[np.arange(len(made)) % 2 == 0, 0] = 0.0
    return replace(
        made,
        labels=np.array(labels),
        video=vectors["face"].astype(np.float32),
        text=vectors["text"].astype(np.float32),
        mask=mask,
    )


def test_each_temperature_is_found_and_the_live_head_uses_it(tmp_path):
    heads = own_heads(NAMES)
    card = train_late([drawn()], heads, ENCODERS, SCHEMES["seven"], tmp_path, resamples=10)
    found = json.loads((tmp_path / "late.json").read_text())["temperatures"]
    assert set(found) == {"face", "text"}
    for name, sharpness in SHARPNESS.items():
        assert found[name] == pytest.approx(sharpness, rel=0.35)
        assert (
            card.raw["calibration"][name]["log_loss"]
            < (card.raw["calibration"][name]["log_loss_before"])
        )
    assert card.raw["encoders"] == {"face": "tiny-face/0", "text": "tiny-text/0"}
    assert card.raw["headline"] == ["test.equal.UAR", "test.published.UAR"]
    assert 0.1 < card.raw["metrics"]["test.equal.UAR"]["value"] < 1.0

    everyone = own_heads()
    head = load_paper_head(tmp_path, encoders=IDS, own_heads=everyone, late_weights="published")
    fusion_input = given(*MODALITIES)
    values = head.probabilities(fusion_input)[frozenset(MODALITIES)]
    expected = transcribed(fusion_input, MODALITIES, WEIGHTS["published"], {**found, "audio": 1.0})
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert head.head_id == "late-meld-published"
    assert head.notices == ("head late-meld was fitted without audio, which counts uncalibrated",)
    with pytest.raises(SpecMismatch, match="was trained on text encoder tiny-text/0, not other/2"):
        load_paper_head(tmp_path, encoders={**IDS, "text": "other/2"}, own_heads=everyone)
    (tmp_path / "late.json").write_text("{}")
    with pytest.raises(SpecMismatch, match="not the file its card describes"):
        load_paper_head(tmp_path, encoders=IDS, own_heads=everyone)


def test_a_label_that_a_classifier_lacks_is_not_held_against_it(tmp_path):
    made = mer_samples.features("meld", per_class=4, modalities=("audio",))
    card = train_late([made], own_heads(), ENCODERS, SCHEMES["seven"], tmp_path, resamples=0)
    # Seven labels of four clips each; the voice has no Surprise.
    assert card.raw["calibration"]["audio"]["n"] == 24
    assert np.isfinite(card.raw["calibration"]["audio"]["log_loss"])


def test_other_labels_and_other_encoders_are_refused(tmp_path):
    made = mer_samples.features("meld", per_class=2)
    with pytest.raises(ConfigError, match="labels iemocap6 are others, use --labels seven"):
        train_late([made], own_heads(), ENCODERS, SCHEMES["iemocap6"], tmp_path)
    other = {**ENCODERS, "face": {"id": "x/1", "sha256": "f" * 64}}
    with pytest.raises(SpecMismatch, match="of the face encoder tiny-face/0, not of x/1"):
        train_late([made], own_heads(), other, SCHEMES["seven"], tmp_path)


def test_the_command_with_tiny_encoders(tmp_path):
    import typer

    from realtime_er.cli.train_late import train_late as command
    from realtime_er.training.mer.encoders import load_encoders

    # The face alone: it needs no transformers.
    tiny.write_face(tmp_path / "hub" / "face")
    found = load_encoders(str(tmp_path / "hub"), ("face",), device="cpu")
    made = mer_samples.features(
        "meld", per_class=3, modalities=("face",), encoders=found.identities()
    )
    wide = np.concatenate([made.video, made.video], axis=1)
    save_features(tmp_path / "meld.npz", replace(made, video=wide))
    app = typer.Typer()
    app.command()(guarded(command))
    run = CliRunner()
    arguments = ["--features", str(tmp_path / "meld.npz"), "--encoders", str(tmp_path / "hub")]
    done = run.invoke(app, [*arguments, "--out", str(tmp_path / "late")])
    assert done.exit_code == 0, done.output
    assert "face: temperature" in done.output
    assert "test.published.UAR 0." in done.output
    assert (tmp_path / "late" / "card.json").is_file()
    nothing = run.invoke(app, [])
    assert nothing.exit_code == 2
    assert "needs --features FILE" in nothing.output
