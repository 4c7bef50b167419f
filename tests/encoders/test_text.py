"""Folding and hashing of words, and the text encoder's contract."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from realtime_er.encoders.bundle import write_card
from realtime_er.encoders.text import (
    MAX_WORDS,
    HashingSpec,
    TextEncoder,
    fold_words,
    hash_words,
)
from realtime_er.errors import SpecMismatch
from realtime_er.messages import LABELS

SPEC = HashingSpec(word_rows=40, pair_rows=30, gram_rows=20, gram_lengths=(3,))


def write_encoder(folder, **changes):
    """Logits and embedding are the mean of table rows."""
    table = np.random.default_rng(1).normal(size=(SPEC.rows, 7)).astype(np.float32)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows", "axes"], ["logits"], keepdims=0),
            helper.make_node("Identity", ["logits"], ["embedding"]),
        ],
        "text",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "T"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 7])
            for name in ("embedding", "logits")
        ],
        [numpy_helper.from_array(table, "table"), axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    card = {
        "id": "text-1",
        "kind": "text",
        "file": "model.onnx",
        "licence": "MIT",
        "labels": list(LABELS),
        "label_map": {label: [label] for label in LABELS},
        "embedding_dim": 7,
        "input": {"hashing": SPEC.to_card()},
        **changes,
    }
    write_card(folder, card)
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t you DARE!", ["dont", "you", "dare"]),
        ("na\u00efve caf\u00e9", ["naive", "cafe"]),
        ("Sooooo good\u2026", ["soo", "good"]),
        ("well-known, 3rd", ["well", "known", "3rd"]),
        ("Stra\u00dfe", ["strasse"]),
        (" ... \n", []),
        ("", []),
    ],
)
def test_words_are_folded(text, words):
    assert fold_words(text) == words


def test_punctuation_and_case_change_nothing():
    written = "What?! I can't believe it -- you won, Joey."
    heard = "what i cant believe it you won joey"
    np.testing.assert_array_equal(
        hash_words(fold_words(written), SPEC), hash_words(fold_words(heard), SPEC)
    )


def test_ids_are_stable_and_within_the_table():
    ids = hash_words(["i", "am", "happy"], HashingSpec())
    assert ids.dtype == np.int64
    assert ids.min() >= 1
    assert ids.max() < HashingSpec().rows == 65_536
    # crc32 of the words, so the same on every machine and in every run.
    assert list(ids[:2]) == [22_130, 5_629]
    np.testing.assert_array_equal(ids, hash_words(["i", "am", "happy"], HashingSpec()))


def test_word_order_matters_through_pairs():
    one, other = (hash_words(words, SPEC) for words in (["not", "good"], ["good", "not"]))
    assert sorted(one) != sorted(other)


def test_only_the_last_words_are_read():
    words = [f"w{number}" for number in range(MAX_WORDS + 20)]
    np.testing.assert_array_equal(hash_words(words, SPEC), hash_words(words[20:], SPEC))


def test_encoder_gives_embedding_and_logits(tmp_path):
    encoder = TextEncoder(write_encoder(tmp_path))
    embedding, logits = encoder.encode("I am so happy!")
    assert encoder.encoder_id == "text-1"
    assert encoder.dim == 7
    assert embedding.shape == logits.shape == (7,)
    assert embedding.dtype == logits.dtype == np.float32
    np.testing.assert_array_equal(encoder.encode("i am SO happy")[1], logits)


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_text_without_words_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="no word"):
        TextEncoder(write_encoder(tmp_path)).encode(text)


@pytest.mark.parametrize("change", [{"kind": "face"}, {"input": {}}])
def test_a_contradicting_card_is_refused(tmp_path, change):
    with pytest.raises(SpecMismatch):
        TextEncoder(write_encoder(tmp_path, **change))
