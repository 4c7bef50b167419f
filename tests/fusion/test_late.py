"""Late fusion of the encoders' own classifiers, against a transcription that knows only names."""

import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.decision import DecisionMaker
from realtime_er.encoders.paper.own_heads import LinearHead
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.head import SUBSETS, FusionInput, shapley
from realtime_er.fusion.late import LateFusionHead, class_weights, label_columns
from realtime_er.messages import LABELS, MODALITIES, Absence, Estimate, Timing
from realtime_er.sinks.tables import row_of
from realtime_er.windows import Window

# The spellings and orders in which the published classifiers name their classes.
NAMES = {
    "face": LABELS,
    "audio": ("SAD", "ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL"),
    "text": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
}
MEANING = {
    "SAD": "Sad", "ANGRY": "Angry", "DISGUST": "Disgust", "FEAR": "Fear", "HAPPY": "Happy",
    "NEUTRAL": "Neutral", "anger": "Angry", "disgust": "Disgust", "fear": "Fear", "joy": "Happy",
    "neutral": "Neutral", "sadness": "Sad", "surprise": "Surprise", **{x: x for x in LABELS},
}  # fmt: skip
DIMS = {"face": 5, "audio": 4, "text": 6}
ACTIVATIONS = {"face": "relu", "audio": "none", "text": "tanh"}
ENCODERS = {name: f"tiny-{name}/0" for name in MODALITIES}
TEMPERATURES = {"face": 2.0, "audio": 0.5, "text": 1.25}


def estimate_of(decision):
    """An estimate with nothing in it but a decision."""
    return Estimate(
        0, 0.0, decision.label, decision.confidence, decision.probabilities,
        decision.contributions, {"face": Absence.OFF}, "", "", Timing(None, 0.0, {}, "watermark"),
    )  # fmt: skip


def own_heads(names=None):
    rng = np.random.default_rng(5)
    made = {}
    for name, labels in (names or NAMES).items():
        weight = rng.normal(size=(len(labels), DIMS[name])).astype(np.float32)
        bias = rng.normal(size=len(labels)).astype(np.float32)
        made[name] = LinearHead(tuple(labels), weight, bias, ACTIVATIONS[name])
    return made


def given(*present, seed=1):
    rng = np.random.default_rng(seed)
    sizes = {"face": 10, "audio": 8, "text": 6}
    vectors = {name: rng.normal(size=sizes[name]).astype(np.float32) for name in MODALITIES}
    return FusionInput(**{name: vectors[name] for name in present})


def transcribed(fusion_input, subset, weights, temperatures, names=None):
    """One subset by dictionaries, in float64."""
    heads = own_heads(names)
    by_label = {label: [] for label in LABELS}
    for name in subset:
        vector = fusion_input.of(name).astype(np.float64)[: DIMS[name]]
        active = {"face": np.maximum(vector, 0), "audio": vector, "text": np.tanh(vector)}[name]
        z = (heads[name].weight.astype(np.float64) @ active + heads[name].bias) / temperatures[name]
        p = np.exp(z) / np.exp(z).sum()
        for own, value in zip(heads[name].labels, p, strict=True):
            by_label[MEANING[own]].append((weights[name][MEANING[own]], value))
    scores = {
        label: sum(w * p for w, p in pairs) / sum(w for w, _ in pairs)
        for label, pairs in by_label.items()
        if pairs
    }
    silent = [label for label in LABELS if label not in scores]
    total = sum(scores.values())
    rest = 1.0 - len(silent) / 7
    return [1 / 7 if label in silent else rest * scores[label] / total for label in LABELS]


# The published order is Neutral, Angry, Disgust, Fear, Happy, Sad, Surprise.
PRINTED = ("Neutral", "Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise")
STATIC = dict(zip(PRINTED, (0.899, 0.104, 0.086, 0.044, 0.897, 0.027, 0.630), strict=True))
SPOKEN = dict(zip(PRINTED, (0.089, 0.683, 0.247, 0.018, 0.063, 0.487, 0.149), strict=True))
BY_HAND = {
    "equal": {name: dict.fromkeys(LABELS, 1.0) for name in MODALITIES},
    "published": {
        "face": STATIC,
        "audio": SPOKEN,
        "text": {label: (STATIC[label] + SPOKEN[label]) / 2 for label in LABELS},
    },
}


@pytest.mark.parametrize("kind", ["equal", "published"])
def test_every_subset_is_the_weighted_mean_by_name(kind):
    head = LateFusionHead(own_heads(), ENCODERS, weights=kind, temperatures=TEMPERATURES)
    fusion_input = given(*MODALITIES)
    found = head.probabilities(fusion_input)
    assert set(found) == set(SUBSETS)
    for subset, values in found.items():
        expected = transcribed(fusion_input, subset, BY_HAND[kind], TEMPERATURES)
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert values.sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", ["equal", "published"])
def test_weights_of_all_three_are_one_for_every_label(kind):
    weights = class_weights(kind)
    np.testing.assert_allclose(sum(weights.values()), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights["text"], 1 / 3, atol=1e-6)


def test_a_voice_without_surprise_leaves_it_where_it_stands():
    head = LateFusionHead(own_heads(), ENCODERS)
    place = LABELS.index("Surprise")
    only = head.probabilities(given("audio"))
    assert only[frozenset({"audio"})][place] == pytest.approx(1 / 7)
    parts = shapley(only, {"audio"}, head.prior)
    assert parts["audio"][place] == pytest.approx(0.0, abs=1e-7)


def test_a_label_that_nobody_knows_is_null_all_the_way():
    head = LateFusionHead({"audio": own_heads()["audio"]}, {"audio": "tiny-audio/0"})
    assert "Surprise" not in head.labels
    assert len(head.labels) == 6
    made = DecisionMaker(load_config("live").decision, head, 0.1)
    for index in range(3):
        window = Window(index, index * 0.1, given("audio", seed=index), {}, 1.0, {}, "", "")
        decision = made.decide(window)
    place = LABELS.index("Surprise")
    assert np.flatnonzero(np.isnan(decision.probabilities)).tolist() == [place]
    assert np.nansum(decision.probabilities) == pytest.approx(1.0, abs=1e-5)
    assert decision.confidence == np.nanmax(decision.probabilities)
    total = sum(decision.contributions.values())
    known = np.arange(7) != place
    np.testing.assert_allclose(
        total[known], (decision.probabilities - head.prior)[known], atol=1e-5
    )
    row = row_of(estimate_of(decision), "")
    assert row["Surprise"] is None
    assert row["contribution_audio_Surprise"] is None
    assert row["Angry"] == pytest.approx(float(decision.probabilities[6]))


def test_classes_without_a_column_are_left_out_before_the_softmax():
    logits = np.array([1.0, 30.0, 0.0], np.float32)
    values = label_columns(logits, ("happy", "contempt", "sad"), 1.0)
    shares = np.exp([1.0, 0.0]) / np.exp([1.0, 0.0]).sum()
    np.testing.assert_allclose(values[[1, 2]], shares, atol=1e-6)
    assert np.isnan(values[[0, 3, 4, 5, 6]]).all()


def test_classifiers_that_cannot_be_read_by_name_are_refused():
    nameless = {**own_heads(), "audio": LinearHead((), np.zeros((8, 4)), np.zeros(8))}
    with pytest.raises(SpecMismatch, match="audio encoder's own classifier has classes without"):
        LateFusionHead(nameless, ENCODERS)
    with pytest.raises(SpecMismatch, match="the face encoder has no classifier"):
        LateFusionHead({}, {"face": "x"})


def test_vectors_that_are_not_the_encoders_are_refused():
    head = LateFusionHead(own_heads(), ENCODERS)
    with pytest.raises(ValueError, match=r"face must be \[10\], got \[5\]"):
        head.probabilities(FusionInput(face=np.zeros(5, np.float32)))
    with pytest.raises(ValueError, match="not finite"):
        head.probabilities(FusionInput(text=np.full(6, np.nan, np.float32)))
    assert head.probabilities(FusionInput()) == {}
