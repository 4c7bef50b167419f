"""The text encoder's recipe: vocabulary, noise, rounding, schedule, and the file it becomes."""

import csv

import numpy as np
import pytest
import torch

from realtime_er.encoders.runtimes import onnx_session
from realtime_er.messages import LABELS
from realtime_er.training.corpora.text_rows import TextRow, one_hot
from realtime_er.training.text import fit as text_fit
from realtime_er.training.text import model as text_model
from realtime_er.training.text import vocabulary as text_vocabulary
from realtime_er.training.text.export import export
from realtime_er.training.text.fit import fit, log_shares, split_rows
from realtime_er.training.text.model import BLOCK, TextNet, four_bits
from realtime_er.training.text.noise import bare, heard
from realtime_er.training.text.train import choose_offsets
from realtime_er.training.text.vocabulary import cut_vocabulary, make_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
BASE = [
    "[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "!", ",", "'", *LETTERS,
    *(f"##{letter}" for letter in LETTERS), "zebra", "happy", "sad", "very", "##ness", "you", "...",
]  # fmt: skip
ROWS = {piece: row for row, piece in enumerate(BASE)}


def rows_of(corpus, texts, label="Happy"):
    return [TextRow(text, one_hot(label), f"g{n}", "", corpus) for n, text in enumerate(texts)]


@pytest.fixture
def small(monkeypatch):
    """Two layers, the lower one frozen."""
    monkeypatch.setattr(text_model, "LAYERS", 2)
    monkeypatch.setattr(text_fit, "LAYERS", 2)
    monkeypatch.setattr(text_fit, "FROZEN_LAYERS", 1)


def test_four_bits_keep_the_largest_and_err_by_at_most_a_level():
    weight = torch.randn(5, 4 * BLOCK, generator=torch.Generator().manual_seed(1))
    weight[0, :BLOCK] = 0.0
    levels, scale = four_bits(weight)
    assert set(levels.unique().tolist()) <= set(map(float, range(16)))
    back = ((levels - 8.0) * scale).double()
    blocks = weight.double().reshape(back.shape)
    error = (back - blocks).abs()
    # One level where the largest magnitude's opposite would need a seventeenth, else half a level.
    assert (error <= scale.abs() * 1.0001).all()
    assert (error <= scale.abs() / 2 * 1.0001)[levels < 15].all()
    at = blocks.abs().argmax(dim=2, keepdim=True)
    torch.testing.assert_close(back.gather(2, at), blocks.gather(2, at), rtol=1e-6, atol=0)


def test_the_cut_vocabulary_spells_what_it_dropped():
    pieces = cut_vocabulary(ROWS, ["happy happy you", "very happy"], size=len(BASE) - 4)
    assert pieces[:4] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    assert "zebra" not in pieces
    assert "happy" in pieces
    tokenizer = make_tokenizer(pieces)
    ids = tokenizer.encode("ZEBRA happy!").tokens
    assert ids == ["[CLS]", "z", "##e", "##b", "##r", "##a", "happy", "!", "[SEP]"]
    assert tokenizer.encode("You\u2019re").tokens == tokenizer.encode("you're").tokens
    long = tokenizer.encode("sad " * 100 + "happy")
    assert len(long.ids) == text_vocabulary.MAX_TOKENS
    assert (long.tokens[0], *long.tokens[-2:]) == ("[CLS]", "happy", "[SEP]")


def test_half_of_the_views_lose_their_punctuation():
    rng = np.random.default_rng(1)
    text = "Well, I know you're HERE, and that is too much!"
    views = [heard(text, rng) for _ in range(2000)]
    assert np.mean([view == text for view in views]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([view == bare(text) for view in views]) == pytest.approx(0.2, abs=0.06)
    others = [view for view in views if view not in (text, bare(text))]
    assert all(view == bare(view) and view for view in others)
    assert heard("?!", rng) == "?!"


def test_held_out_groups_are_whole_and_share_no_sentence():
    texts = [f"number {n} says a few words" for n in range(100)]
    rows = rows_of("meld", texts) + rows_of("emorynlp", [*texts, "yes"])
    learned, held = split_rows(rows, 1)
    assert len(held) == 5 + 5
    told = {row.text for row in held}
    assert not told & {row.text for row in learned}
    groups = {(row.corpus, row.group) for row in held}
    assert not groups & {(row.corpus, row.group) for row in learned}


def test_the_strength_of_a_corpus_offset_is_what_scores_best():
    rows = rows_of("meld", ["a"] * 8, "Neutral") + rows_of("meld", ["b"] * 2, "Sad")
    shares = {"meld": log_shares(rows)["meld"]}
    assert shares["meld"][0] == pytest.approx(np.log(0.8))
    assert shares["meld"][1] == pytest.approx(np.log(1e-3))
    sad = LABELS.index("Sad")
    logits = np.zeros((10, 7), np.float32)
    logits[:8, sad] = 0.9  # only three quarters of log 4 and more turn these to Neutral
    logits[8:, sad] = 1.2  # and the whole of it would turn these as well
    offset = choose_offsets(logits, rows, shares)["meld"]
    np.testing.assert_allclose(offset, 0.75 * shares["meld"])


@pytest.mark.usefixtures("small")
def test_going_on_from_a_checkpoint_equals_going_through(tmp_path):
    tokenizer = make_tokenizer([piece for piece in BASE if piece != "[unused0]"])
    rows = rows_of("goemotions", ["happy you", "very happy !", "you", "a b c"])
    rows += rows_of("meld", ["sad", "very sad , you", "no"], "Sad")

    def start():
        torch.manual_seed(3)
        return TextNet(len(BASE))

    def stop(state):
        if state.epoch == 1:
            raise InterruptedError

    nets = []
    for folder, watch in ((tmp_path / "a", None), (tmp_path / "b", stop)):
        folder.mkdir()
        try:
            net = fit(start(), tokenizer, rows, rows[:2], folder, seed=1, epochs=2, progress=watch)
        except InterruptedError:
            net = fit(start(), tokenizer, rows, rows[:2], folder, seed=1, epochs=2)
        nets.append(net.state_dict())
        with (folder / "curves.csv").open() as stream:
            assert [line["epoch"] for line in csv.DictReader(stream)] == ["1", "2"]
    fresh = start().state_dict()
    for name, values in nets[0].items():
        assert torch.equal(values, nets[1][name]), name
        frozen = name.startswith(("words", "places", "norm", "layers.0"))
        assert torch.equal(values, fresh[name]) == frozen, name


@pytest.mark.usefixtures("small")
def test_the_file_computes_what_the_network_does(tmp_path):
    torch.manual_seed(1)
    net = TextNet(60).eval()
    export(net, tmp_path / "model.onnx")
    session = onnx_session(tmp_path / "model.onnx")
    for length in (1, 7, text_vocabulary.MAX_TOKENS):
        ids = torch.randint(1, 60, (1, length))
        with torch.no_grad():
            expected = [one.numpy() for one in net(ids)]
        found = session.run(["embedding", "logits"], {"ids": ids.numpy()})
        # The file rounds what goes into a layer to eight bits as well.
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=0.03)
    batch = torch.tensor([[5, 6, 7, 0, 0], [8, 9, 10, 11, 12]])
    with torch.no_grad():
        alone, padded = net(batch[:1, :3])[1], net(batch)[1][:1]
    torch.testing.assert_close(alone, padded, rtol=1e-4, atol=1e-5)
