"""Late rules, concatenation, compact bilinear pooling and MMTM against their equations in float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from realtime_er.errors import ConfigError
from realtime_er.fusion.baselines import Averaging, Multiplication, Multiplicative
from realtime_er.fusion.concat import ConcatFC
from realtime_er.fusion.mcbp import MCBP, CompactBilinear
from realtime_er.fusion.mmtm import MMTM
from tests.fusion.nets import shaken

RULES = [Averaging(), Multiplication(), Multiplicative(0.7)]


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _logits(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.0, 2.0, (5, 3, 4)))


def _multiplicative(p: np.ndarray, beta: float) -> np.ndarray:
    """One sample's scores, p [M, K], by the equation's own loops."""
    scores = np.zeros(p.shape[1])
    for c, m in product(range(p.shape[1]), range(len(p))):
        rest = [1.0 - p[n, c] for n in range(len(p)) if n != m]
        q = np.prod(rest) ** (beta / len(rest)) if rest else 1.0
        scores[c] += q * np.log(p[m, c])
    return scores


def test_averaging_and_multiplication_equations() -> None:
    logits = _logits()
    p = _softmax(logits.numpy())
    np.testing.assert_allclose(Averaging()(logits).exp(), p.mean(1), rtol=1e-12)
    joint = p.prod(1)
    expected = joint / joint.sum(1, keepdims=True)
    np.testing.assert_allclose(Multiplication()(logits).exp(), expected, rtol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_multiplicative_equation(beta: float) -> None:
    logits = _logits()
    expected = [_multiplicative(p, beta) for p in _softmax(logits.numpy())]
    np.testing.assert_allclose(Multiplicative(beta)(logits), expected, rtol=1e-9)


def test_multiplicative_is_robust_against_an_unsure_modality() -> None:
    rule = Multiplicative(1.0)
    sure, unsure = torch.tensor([6.0, 0.0, 0.0]), torch.tensor([-0.5, 0.2, 0.3])
    scores = rule(torch.stack([sure, unsure])[None].double())[0]
    lone = torch.log_softmax(unsure.double(), 0)
    # The sure modality takes nearly all of the unsure one's blame for the class it is sure of.
    assert float(scores[0]) > 0.1 * float(lone[0])
    assert int(scores.argmax()) == 0


def test_multiplicative_loss_is_minus_the_true_score() -> None:
    rule, target = Multiplicative(), torch.tensor([0, 3, 1, 2, 2])
    scores = rule(_logits())
    torch.testing.assert_close(rule.loss(scores, target), -scores[range(5), target].mean())
    with pytest.raises(ConfigError, match="beta"):
        Multiplicative(-0.1)


@pytest.mark.parametrize("rule", RULES)
def test_an_absent_modality_takes_no_part(rule: torch.nn.Module) -> None:
    logits = _logits()
    present = torch.tensor([[True, False, True]]).expand(5, 3)
    other = logits.clone()
    other[:, 1] = 40.0 * torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(rule(logits, present), rule(logits[:, [0, 2]]))
    torch.testing.assert_close(rule(other, present), rule(logits, present))
    alone = rule(logits, torch.tensor([[False, True, False]]).expand(5, 3))
    torch.testing.assert_close(alone, torch.log_softmax(logits[:, 1], -1))


@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_finite_at_certainty(rule: Averaging) -> None:
    logits = torch.tensor([[[90.0, 0.0], [0.0, 90.0], [1.0, 0.0]]], requires_grad=True)
    present = torch.tensor([[True, True, False]])
    rule.loss(rule(logits, present), torch.tensor([1])).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_concat_equation() -> None:
    net = shaken(ConcatFC((3, 5), 4, hidden=6))
    a, b = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    w = {name: value.detach().numpy() for name, value in net.named_parameters()}
    h = np.maximum(np.concatenate([a, b], 1) @ w["fc1.weight"].T + w["fc1.bias"], 0)
    expected = h @ w["fc2.weight"].T + w["fc2.bias"]
    np.testing.assert_allclose(net([a, b]).detach(), expected, rtol=1e-10)


def _sketched(pool: CompactBilinear, vectors: list[np.ndarray]) -> np.ndarray:
    """The count sketch of the outer product by its definition: places add up, signs multiply."""
    d = pool.sketch_dim
    places = [getattr(pool, f"place_{m}").numpy() for m in range(len(vectors))]
    signs = [getattr(pool, f"sign_{m}").numpy() for m in range(len(vectors))]
    out = np.zeros(d)
    for index in product(*(range(len(vector)) for vector in vectors)):
        place = sum(int(p[i]) for p, i in zip(places, index, strict=True)) % d
        out[place] += np.prod([s[i] * v[i] for s, v, i in zip(signs, vectors, index, strict=True)])
    rooted = np.sign(out) * np.sqrt(np.abs(out))
    return rooted / np.linalg.norm(rooted)


@pytest.mark.parametrize("dims", [(4, 6), (3, 4, 2)])
def test_pooling_is_the_sketched_outer_product(dims: tuple[int, ...]) -> None:
    pool = CompactBilinear(dims, 16, seed=3)
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(2, dim)) for dim in dims]
    ours = pool([torch.from_numpy(vector) for vector in vectors])
    for row in range(2):
        expected = _sketched(pool, [vector[row] for vector in vectors])
        np.testing.assert_allclose(ours[row], expected, atol=2e-4)


def test_sketches_keep_inner_products_on_average() -> None:
    rng = np.random.default_rng(1)
    x, y = torch.from_numpy(rng.normal(size=(2, 1, 20)))
    ratio = []
    for seed in range(200):
        pool = CompactBilinear((20, 20), 64, seed)
        ratio.append(float((pool.sketch(x, 0) * pool.sketch(y, 0)).sum() - (x * y).sum()))
    assert abs(np.mean(ratio)) < 3.0 * np.std(ratio) / np.sqrt(200)


def test_mcbp_is_saved_with_its_sketch() -> None:
    first, second = MCBP((4, 6), 3, 32, 8, seed=0).eval(), MCBP((4, 6), 3, 32, 8, seed=9).eval()
    vectors = [torch.randn(2, 4), torch.randn(2, 6)]
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second(vectors), first(vectors))
    with pytest.raises(ConfigError, match="two vectors"):
        CompactBilinear((4,))


def test_pooling_takes_half_precision() -> None:
    pool = CompactBilinear((4, 6), 24)
    vectors = [torch.randn(2, 4).bfloat16(), torch.randn(2, 6).bfloat16()]
    pooled = pool(vectors)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, pool([vector.float() for vector in vectors]))


def test_mcbp_gradients_are_finite_where_nothing_fell() -> None:
    net = MCBP((2, 2), 3, 64, 8)
    vectors = [torch.zeros(2, 2, requires_grad=True), torch.ones(2, 2, requires_grad=True)]
    net(vectors).sum().backward()
    assert all(bool(torch.isfinite(v.grad).all()) for v in vectors if v.grad is not None)
    assert all(v.grad is not None for v in vectors)


def test_mmtm_equation() -> None:
    net = shaken(MMTM((4, 6, 2), ratio=4))
    maps = [
        torch.randn(2, 4, 3, 5, dtype=torch.float64),
        torch.randn(2, 6, 7, dtype=torch.float64),
        torch.randn(2, 2, dtype=torch.float64),
    ]
    w = {name: value.detach().numpy() for name, value in net.named_parameters()}
    a, b, c = (x.numpy() for x in maps)
    s = np.concatenate([a.mean((2, 3)), b.mean(2), c], 1)
    z = np.maximum(s @ w["squeeze.weight"].T + w["squeeze.bias"], 0)
    assert z.shape == (2, 6)
    weights = [
        2.0 / (1.0 + np.exp(-(z @ w[f"excite.{m}.weight"].T + w[f"excite.{m}.bias"])))
        for m in range(3)
    ]
    seen, heard, read = (y.detach().numpy() for y in net(maps))
    np.testing.assert_allclose(seen, a * weights[0][:, :, None, None], rtol=1e-9)
    np.testing.assert_allclose(heard, b * weights[1][:, :, None], rtol=1e-9)
    np.testing.assert_allclose(read, c * weights[2], rtol=1e-9)


def test_mmtm_does_not_see_padding() -> None:
    net = shaken(MMTM((4, 6)))
    a, b = torch.randn(1, 4, 5, dtype=torch.float64), torch.randn(1, 6, 3, dtype=torch.float64)
    padded = torch.cat([b, torch.full((1, 6, 4), 9.0, dtype=torch.float64)], 2)
    mask = torch.arange(7)[None] < 3
    ours = net([a, padded], [None, mask])
    alone = net([a, b])
    torch.testing.assert_close(ours[0], alone[0])
    torch.testing.assert_close(ours[1][:, :, :3], alone[1])
