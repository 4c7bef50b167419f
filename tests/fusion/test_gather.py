"""A batch spread over two processes learns what one process would from the whole of it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from realtime_er.fusion import gather  # noqa: E402
from realtime_er.fusion.alignment import contrast, similarities  # noqa: E402

LABELS = torch.tensor([0, 1, 0, 2, 1, 2, 0, 0])


class TwoMembers:
    """What two processes can ask of each other, between two threads."""

    def __init__(self):
        self._met = threading.Barrier(2, timeout=30)
        self._told = [None, None]
        self.member = threading.local()

    def _exchange(self, value):
        self._told[self.member.rank] = value.clone()
        self._met.wait()
        told = list(self._told)
        self._met.wait()
        return told

    def all_gather(self, parts, value):
        for part, other in zip(parts, self._exchange(value), strict=True):
            part.copy_(other)

    def all_reduce(self, value):
        value.copy_(sum(self._exchange(value)))

    def module(self):
        return SimpleNamespace(
            is_available=lambda: True, is_initialized=lambda: True, get_world_size=lambda: 2,
            get_rank=lambda: self.member.rank, all_gather=self.all_gather,
            all_reduce=self.all_reduce,
        )  # fmt: skip


def loss_of(audio, video, weight, labels):
    everyone = gather.gather_labels(labels)
    scale = torch.tensor(0.5, dtype=torch.float64)
    columns = gather.gather_rows(video @ weight)
    return contrast(similarities(audio @ weight, columns, scale), labels, everyone)


def test_gradients_are_those_of_the_whole_batch(monkeypatch):
    generator = torch.Generator().manual_seed(7)
    audio, video, weight = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((8, 5), (8, 5), (5, 4))
    )
    weight.requires_grad_()
    # One process: gathering changes nothing.
    whole = loss_of(audio, video, weight, LABELS)
    whole.backward()
    assert gather.gather_rows(audio) is audio

    members = TwoMembers()
    monkeypatch.setattr(gather, "distributed", members.module())

    def part(rank):
        members.member.rank = rank
        own = slice(4 * rank, 4 * rank + 4)
        copy = weight.detach().clone().requires_grad_()
        loss = loss_of(audio[own], video[own], copy, LABELS[own])
        loss.backward()
        return loss.detach(), copy.grad

    with ThreadPoolExecutor(2) as pool:
        (one, first), (other, second) = pool.map(part, range(2))
    assert torch.allclose((one + other) / 2, whole.detach(), rtol=1e-12)
    assert torch.allclose((first + second) / 2, weight.grad, rtol=1e-10)
    # Without the gradients of the other's columns it would be another one.
    assert not torch.allclose(first, weight.grad, rtol=1e-2)
