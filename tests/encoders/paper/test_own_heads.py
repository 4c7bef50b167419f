"""The classifiers that come with the encoders, taken off them."""

import numpy as np
import pytest

pytest.importorskip("torch")

from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
from realtime_er.encoders.paper.own_labels import project_label
from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder
from realtime_er.fusion.head import FusionInput, statistics
from realtime_er.fusion.paper_head import load_paper_head
from realtime_er.messages import LABELS
from tests.encoders.paper import tiny


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    tiny.write_face(folder / "face")
    tiny.write_audio(folder / "audio")
    tiny.write_text(folder / "text")
    return {
        "face": EmoAffectNetEncoder(folder / "face"),
        "audio": Wav2Vec2Encoder(folder / "audio"),
        "text": DistilRobertaEncoder(folder / "text"),
    }


def described(encoders):
    """Features and logits of three faces, two windows of sound and one text."""
    rng = np.random.default_rng(4)
    return {
        "face": encoders["face"].encode(rng.normal(0, 40, (3, 3, 48, 48)).astype(np.float32)),
        "audio": encoders["audio"].encode(rng.normal(0, 0.1, (2, 1600)).astype(np.float32)),
        "text": encoders["text"].encode(["he is here"]),
    }


def test_they_give_the_encoders_own_logits(encoders):
    for name, (features, logits) in described(encoders).items():
        own = encoders[name].own_head
        np.testing.assert_allclose(own.logits(features), logits, atol=2e-5)
        np.testing.assert_allclose(own.logits(features[0]), logits[0], atol=2e-5)
        assert own.labels == encoders[name].labels
        assert own.dim == encoders[name].dim
        with pytest.raises(ValueError, match="vectors of"):
            own.logits(features[:, 1:])


def test_the_mean_of_windows_of_sound_is_exact(encoders):
    features, logits = described(encoders)["audio"]
    np.testing.assert_allclose(
        encoders["audio"].own_head.logits(features.mean(axis=0)), logits.mean(axis=0), atol=2e-5
    )


def test_tiny_encoders_make_a_head_by_themselves(encoders):
    found = described(encoders)
    head = load_paper_head(
        None,
        encoders={name: encoder.encoder_id for name, encoder in encoders.items()},
        own_heads={name: encoder.own_head for name, encoder in encoders.items()},
    )
    values = head.probabilities(
        FusionInput(
            face=statistics(found["face"][0]),
            audio=statistics(found["audio"][0]),
            text=found["text"][0][0],
        )
    )
    assert len(values) == 7
    assert all(value.sum() == pytest.approx(1.0, abs=1e-5) for value in values.values())
    # The text head's order is alphabetical: its scores arrive under their names.
    z = found["text"][1][0].astype(np.float64)
    shares = np.exp(z) / np.exp(z).sum()
    for name, share in zip(encoders["text"].labels, shares, strict=True):
        place = LABELS.index(project_label(name))
        assert values[frozenset({"text"})][place] == pytest.approx(share, abs=1e-5)
