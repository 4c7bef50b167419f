"""The published fusion live: every subset, every stand-in for what is missing, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.config import load_config  # noqa: E402
from realtime_er.decision import DecisionMaker  # noqa: E402
from realtime_er.encoders.paper.checkpoints import write_state  # noqa: E402
from realtime_er.errors import ConfigError, SpecMismatch, WeightsMissing  # noqa: E402
from realtime_er.fusion.gated import GatedAttentionFusion  # noqa: E402
from realtime_er.fusion.head import SUBSETS, FusionInput, subset_name  # noqa: E402
from realtime_er.fusion.paper_head import load_paper_head  # noqa: E402
from realtime_er.messages import LABELS, MODALITIES  # noqa: E402
from realtime_er.training.corpora.label_schemes import SCHEMES  # noqa: E402
from realtime_er.training.mer.recipe import MerRecipe  # noqa: E402
from realtime_er.training.mer.train import train_mer  # noqa: E402
from realtime_er.windows import Window  # noqa: E402
from tests.encoders.paper import tiny  # noqa: E402
from tests.fusion.test_late import estimate_of, own_heads  # noqa: E402
from tests.training import mer_samples  # noqa: E402

SIZES = mer_samples.SIZES
ENCODERS = {name: one["id"] for name, one in mer_samples.ENCODERS.items()}
QUICK = MerRecipe(gated_dim=6, epochs=2, gate="sigmoid", batch=64)
ALL = frozenset(MODALITIES)


def network(classes=7, seed=3, **options):
    torch.manual_seed(seed)
    net = GatedAttentionFusion(10, 8, 6, 5, classes, 0.1, **options)
    return tiny.shaken(net, seed)


def given(*present, seed=1):
    rng = np.random.default_rng(seed)
    vectors = {name: rng.normal(size=size).astype(np.float32) for name, size in SIZES.items()}
    return FusionInput(**{name: vectors[name] for name in present})


def transcribed(net, vectors, gate, *, told=MODALITIES):
    """Logits in float64; a pair with one told modality is that one's tanh, with none nothing."""
    p = {name: value.double().numpy() for name, value in net.state_dict().items()}
    short = {"face": "video", "audio": "audio", "text": "text"}
    x = {
        name: p[f"fc_{short[name]}.weight"] @ vectors[name] + p[f"fc_{short[name]}.bias"]
        for name in MODALITIES
    }
    joined = []
    for pair, (first, second) in {
        "gal_av": ("audio", "face"), "gal_vt": ("face", "text"), "gal_ta": ("text", "audio"),
    }.items():  # fmt: skip
        h1 = np.tanh(x[first] @ p[f"{pair}.WF1"])
        h2 = np.tanh(x[second] @ p[f"{pair}.WF2"])
        s = np.concatenate([x[first], x[second]]) @ p[f"{pair}.WF"]
        z = np.exp(s) / np.exp(s).sum() if gate == "softmax" else 1 / (1 + np.exp(-s))
        if first in told and second in told:
            joined.append(z * h1 + (1 - z) * h2)
        elif first in told:
            joined.append(h1)
        else:
            joined.append(h2 if second in told else np.zeros_like(h2))
    u = p["fc_avt.weight"] @ np.maximum(np.concatenate(joined), 0) + p["fc_avt.bias"]
    return p["classifier.weight"] @ u + p["classifier.bias"]


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def kept(fusion_input, subset):
    """The vectors in float64, zeros in place of those outside the subset."""
    return {
        name: fusion_input.of(name).astype(np.float64) if name in subset else np.zeros(size)
        for name, size in SIZES.items()
    }


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_a_published_file_scores_every_subset(tmp_path, gate, missing):
    net = network(gate=gate)
    write_state(net, tmp_path / "fusion.pth")
    head = load_paper_head(
        tmp_path, encoders=ENCODERS, own_heads={}, gate=gate, missing=missing,
        temperatures={"face+audio": 2.0},
    )  # fmt: skip
    fusion_input = given(*MODALITIES)
    found = head.probabilities(fusion_input)
    assert set(found) == set(SUBSETS)
    for subset, values in found.items():
        told = MODALITIES if missing == "zero" else subset
        logits = transcribed(net, kept(fusion_input, subset), gate, told=told)
        scale = 2.0 if subset == {"face", "audio"} else 1.0
        np.testing.assert_allclose(values, softmax(logits / scale), atol=2e-6)
        assert values.dtype == np.float32
    two = head.probabilities(given("face", "text"))
    assert set(two) == {subset for subset in SUBSETS if subset <= {"face", "text"}}
    one = frozenset({"text"})
    np.testing.assert_allclose(two[one], found[one], atol=1e-6)
    np.testing.assert_allclose(head.prior, 1 / 7)
    assert head.labels == LABELS
    assert "names no encoders" in head.notices[0]
    assert head.head_id.startswith("mer-fusion/")
    assert head.encoder_ids == ENCODERS


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of ``train mer`` with a head for every subset."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("mer")
    corpus = mer_samples.features("meld", per_class=2)
    recipe = replace(QUICK, subset_heads=True)
    train_mer([corpus], SCHEMES["seven"], recipe, folder, resamples=0)
    return folder


def test_a_head_of_its_own_for_every_subset(trained):
    from realtime_er.fusion.gated import load_head

    card = json.loads((trained / "card.json").read_text())
    head = load_paper_head(trained, encoders=ENCODERS, own_heads={}, missing="subset")
    fusion_input = given(*MODALITIES)
    for subset, values in head.probabilities(fusion_input).items():
        name = "model" if subset == ALL else subset_name(subset)
        net = load_head(trained / f"{name}.safetensors", gate="sigmoid")
        logits = transcribed(net, kept(fusion_input, subset), "sigmoid", told=subset)
        divisor = card["temperature"] if subset == ALL else card["temperatures"][name]
        np.testing.assert_allclose(values, softmax(logits / divisor), atol=2e-6)
    assert head.notices == ()
    assert head.head_id == card["id"]
    np.testing.assert_allclose(head.prior, [card["prior"][label] for label in LABELS], atol=1e-5)


def test_other_encoders_are_refused_and_fewer_are_fine(trained):
    with pytest.raises(SpecMismatch, match="was trained on audio encoder tiny-audio/0, not other"):
        load_paper_head(trained, encoders={**ENCODERS, "audio": "other/1"}, own_heads={})
    fewer = {name: ENCODERS[name] for name in ("face", "audio")}
    head = load_paper_head(trained, encoders=fewer, own_heads={})
    assert len(head.probabilities(given("face", "audio"))) == 3


def test_a_changed_or_missing_subset_head_is_refused(trained, tmp_path):
    import shutil

    folder = shutil.copytree(trained, tmp_path / "copy")
    shutil.copy(folder / "face.safetensors", folder / "text.safetensors")
    with pytest.raises(SpecMismatch, match=r"text.safetensors: not the file its card describes"):
        load_paper_head(folder, encoders=ENCODERS, own_heads={}, missing="subset")
    (folder / "text.safetensors").unlink()
    with pytest.raises(WeightsMissing, match=r"text.safetensors: missing; copy the whole folder"):
        load_paper_head(folder, encoders=ENCODERS, own_heads={}, missing="subset")
    load_paper_head(folder, encoders=ENCODERS, own_heads={}, missing="mask")


def test_a_modality_that_the_head_never_read_does_not_count(tmp_path):
    corpus = mer_samples.features("ravdess", per_class=3, modalities=("face", "audio"))
    train_mer([corpus], SCHEMES["seven"], QUICK, tmp_path, resamples=0)
    own = tmp_path / "card.json"
    size = json.loads(own.read_text())["input"]["text"]
    head = load_paper_head(tmp_path, encoders=ENCODERS, own_heads={})
    assert head.notices == (
        f"head {head.head_id} was trained without text: it is shown and does not count",
    )
    whole = given(*MODALITIES)
    assert size  # the network has a width for text all the same
    found = head.probabilities(whole)
    assert len(found) == 7
    np.testing.assert_array_equal(found[ALL], found[frozenset({"face", "audio"})])
    np.testing.assert_array_equal(found[frozenset({"text"})], head.prior)


def test_six_classes_of_iemocap_are_folded_by_name(tmp_path):
    folder = tmp_path / "IEMOCAP"
    folder.mkdir()
    net = network(6)
    write_state(net, folder / "fusion.pth")
    head = load_paper_head(folder / "fusion.pth", encoders=ENCODERS, own_heads={})
    fusion_input = given(*MODALITIES)
    p = softmax(transcribed(net, kept(fusion_input, ALL), "softmax"))
    neutral, happy, sad, angry, excited, _ = p
    told = np.array([neutral, happy + excited, sad, angry])
    values = head.probabilities(fusion_input)[ALL]
    places = [LABELS.index(label) for label in ("Neutral", "Happy", "Sad", "Angry")]
    np.testing.assert_allclose(values[places], told / told.sum(), atol=2e-6)
    assert np.isnan(np.delete(values, places)).all()
    assert head.labels == ("Neutral", "Happy", "Sad", "Angry")
    assert np.nansum(head.prior) == pytest.approx(1.0)
    assert head.prior[1] == pytest.approx(2 / 5)
    assert head.notices[1].endswith("does not know Surprise, Fear, Disgust")
    assert head.notices[2].endswith("Frustrated has no score of its own")


def test_the_tables_of_six_are_those_of_training():
    from realtime_er.fusion.head_classes import SIX_CLASSES

    assert SIX_CLASSES["IEMOCAP"] == SCHEMES["iemocap6"].classes
    assert SIX_CLASSES["MOSEI"] == SCHEMES["mosei6"].classes


def test_classes_that_do_not_exclude_each_other_keep_their_own_scores(tmp_path):
    folder = tmp_path / "MOSEI"
    folder.mkdir()
    net = network(6)
    write_state(net, folder / "fusion.safetensors")
    head = load_paper_head(folder / "fusion.safetensors", encoders=ENCODERS, own_heads={})
    fusion_input = given(*MODALITIES)
    z = transcribed(net, kept(fusion_input, ALL), "softmax")
    order = ("Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust")
    values = head.probabilities(fusion_input)[ALL]
    np.testing.assert_allclose(
        values[[LABELS.index(label) for label in order]], 1 / (1 + np.exp(-z)), atol=2e-6
    )
    assert np.isnan(values[LABELS.index("Neutral")])
    assert "multi-label" in head.notices[1]
    assert head.notices[2].endswith("does not know Neutral")
    made = DecisionMaker(load_config("live").decision, head, 0.1)
    for index in range(3):
        window = Window(index, index * 0.1, given("face", "text", seed=index), {}, 1.0, {}, "", "")
        decision = made.decide(window)
    assert np.isnan(decision.probabilities).tolist() == [True] + [False] * 6
    record = estimate_of(decision).to_record()
    assert record["Neutral"] is None
    assert record["contribution_face"][0] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_six_classes_of_nobody_knows_what_are_refused(tmp_path):
    write_state(network(6), tmp_path / "head.pth")
    with pytest.raises(SpecMismatch, match=r"6 classes, and the file does not name them.*MOSEI"):
        load_paper_head(tmp_path / "head.pth", encoders=ENCODERS, own_heads={})


def test_what_is_no_head_is_refused_in_one_line(tmp_path):
    write_state(network(), tmp_path / "head.pth")

    def load(head=tmp_path / "head.pth", **options):
        load_paper_head(head, encoders=ENCODERS, **{"own_heads": {}, **options})

    with pytest.raises(WeightsMissing, match=r"neither card.json nor fusion.pth"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="has no head for every subset; train them with"):
        load(missing="subset")
    with pytest.raises(ConfigError, match="temperature of 'faces': not one of"):
        load(temperatures={"faces": 1.0})
    with pytest.raises(ConfigError, match="temperature of face: must be above 0"):
        load(temperatures={"face": 0.0})
    wrong = {**own_heads(), "audio": own_heads()["text"]}
    with pytest.raises(SpecMismatch, match=r"reads 8 numbers of audio, the encoder in use .* 12"):
        load(own_heads=wrong)
    with pytest.raises(SpecMismatch, match="the face encoder has no classifier of its own"):
        load(None)


def test_late_fusion_without_a_head():
    head = load_paper_head(None, encoders=ENCODERS, own_heads=own_heads(), late_weights="published")
    assert head.head_id == "late-published"
    assert len(head.probabilities(given(*MODALITIES))) == 7
    warmer = load_paper_head(
        None, encoders=ENCODERS, own_heads=own_heads(), temperatures={"face": 9.0}
    )
    one = frozenset({"face"})
    values = warmer.probabilities(given("face"))[one]
    assert values.max() < head.probabilities(given("face"))[one].max()
