"""The text encoder: published sizes, its equations, padding, length, tokenizer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.distilroberta import (  # noqa: E402
    DISTILROBERTA,
    DistilRobertaEncoder,
    EmotionRoberta,
)
from realtime_er.errors import SpecMismatch, WeightsMissing  # noqa: E402
from tests.encoders.paper import tiny, transcribed  # noqa: E402
from tests.encoders.paper.published import assert_published  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def _library():
    torch.set_num_threads(1)
    pytest.importorskip("transformers")
    from transformers import RobertaModel  # noqa: F401 - seconds, once


@pytest.fixture
def encoder(tmp_path):
    return DistilRobertaEncoder(tiny.write_text(tmp_path).parent)


def test_full_size_has_the_published_entries(shared_dir):
    with torch.device("meta"):
        net = EmotionRoberta()
    assert_published(net, shared_dir / "keys" / "mer_text.txt", entries=105, count=82_123_783)
    norms = [module.eps for module in net.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert set(norms) == {1e-5}
    assert net.max_tokens == 512
    assert DISTILROBERTA["num_hidden_layers"] == 6


def test_agrees_with_the_equations_before_the_tanh(encoder):
    features, logits = encoder.encode(["hey, there"])
    ids = encoder.tokens("hey, there")
    assert (ids[0], ids[-1]) == (0, 2)
    p = transcribed.weights(tiny.make_text())
    expected = transcribed.roberta(np.array(ids), p, tiny.TEXT_CONFIG)
    assert np.abs(features).max() > 1.0, "taken after the tanh"
    np.testing.assert_allclose(features[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(logits[0], expected[1], atol=1e-5)


def test_neighbours_and_padding_have_no_influence(encoder):
    texts = ["a", "a much longer text", "", "hey", "Grüße, 你好"]
    together, logits = encoder.encode(texts)
    for index, text in enumerate(texts):
        alone, own = encoder.encode([text])
        np.testing.assert_allclose(alone[0], together[index], atol=2e-6)
        np.testing.assert_allclose(own[0], logits[index], atol=2e-6)
    assert encoder.encode([])[0].shape == (0, 16)


def test_padding_token_ids_have_no_influence():
    net = tiny.make_text()
    ids = torch.tensor([[0, 50, 60, 2, 1, 1]])
    other = torch.tensor([[0, 50, 60, 2, 99, 77]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.no_grad():
        torch.testing.assert_close(net(ids, mask), net(other, mask))


def test_case_and_merges_are_kept(encoder):
    assert encoder.tokens("") == [0, 2]
    assert len(encoder.tokens("he")) == 3  # one merged piece
    assert len(encoder.tokens("HE")) == 4
    assert encoder.tokens("a") != encoder.tokens("A")


def test_long_texts_are_cut_to_what_can_be_placed(encoder):
    ids = encoder.tokens("x" * 500)
    assert len(ids) == 24  # 26 positions, the first two never used
    assert ids[-1] == 2
    features, _ = encoder.encode(["x" * 500, "y"])
    assert np.isfinite(features).all()


def test_labels_are_those_of_the_files(encoder):
    assert encoder.labels[3] == "joy"
    assert encoder.dim == 16


def test_an_old_position_buffer_is_tolerated(tmp_path):
    path = tiny.write_text(tmp_path)
    state = tiny.contiguous(tiny.make_text())
    state["roberta.embeddings.position_ids"] = torch.arange(26)[None]
    torch.save(state, path)
    assert DistilRobertaEncoder(tmp_path).encode(["hey"])[0].shape == (1, 16)


def test_a_bare_file_takes_its_tokenizer_from_elsewhere(tmp_path):
    path = tiny.write_text(tmp_path / "hub")
    expected, _ = DistilRobertaEncoder(tmp_path / "hub").encode(["hey"])
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((tmp_path / "hub" / "config.json").read_bytes())
    path.rename(bare / "text.pth")
    with pytest.raises(WeightsMissing, match="name the tokenizer's folder"):
        DistilRobertaEncoder(bare / "text.pth")
    encoder = DistilRobertaEncoder(bare / "text.pth", tokenizer=tmp_path / "hub")
    np.testing.assert_array_equal(encoder.encode(["hey"])[0], expected)


def test_the_fast_tokenizers_file_alone_is_enough(tmp_path, encoder):
    from transformers import AutoTokenizer

    expected = encoder.tokens("hey, there")
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    tokenizer.save_pretrained(str(tmp_path))
    assert (tmp_path / "tokenizer.json").is_file()
    assert DistilRobertaEncoder(tmp_path).tokens("hey, there") == expected


def test_another_tokenizer_is_refused(tmp_path):
    import json

    tiny.write_text(tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    vocabulary.update({f"piece{index}": 300 + index for index in range(40)})
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(SpecMismatch, match="270 word pieces"):
        DistilRobertaEncoder(tmp_path)
