"""Folds, triples, weights and temperatures of the fusion trainer, on made-up vectors."""

from functools import partial

import numpy as np
import pytest
import torch

from realtime_er.errors import CorpusError
from realtime_er.messages import MODALITIES
from realtime_er.resources import resource_dir
from realtime_er.training.fusion import scores as fusion_scores
from realtime_er.training.fusion import train as fusion
from realtime_er.training.fusion.scores import (
    ask,
    even_weights,
    read_answers,
    redraws,
    save_answers,
    weighted_accuracy,
)
from realtime_er.training.fusion.sources import (
    FOLDS,
    SPEAKER_FOLDS,
    Folded,
    Source,
    _folds,
    draw_triples,
    face_source,
)
from realtime_er.training.fusion.train import cross_fit, fit, logits_of
from realtime_er.training.metrics import unweighted_average_recall
from realtime_er.training.recipes import FusionRecipe
from realtime_er.training.speech.train import HELD_OUT
from realtime_er.training.text.train import embed_dev


def source(size, seed, rows=70):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 7
    vectors = rng.normal(size=(rows, size)) + 3.0 * (np.arange(size) % 7 == labels[:, None])
    return Source(vectors.astype(np.float32), labels, np.arange(rows))


def sources():
    sizes = zip(MODALITIES, (14, 21, 7), strict=True)
    return {name: source(size, seed) for seed, (name, size) in enumerate(sizes)}


def folded():
    folds = np.arange(70) // 7 % FOLDS
    return {name: Folded(one, folds, np.ones(70, np.bool_)) for name, one in sources().items()}


def test_a_group_stays_in_one_fold_and_every_label_is_in_every_fold():
    groups = np.array([f"g{row // 2:03d}" for row in range(280)])
    labels = np.repeat(np.arange(140) % 7, 2)
    folds = _folds(groups, labels, 1)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    for fold in range(FOLDS):
        assert set(labels[folds == fold]) == set(range(7))


def test_equal_pictures_are_one_clip_in_one_fold(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (12, 48, 48), dtype=np.uint8)
    images[9:] = images[:3]
    votes = np.zeros((12, 10), np.uint8)
    votes[:, 0] = 10
    (tmp_path / "ferplus").mkdir()
    np.savez(tmp_path / "ferplus" / "valid.npz", images=images, votes=votes)
    found = face_source(tmp_path, resource_dir("assets") / "models" / "compact-face", 1)
    assert set(found.source.clips.tolist()) == set(range(9))
    for clip in range(3):
        rows = found.source.clips == clip
        assert rows.sum() >= 4
        assert len(set(found.folds[rows].tolist())) == 1


def test_a_text_said_twice_stands_once(tmp_path):
    for corpus, name, content in (
        ("goemotions", "labels.txt", "anger\nneutral\n"),
        ("goemotions", "dev.tsv", "Thank you!\t1\ta\nStop it.\t0\tb\nTHANK YOU !\t1\tc\n"),
        ("meld", "dev_sent_emo.csv", "Utterance,Speaker,Emotion,Dialogue_ID,Season,Episode\n"
         "Thank you!,Ada,joy,1,1,1\nHello.,Ada,joy,1,1,1\n"),
    ):  # fmt: skip
        (tmp_path / corpus).mkdir(exist_ok=True)
        (tmp_path / corpus / name).write_text(content)
    found = embed_dev(tmp_path, resource_dir("assets") / "models" / "compact-text")
    assert found["group"].tolist() == ["goemotions-a", "goemotions-b", "meld-dev-1"]
    assert found["labels"].tolist() == [0, 6, 1]
    assert len(found["embedding"]) == len(found["logits"]) == 3


def test_every_speaker_held_out_is_in_one_fold():
    assert sorted(one for fold in SPEAKER_FOLDS for one in fold) == sorted(HELD_OUT)
    assert len(SPEAKER_FOLDS) == FOLDS


def test_triples_are_balanced_and_matched_by_label():
    given = sources()
    rows, labels = draw_triples(given, 35, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(labels), np.full(7, 5))
    for name in MODALITIES:
        np.testing.assert_array_equal(given[name].labels[rows[name]], labels)


def test_weights_make_every_label_count_the_same():
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = even_weights(labels)
    np.testing.assert_allclose(np.bincount(labels, weights), 1 / 3)
    guesses = np.eye(7)[[0, 0, 1, 1, 2, 0]]
    recall = unweighted_average_recall(labels, guesses.argmax(axis=1))
    assert weighted_accuracy(labels, guesses, weights) == pytest.approx(recall)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_fit_learns_all_subsets_and_repeats_itself(one_thread):
    given = sources()
    recipe = FusionRecipe(epochs=2, triples=700, rate=5e-3)
    nets = [fit(given, recipe) for _ in range(2)]
    first, second = (ask(partial(logits_of, net), given, 70, 3) for net in nets)
    for name, one in first.items():
        np.testing.assert_array_equal(one.logits, second[name].logits)
        assert (one.logits.argmax(axis=1) == one.labels).mean() > 0.5
        assert set(one.clips) == set(name.split("+"))


def test_folds_are_told_by_heads_that_never_saw_them(monkeypatch, one_thread, tmp_path):
    taught = []

    def fitted(parts, recipe, **_):
        taught.append({name: set(one.clips.tolist()) for name, one in parts.items()})
        return fit(parts, FusionRecipe(epochs=1, triples=70))

    monkeypatch.setattr(fusion, "fit", fitted)
    monkeypatch.setattr(fusion, "_SCORED_TRIPLES", 35)
    monkeypatch.setattr(fusion_scores, "DRAWS", 2)
    table, found = cross_fit(folded(), FusionRecipe())
    assert len(taught) == FOLDS
    for fold, seen in enumerate(taught):
        apart = folded()["face"].of(fold).clips
        assert not seen["face"] & set(apart.tolist())
    assert len(table["face"].labels) == 70
    assert len(table["face+text"].labels) == FOLDS * 35
    assert set(found) == set(table)
    for drawn in redraws(table, 1):
        np.testing.assert_allclose(np.bincount(table["text"].labels, drawn["text"]), 1 / 7)
    path = tmp_path / "folds.npz"
    save_answers(path, table, "abc")
    again = read_answers(path, "abc")
    np.testing.assert_allclose(again["audio"].logits, table["audio"].logits, rtol=2e-3)
    np.testing.assert_array_equal(again["face+audio"].clips["audio"],
                                  table["face+audio"].clips["audio"])  # fmt: skip
    with pytest.raises(CorpusError, match="another head"):
        read_answers(path, "abd")
