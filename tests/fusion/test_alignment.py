"""AVEL and MEM against transcriptions in float64, and what they must never do."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.fusion import alignment  # noqa: E402

LABELS = [0, 2, 0, 1, 2, 0]


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def transcribed_avel(audio, video, labels, tau, positives, temperature):
    """Loop by loop from the specification, plain Python floats."""

    def unit(v):
        return [x / math.sqrt(sum(y * y for y in v)) for x in v]

    a, v = [unit(row) for row in audio], [unit(row) for row in video]
    cosine = [[sum(x * y for x, y in zip(p, q, strict=True)) for q in v] for p in a]
    if temperature == "released":
        s = [[c / tau for c in row] for row in cosine]
    else:
        s = [[c * math.exp(tau) for c in row] for row in cosine]
    directions = []
    for table in (s, [list(column) for column in zip(*s, strict=True)]):
        total = 0.0
        for i, row in enumerate(table):
            partition = sum(math.exp(x) for x in row)
            told = [-math.log(math.exp(x) / partition) for j, x in enumerate(row)
                    if labels[j] == labels[i]]  # fmt: skip
            total += sum(told) / (len(told) if positives == "mean" else 1)
        directions.append(total / len(table))
    return sum(directions) / 2


@pytest.mark.parametrize("positives", ["sum", "mean"])
@pytest.mark.parametrize("temperature", ["released", "clip"])
def test_avel_is_what_the_specification_says(positives, temperature):
    audio, video = numbers(6, 5, seed=1), numbers(6, 5, seed=2)
    tau = torch.tensor(math.log(1 / 0.07), dtype=torch.float64)
    labels = torch.tensor(LABELS)
    s = alignment.similarities(audio, video, tau, temperature)
    found = 0.5 * (
        alignment.contrast(s, labels, labels, positives)
        + alignment.contrast(s.T, labels, labels, positives)
    )
    wanted = transcribed_avel(
        audio.tolist(), video.tolist(), LABELS, float(tau), positives, temperature
    )
    assert float(found) == pytest.approx(wanted, rel=1e-12)
    if temperature == "released":  # shrunk, as published: the reason for the other name
        assert float(s.abs().max()) < 0.38


def test_mem_is_cross_entropy_over_own_and_drawn_pairs():
    own, drawn = numbers(4, 2, seed=3), numbers(3, 2, seed=4)
    total = 0.0
    for rows, wanted in ((own.tolist(), 1), (drawn.tolist(), 0)):
        for row in rows:
            total += math.log(sum(math.exp(x) for x in row)) - row[wanted]
    assert float(alignment.matching_loss(own, drawn)) == pytest.approx(total / 7, rel=1e-12)


def test_negatives_are_drawn_by_similarity_and_never_of_the_same_label():
    labels = torch.tensor(LABELS)
    similarity = numbers(6, 6, seed=5).float() * 2
    draws = 4000
    rows, columns = alignment.draw_negatives(
        similarity.repeat(draws, 1), labels.repeat(draws), labels, torch.Generator().manual_seed(1)
    )
    counts = np.zeros((6, 6))
    np.add.at(counts, (rows.numpy() % 6, columns.numpy()), 1)
    same = labels[:, None].numpy() == labels[None].numpy()
    assert counts[same].sum() == 0
    weights = np.where(same, 0.0, np.exp(similarity.numpy().astype(np.float64)))
    expected = weights / weights.sum(axis=1, keepdims=True)
    assert np.abs(counts / draws - expected).max() < 0.04
    assert np.abs(expected[~same] - expected[~same].mean()).max() > 0.2  # similarity does matter


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="temperature must be one of"):
        alignment.similarities(numbers(2, 3), numbers(2, 3), torch.tensor(1.0), "cold")
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="positives must be one of"):
        alignment.contrast(numbers(2, 2), labels, labels, "all")


def test_masked_mean_ignores_what_is_absent():
    states = numbers(2, 4, 3)
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    spoiled = states.clone()
    spoiled[~mask] = torch.nan
    found = alignment.masked_mean(spoiled, mask)
    assert torch.allclose(found[0], states[0, [0, 1, 3]].mean(dim=0))
    assert found[1].tolist() == [0.0, 0.0, 0.0]
