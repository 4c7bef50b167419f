"""Folding of words, and the text encoder's contract."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from realtime_er.encoders.bundle import write_card
from realtime_er.encoders.text import TextEncoder, fold_words
from realtime_er.errors import SpecMismatch, WeightsMissing
from realtime_er.messages import LABELS

PIECES = ("[UNK]", "i", "am", "so", "happy", "!", "##s")


def write_encoder(folder, **changes):
    """Logits and embedding are the mean of table rows."""
    table = np.random.default_rng(1).normal(size=(len(PIECES), 7)).astype(np.float32)
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
    pieces = {piece: row for row, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(4, direction="left")
    tokenizer.save(str(folder / "tokenizer.json"))
    card = {
        "id": "text-1",
        "kind": "text",
        "file": "model.onnx",
        "tokenizer": {"file": "tokenizer.json"},
        "licence": "MIT",
        "labels": list(LABELS),
        "label_map": {label: [label] for label in LABELS},
        "embedding_dim": 7,
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


def test_encoder_gives_embedding_and_logits(tmp_path):
    encoder = TextEncoder(write_encoder(tmp_path))
    embedding, logits = encoder.encode("I am so happy")
    assert encoder.encoder_id == "text-1"
    assert encoder.dim == 7
    assert embedding.shape == logits.shape == (7,)
    assert embedding.dtype == logits.dtype == np.float32
    np.testing.assert_array_equal(encoder.encode("i am SO happy")[1], logits)
    assert (encoder.encode("I am so happy!")[1] != logits).any()


def test_of_a_long_text_the_newest_tokens_are_read(tmp_path):
    encoder = TextEncoder(write_encoder(tmp_path))
    whole = encoder.encode("happy so so so so i am so happy")[1]
    np.testing.assert_array_equal(whole, encoder.encode("i am so happy")[1])


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_text_without_words_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match="no word"):
        TextEncoder(write_encoder(tmp_path)).encode(text)


def test_a_contradicting_card_is_refused(tmp_path):
    with pytest.raises(SpecMismatch):
        TextEncoder(write_encoder(tmp_path, kind="face"))
    with pytest.raises(SpecMismatch, match="tokenizer"):
        TextEncoder(write_encoder(tmp_path, tokenizer=None))


def test_the_tokenizer_is_part_of_what_the_card_describes(tmp_path):
    folder = write_encoder(tmp_path)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    with pytest.raises(SpecMismatch, match="sha256"):
        TextEncoder(folder)
    path.unlink()
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json"):
        TextEncoder(folder)
