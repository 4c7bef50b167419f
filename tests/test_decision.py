import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.decision import DecisionMaker, attribute, fade_text
from realtime_er.fusion.head import FusionInput
from realtime_er.messages import LABELS, MODALITIES
from realtime_er.windows import Window
from tests.fakes import TableHead

ONE = np.ones(2, np.float32)


def window(index, *present, weight=1.0):
    vectors = {m: ONE if m in present else None for m in MODALITIES}
    return Window(index, index * 0.1, FusionInput(**vectors), {}, weight, {}, "", "")


def maker(head, **overrides):
    config = load_config("live", {f"decision.{k}": v for k, v in overrides.items()})
    return DecisionMaker(config.decision, head, 0.1)


def leaning(label, share):
    scores = np.full(7, (1 - share) / 6, np.float32)
    scores[LABELS.index(label)] = share
    return scores


def test_contributions_sum_to_score_minus_prior_for_all_subsets():
    head = TableHead()
    for subset in head.table:
        made = maker(head, smoothing_s=0.3)
        for index in range(5):
            decision = made.decide(window(index, *subset, weight=0.7))
        total = sum(decision.contributions.values())
        np.testing.assert_allclose(total, decision.probabilities - head.prior, atol=1e-6)
        for modality in set(MODALITIES) - subset:
            assert not decision.contributions[modality].any()


def test_the_sum_holds_while_modalities_come_and_go():
    head = TableHead()
    made = maker(head, smoothing_s=0.3)
    for index, present in enumerate((["face"], MODALITIES, ["text"], ["audio", "text"], ["face"])):
        decision = made.decide(window(index, *present, weight=0.4))
        total = sum(decision.contributions.values())
        np.testing.assert_allclose(total, decision.probabilities - head.prior, atol=1e-6)
        assert decision.probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_nothing_present_is_nothing_published():
    made = maker(TableHead())
    made.decide(window(0, "face"))
    decision = made.decide(window(1))
    assert decision.label is None
    assert decision.confidence == 0.0
    assert np.isnan(decision.probabilities).all()
    assert not any(c.any() for c in decision.contributions.values())


def test_expired_words_leave_nothing_behind():
    head = TableHead()
    values = head.table
    faded = fade_text(values, head.prior, 0.0)
    np.testing.assert_allclose(faded[frozenset({"text"})], head.prior)
    both = frozenset({"face", "text"})
    np.testing.assert_allclose(faded[both], values[frozenset({"face"})])
    result = attribute(head, FusionInput(face=ONE, audio=None, text=ONE), 0.0)
    assert result is not None
    assert not result[1]["text"].any()


def test_smoothing_has_its_time_constant():
    a, b = leaning("Happy", 0.9), leaning("Sad", 0.9)
    head = TableHead({frozenset({"face"}): a, frozenset({"audio"}): b})
    made = maker(head, smoothing_s=0.5)
    made.decide(window(0, "face"))
    for index in range(1, 6):  # one time constant
        decision = made.decide(window(index, "audio"))
    rest = (decision.probabilities[1] - b[1]) / (a[1] - b[1])
    assert rest == pytest.approx(np.exp(-1), abs=1e-5)


def test_label_has_hysteresis_and_abstains():
    table = {
        frozenset({"face"}): leaning("Happy", 0.40),
        frozenset({"audio"}): np.array([0, 0.40, 0.44, 0.16, 0, 0, 0], np.float32),
        frozenset({"text"}): leaning("Angry", 0.25),
    }
    made = maker(TableHead(table), smoothing_s=0.0, enter_margin=0.05, abstain_below=0.3)
    assert made.decide(window(0, "face")).label == "Happy"
    assert made.decide(window(1, "audio")).label == "Happy"
    decision = made.decide(window(2, "text"))
    assert (decision.label, decision.confidence) == (None, pytest.approx(0.25))
    fresh = maker(TableHead(table), smoothing_s=0.0)
    assert fresh.decide(window(0, "audio")).label == "Sad"
