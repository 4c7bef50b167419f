"""Parts, triples and temperatures of the fusion trainer, on made-up vectors."""

import numpy as np
import pytest
import torch

from realtime_er.messages import MODALITIES
from realtime_er.training import fusion
from realtime_er.training.fusion import find_temperature, fit, subset_logits
from realtime_er.training.fusion_sources import (
    PARTS,
    Source,
    _parts,
    draw_triples,
)


def source(size, seed, rows=70):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 7
    vectors = rng.normal(size=(rows, size)) + 3.0 * (np.arange(size) % 7 == labels[:, None])
    return Source(vectors.astype(np.float32), labels, np.arange(rows))


def sources():
    sizes = zip(MODALITIES, (14, 21, 7), strict=True)
    return {name: source(size, seed) for seed, (name, size) in enumerate(sizes)}


def test_a_group_stays_in_one_part_and_every_label_is_in_every_part():
    groups = np.array([f"g{row // 2:03d}" for row in range(280)])
    labels = np.repeat(np.arange(140) % 7, 2)
    parts = np.array(_parts(groups, labels, 1))
    for group in np.unique(groups):
        assert len(set(parts[groups == group])) == 1
    for part in PARTS:
        assert set(labels[parts == part]) == set(range(7))


def test_triples_are_balanced_and_matched_by_label():
    given = sources()
    drawn, labels = draw_triples(given, 35, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(labels), np.full(7, 5))
    for name in MODALITIES:
        for vector, label in zip(drawn[name], labels, strict=True):
            row = np.flatnonzero((given[name].vectors == vector).all(axis=1))
            assert given[name].labels[row] == label


def test_resampling_keeps_every_label():
    again = source(7, 0).resampled(np.random.default_rng(1))
    np.testing.assert_array_equal(np.bincount(again.labels), np.full(7, 10))
    assert len(np.unique(again.clips)) < 70


def test_temperature_is_found_again():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4000, 7)) * 2.0
    powers = np.exp(logits)
    chosen = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
    labels = (rng.random((4000, 1)) > chosen).sum(axis=1).clip(max=6)
    assert find_temperature(2.0 * logits, labels) == pytest.approx(2.0, rel=0.1)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_fit_learns_all_subsets_and_repeats_itself(monkeypatch, one_thread):
    monkeypatch.setattr(fusion, "_TRIPLES_PER_EPOCH", 7 * 100)
    monkeypatch.setattr(fusion, "_RATE", 5e-3)
    given = sources()
    nets = [fit(given, seed=1, epochs=2) for _ in range(2)]
    drawn, labels = draw_triples(given, 70, np.random.default_rng(3))
    first, second = (subset_logits(net, drawn) for net in nets)
    for name, logits in first.items():
        np.testing.assert_array_equal(logits, second[name])
        assert (logits.argmax(axis=1) == labels).mean() > 0.5
