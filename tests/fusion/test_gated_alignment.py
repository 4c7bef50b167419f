"""AVEL and MEM beside the gated head: what they align, and what they must never do."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.fusion import gated_alignment  # noqa: E402
from realtime_er.fusion.alignment import draw_negatives  # noqa: E402
from realtime_er.fusion.gated import GatedAttentionFusion  # noqa: E402


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_one_modality_has_no_pair():
    with pytest.raises(ValueError, match="two or three of"):
        gated_alignment.VectorAlignment({"face": 3})


def test_one_label_or_one_sample_has_no_negatives_and_a_finite_loss():
    for labels in ([1, 1, 1], [2]):
        wanted = torch.tensor(labels)
        pair = gated_alignment.PairAlignment(4, 3, 6)
        first = numbers(len(labels), 4).float().requires_grad_()
        second = numbers(len(labels), 3, seed=9).float().requires_grad_()
        rows, columns = draw_negatives(numbers(len(labels), len(labels)), wanted, wanted)
        assert len(rows) == len(columns) == 0
        losses = pair(first, second, wanted)
        (losses.avel + losses.mem).backward()
        assert all(bool(torch.isfinite(x).all()) for x in (*losses, first.grad, second.grad))


def gated_batch(n=8):
    head = GatedAttentionFusion(5, 4, 3, 6, 3, dropout=0.0, standardise=True)
    face, audio, text = (numbers(n, d, seed=d).float() for d in (5, 4, 3))
    return head, face, audio, text, torch.arange(n) % 3


def test_the_gated_head_is_aligned_through_its_own_projections():
    torch.manual_seed(0)
    head, face, audio, text, labels = gated_batch()
    beside = gated_alignment.GatedAlignment(head, 8, dropout=0.0)
    assert not any("fc_" in name for name in beside.state_dict())
    mask = torch.ones(8, 3)
    losses = beside(face, audio, text, mask, labels, torch.Generator().manual_seed(1))
    (losses.avel + 0.1 * losses.mem).backward()
    for layer in (head.fc_video, head.fc_audio, head.fc_text):
        assert float(layer.weight.grad.abs().sum()) > 0
    assert head.classifier.weight.grad is None

    # What an absent modality holds has no influence.
    mask[2, 0] = mask[5, 1] = 0.0
    draws = [torch.Generator().manual_seed(1) for _ in range(2)]
    before = beside(face, audio, text, mask, labels, draws[0])
    face[2], audio[5] = 7.0, -7.0
    after = beside(face, audio, text, mask, labels, draws[1])
    assert [x.item() for x in before] == [x.item() for x in after]

    # Nothing to align: zero, and still something that can be differentiated.
    lone = torch.zeros(8, 3)
    lone[:, 1] = 1.0
    losses = beside(face, audio, text, lone, labels)
    assert [x.item() for x in losses] == [0.0, 0.0]
    sum(losses).backward()


def test_training_with_the_losses_aligns_the_modalities():
    torch.manual_seed(3)
    labels = torch.arange(12) % 3
    centres = numbers(3, 6, seed=8).float()
    audio = centres[labels] + 0.1 * numbers(12, 6, seed=9).float()
    video = centres.flip(1)[labels] + 0.1 * numbers(12, 6, seed=10).float()
    pair = gated_alignment.PairAlignment(6, 6, 8, dropout=0.0)
    optimiser = torch.optim.Adam(pair.parameters(), lr=0.03)
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(40):
        losses = pair(audio, video, labels, generator)
        optimiser.zero_grad()
        (losses.avel + losses.mem).backward()
        optimiser.step()
        seen.append([float(x.detach()) for x in losses])
    # With four equal positives of twelve, the mean cannot fall below ln 4.
    assert seen[0][0] > 2.0
    assert math.log(4) <= seen[-1][0] < math.log(4) + 0.15
    assert seen[-1][1] < 0.2
