"""The head that ships fits the encoders that ship."""

from pathlib import Path

import numpy as np
import pytest

from realtime_er.encoders.bundle import load_card
from realtime_er.encoders.text import TextEncoder
from realtime_er.fusion.head import SUBSETS, FusionInput, OnnxFusionHead
from realtime_er.messages import LABELS

MODELS = Path(__file__).resolve().parents[2] / "assets" / "models"
ENCODER_OF = {"face": "compact-face", "audio": "compact-speech", "text": "compact-text"}

pytestmark = pytest.mark.skipif(
    not (MODELS / "compact-fusion" / "card.json").is_file(), reason="no compact bundle in assets"
)


def test_head_was_trained_on_exactly_these_encoders():
    card = load_card(MODELS / "compact-fusion")
    encoders = {name: load_card(MODELS / folder) for name, folder in ENCODER_OF.items()}
    OnnxFusionHead(card.folder, {name: one.id for name, one in encoders.items()})
    # Ids alone would not notice an encoder that was retrained under its old name.
    assert card.raw["encoder_sha256"] == {name: one.sha256 for name, one in encoders.items()}


def test_every_subset_answers_and_no_superset_scored_below_its_parts():
    card = load_card(MODELS / "compact-fusion")
    head = OnnxFusionHead(card.folder, {})
    values = head.probabilities(
        FusionInput(np.zeros(256, np.float32), np.zeros(192, np.float32), np.zeros(128, np.float32))
    )
    assert set(values) == set(SUBSETS)
    for value in values.values():
        assert value.sum() == pytest.approx(1.0, abs=1e-6)
    assert card.raw["superset_below_best_part"] == {}


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("thank you so much i love it", "Happy"),
        ("I'm so sorry for your loss, it makes me so sad.", "Sad"),
        ("That is disgusting!", "Disgust"),
        ("I am scared", "Fear"),
        ("i hate you, you make me so angry", "Angry"),
    ],
)
def test_plain_words_read_as_they_should(words, label):
    _, logits = TextEncoder(MODELS / "compact-text").encode(words)
    assert LABELS[int(logits.argmax())] == label
