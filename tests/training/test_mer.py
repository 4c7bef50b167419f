"""The fusion's training: recipe, weights, masks, several labels, the folder that it writes."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.errors import ConfigError, CorpusError, SpecMismatch  # noqa: E402
from realtime_er.messages import LABELS  # noqa: E402
from realtime_er.training.corpora.label_schemes import SCHEMES  # noqa: E402
from realtime_er.training.mer import fit as mer_fit  # noqa: E402
from realtime_er.training.mer.data import gather  # noqa: E402
from realtime_er.training.mer.fit import class_weights, find_temperature, fit_head  # noqa: E402
from realtime_er.training.mer.recipe import MerRecipe, recipe_from  # noqa: E402
from realtime_er.training.mer.train import load_mer, scheme_for, score, split_parts, train_mer  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.training import mer_samples  # noqa: E402

SEVEN = SCHEMES["seven"]
QUICK = MerRecipe(gated_dim=8, learning_rate=0.02, weight_decay=0.0, epochs=25, dropout=0.0,
                  gate="sigmoid")  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_the_recipe_is_the_published_one():
    recipe = MerRecipe()
    assert (recipe.learning_rate, recipe.weight_decay, recipe.batch) == (1e-4, 1e-2, 32)
    assert (recipe.epochs, recipe.patience, recipe.gated_dim, recipe.dropout) == (300, 20, 128, 0.1)
    assert (recipe.gate, recipe.class_weights, recipe.seed) == ("softmax", True, 42)
    assert recipe.modality_dropout == 0.0
    assert not recipe.subset_heads
    assert not recipe.standardise


def test_settings_of_the_recipe_are_checked():
    assert recipe_from({"gated_dim": 64, "dropout": 0}).dropout == 0.0
    for settings, message in (
        ({"rate": 1}, "no such setting; there are gated_dim"),
        ({"batch": 1.5}, "expected int"),
        ({"class_weights": 1}, "expected bool"),
        ({"gate": "relu"}, "must be one of softmax, sigmoid"),
        ({"patience": 0}, "above 0"),
        ({"modality_dropout": 1.0}, "below 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            recipe_from(settings)
    with pytest.raises(ConfigError, match="several labels have no such figure"):
        MerRecipe(select="mF1").criterion(multi=True)


def test_class_weights_are_balanced_over_all_classes():
    targets = np.eye(4, dtype=np.float32)[[0, 0, 0, 0, 0, 0, 1, 2]]
    found = class_weights(targets, multi=False)
    # As scikit-learn's "balanced": 8 clips over 3 classes that occur; the fourth is neutral.
    np.testing.assert_allclose(found, [8 / (3 * 6), 8 / 3, 8 / 3, 1.0], rtol=1e-6)
    several = np.array([[1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    # Always there, a quarter, a half, never.
    np.testing.assert_allclose(class_weights(several, multi=True), [1.0, 3.0, 1.0, 1.0])


def test_learns_and_the_same_seed_gives_the_same_head():
    parts = split_parts([mer_samples.features("meld", per_class=4)], SEVEN)
    first = fit_head(parts.train, parts.val, QUICK, multi=False)
    second = fit_head(parts.train, parts.val, QUICK, multi=False)
    assert score(first.net, parts.train, multi=False)["metrics"]["UAR"] == 1.0
    assert score(first.net, parts.test, multi=False)["metrics"]["UAR"] > 0.95
    for name, value in first.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name])
    assert first.history == second.history


def test_stops_after_patience_and_keeps_the_best_epoch(monkeypatch):
    parts = split_parts([mer_samples.features("meld", per_class=2)], SEVEN)
    given = iter([0.2, 0.5, 0.4, 0.5, 0.3, 0.9])
    monkeypatch.setattr(mer_fit, "measure", lambda *_, **__: {"UAR": next(given)})
    fitted = fit_head(parts.train, parts.val, replace(QUICK, patience=3), multi=False)
    # 0.5 in epoch 2 is not bettered in 3, 4 and 5.
    assert (fitted.best_epoch, fitted.score, len(fitted.history)) == (2, 0.5, 5)


def test_the_loss_is_the_weighted_mean_of_the_whole_batch():
    parts = split_parts([mer_samples.features("meld", per_class=3)], SEVEN)
    train = parts.train.take(np.arange(len(parts.train)) % 5 > 0)
    weights = torch.from_numpy(class_weights(train.targets, multi=False))
    logits = torch.randn(len(train), 7)
    targets = torch.from_numpy(train.targets)
    losses = mer_fit._losses(logits, targets, weights, multi=False)
    share = mer_fit._shares(targets, weights, multi=False).sum()
    expected = torch.nn.functional.cross_entropy(logits, targets.argmax(dim=1), weight=weights)
    torch.testing.assert_close(losses.sum() / share, expected)


def test_absent_modalities_teach_nothing():
    features = mer_samples.features("meld", per_class=3)
    half = features.mask.copy()
    half[::2, 0] = 0.0
    wild = features.video.copy()
    wild[::2] = 1e4
    calm = features.video.copy()
    calm[::2] = 0.0
    nets = []
    for video in (wild, calm):
        parts = split_parts([replace(features, mask=half, video=video)], SEVEN)
        quick = replace(QUICK, epochs=3, standardise=True)
        nets.append(fit_head(parts.train, parts.val, quick, multi=False).net.state_dict())
    for name, value in nets[0].items():
        torch.testing.assert_close(value, nets[1][name], rtol=1e-4, atol=1e-5)


def test_modality_dropout_hides_some_and_never_all():
    parts = split_parts([mer_samples.features("meld", per_class=4)], SEVEN)
    recipe = replace(QUICK, modality_dropout=0.6)
    team = mer_fit.Team("cpu")
    step = mer_fit._Step(parts.train, recipe, torch.ones(7), team, multi=False)
    torch.manual_seed(0)
    mask = torch.ones(2000, 3)
    mask[:500, 1:] = 0.0
    hidden = step._hidden(mask)
    assert bool((hidden.sum(dim=1) > 0).all())
    assert bool((hidden <= mask).all())
    assert bool((hidden[:500] == mask[:500]).all())
    assert 0.3 < float(hidden[500:].mean()) < 0.7


def test_several_labels_a_clip(tmp_path):
    labels = ("happy", "sad|anger", "surprise", "fear|disgust|sad", "none")
    features = mer_samples.features("mosei", labels=labels, per_class=8)
    scheme = scheme_for([features])
    assert scheme.name == "mosei6"
    card = train_mer([features], scheme, replace(QUICK, epochs=40), tmp_path, resamples=20)
    assert card.raw["multi_label"] is True
    assert card.raw["training"]["selected_by"] == "val wAcc"
    assert card.raw["headline"] == ["test.wAcc"]
    assert card.raw["metrics"]["test.wAcc"]["value"] > 0.95
    assert card.raw["metrics"]["test.Acc"]["value"] > 0.9
    net, _ = load_mer(tmp_path)
    material = gather([features], scheme, "test")
    assert set(material.targets.sum(axis=1).tolist()) == {0.0, 1.0, 2.0, 3.0}
    assert score(net, material, multi=True)["metrics"]["F1"] > 0.9


def test_the_folder_names_everything(tmp_path):
    corpora = [mer_samples.features(name, seed=number) for number, name in
               enumerate(("meld", "iemocap"))]  # fmt: skip
    recipe = replace(QUICK, subset_heads=True, epochs=12)
    seen = []
    card = train_mer(corpora, SEVEN, recipe, tmp_path, progress=seen.append, resamples=20)
    raw = json.loads((tmp_path / "card.json").read_text())
    assert raw["encoders"] == {
        "face": "tiny-face/0",
        "audio": "tiny-audio/0",
        "text": "tiny-text/0",
    }
    assert raw["encoder_sha256"]["audio"] == "1" * 64
    assert raw["labels"] == list(LABELS)
    assert sum(raw["prior"].values()) == pytest.approx(1.0, abs=1e-4)
    # Each head has the temperature of its own answers.
    assert set(raw["temperatures"]) == set(raw["subset_heads"])
    assert all(0.2 <= value <= 5.0 for value in raw["temperatures"].values())
    assert set(raw["subset_heads"]) == {
        "face", "audio", "text", "face+audio", "face+text", "audio+text"
    }  # fmt: skip
    assert raw["training"]["left_out"] == {}
    assert raw["training"]["labels"]["iemocap"]["exc"] == "Happy"
    uar = raw["metrics"]["test.UAR"]
    assert uar["interval_95"][0] <= uar["value"] <= uar["interval_95"][1]
    assert card.sha256 == raw["sha256"]
    assert 1 <= len(seen) <= 12
    assert len(json.loads((tmp_path / "history.json").read_text())) == len(seen)

    sha256 = dict(raw["encoder_sha256"])
    net, _ = load_mer(tmp_path, sha256)
    assert net.gal_av.gate == "sigmoid"
    with pytest.raises(SpecMismatch, match="trained with the audio encoder tiny-audio/0, not with"):
        load_mer(tmp_path, {**sha256, "audio": "a" * 64})


def test_without_weights_the_prior_is_the_training_frequencies(tmp_path):
    features = mer_samples.features("meld", per_class=4)
    kept = (features.labels != "fear") | (features.splits != "train")
    card = train_mer(
        [features.take(kept)], SEVEN, replace(QUICK, class_weights=False, epochs=2), tmp_path,
        resamples=0,
    )  # fmt: skip
    assert card.raw["prior"]["Fear"] == 0.0
    assert card.raw["prior"]["Sad"] == pytest.approx(1 / 6, abs=1e-5)
    assert "interval_95" not in card.raw["metrics"]["test.UAR"]


def test_afew_is_split_honestly_unless_asked(tmp_path):
    features = mer_samples.features("afew", splits=("train", "val"), per_class=10)
    own = split_parts([features], SEVEN)
    assert len(own.test) == 70
    assert not set(own.val.ids) & set(own.test.ids)
    published = split_parts([features], SEVEN, published_split=True)
    assert published.val.ids.tolist() == published.test.ids.tolist() == own.test.ids.tolist()
    both = split_parts([features, mer_samples.features("meld")], SEVEN, published_split=True)
    assert set(both.test.corpora) == {"afew", "meld"}
    assert len(published.train) > len(own.train)


def test_labels_outside_the_map_and_empty_parts_are_refused():
    features = mer_samples.features("meld")
    odd = features.labels.copy()
    odd[5] = "bored"
    with pytest.raises(
        CorpusError, match=r"meld/train/neutral/5 has the label 'bored', which is not"
    ):
        split_parts([replace(features, labels=odd)], SEVEN)
    with pytest.raises(CorpusError, match="no map for corpus 'meld'"):
        split_parts([features], SCHEMES["iemocap6"])
    with pytest.raises(CorpusError, match="no clip of part 'val' is left"):
        split_parts([features.take(features.splits != "val")], SEVEN)
    alone = features.take(features.labels == "joy")
    parts = split_parts([alone], SEVEN)
    with pytest.raises(CorpusError, match="fewer than two classes"):
        fit_head(parts.train, parts.val, QUICK, multi=False)


def test_the_temperature_undoes_a_scale():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)).astype(np.float32)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (chance.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    targets = np.eye(3, dtype=np.float32)[drawn]
    assert find_temperature(3.0 * logits, targets, multi=False) == pytest.approx(3.0, rel=0.1)
    several = (1 / (1 + np.exp(-logits)) > rng.random(logits.shape)).astype(np.float32)
    assert find_temperature(2.0 * logits, several, multi=True) == pytest.approx(2.0, rel=0.1)


_MEMBER = """
import json, os, sys
import torch
torch.set_num_threads(1)
from realtime_er.training.corpora.label_schemes import SCHEMES
from realtime_er.training.mer.train import split_parts
from realtime_er.training.mer.fit import fit_head
from realtime_er.training.mer.recipe import MerRecipe
from tests.training import mer_samples

parts = split_parts([mer_samples.features("meld", per_class=4)], SCHEMES["seven"])
recipe = MerRecipe(gated_dim=8, learning_rate=0.01, dropout=0.0, epochs=4, gate="sigmoid")
fitted = fit_head(parts.train, parts.val, recipe, multi=False)
total = sum(float(value.double().abs().sum()) for value in fitted.net.state_dict().values())
told = {"score": fitted.score, "weights": total, "loss": fitted.history[-1]["train_loss"]}
with open(os.path.join(sys.argv[1], os.environ.get("RANK", "alone")), "w") as stream:
    json.dump(told, stream)
"""


@pytest.mark.slow
def test_two_processes_train_the_head_that_one_does(tmp_path):
    pytest.importorskip("accelerate")
    script = tmp_path / "member.py"
    script.write_text(_MEMBER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "",
                   "OMP_NUM_THREADS": "1"}  # fmt: skip
    team = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for how in ([], team):
        subprocess.run(
            [sys.executable, *how, str(script), str(tmp_path)],
            env=environment, check=True, capture_output=True, timeout=100,
        )  # fmt: skip
    alone, *members = (json.loads((tmp_path / name).read_text()) for name in ("alone", "0", "1"))
    for member in members:
        assert member == pytest.approx(alone, rel=1e-5)
