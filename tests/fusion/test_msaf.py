"""MSAF's module: published keys, its equations in float64, and the faults that are not here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from realtime_er.errors import ConfigError
from realtime_er.fusion.msaf import MSAF
from tests.encoders.paper.published import read_keys
from tests.fusion.nets import shaken


@pytest.mark.parametrize(
    ("name", "segments", "floor"), [("plain", 1, 0.0), ("floor", 1, 0.5), ("split", 3, 0.0)]
)
def test_published_names(shared_dir: Path, name: str, segments: int, floor: float) -> None:
    net = MSAF((32, 16), 8, floor=floor, segments=segments)
    own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert own == read_keys(shared_dir / "keys" / f"msaf_module_{name}.txt")


def test_published_counts() -> None:
    with torch.device("meta"):
        nets = [MSAF((1024, 32), 16), MSAF((2048, 64), 32)]
    assert [sum(p.numel() for p in net.parameters()) for net in nets] == [5_356, 19_288]


def _attended(net: MSAF, maps: list[np.ndarray], c: int, floor: float) -> list[np.ndarray]:
    """The module's equations for maps [B, C_m, P], one segment, in evaluation."""
    w = {name: value.numpy() for name, value in net.state_dict().items()}
    at = "blocks.0"
    blocks = []
    for x in maps:
        n = int(np.ceil(x.shape[1] / c))
        full = np.zeros((len(x), n * c, x.shape[2]))
        full[:, : x.shape[1]] = x
        blocks.append(full.reshape(len(x), n, c, -1))
    q = sum(block.sum(1).mean(-1) for block in blocks)
    h = q @ w[f"{at}.joint_features.0.weight"].T + w[f"{at}.joint_features.0.bias"]
    norm = f"{at}.joint_features.1"
    h = (h - w[f"{norm}.running_mean"]) / np.sqrt(w[f"{norm}.running_var"] + 1e-5)
    z = np.maximum(h * w[f"{norm}.weight"] + w[f"{norm}.bias"], 0)
    total = sum(block.shape[1] for block in blocks)
    scores = np.stack(
        [
            z @ w[f"{at}.dense_group.{j}.weight"].T + w[f"{at}.dense_group.{j}.bias"]
            for j in range(total)
        ]
    )
    powers = np.exp(scores)
    alpha = floor + (1.0 - floor) * powers / powers.sum(0)
    done, j = [], 0
    for x, block in zip(maps, blocks, strict=True):
        y = block.copy()
        for n in range(block.shape[1]):
            y[:, n] *= alpha[j][:, :, None]
            j += 1
        done.append(y.reshape(len(x), -1, x.shape[2])[:, : x.shape[1]])
    return done


@pytest.mark.parametrize(
    ("channels", "floor"), [((32, 16), 0.0), ((40, 16), 0.3), ((3, 9, 8), 0.0)]
)
def test_equations(channels: tuple[int, ...], floor: float) -> None:
    """40 channels in blocks of 16 is where the published module crashes."""
    c = 16 if channels[0] == 40 else 8
    net = shaken(MSAF(channels, c, floor=floor))
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(2, size, 3 + m)) for m, size in enumerate(channels)]
    ours = net([torch.from_numpy(x) for x in maps])
    for y, expected in zip(ours, _attended(net, maps, c, floor), strict=True):
        np.testing.assert_allclose(y.detach(), expected, rtol=1e-8)


def test_positions_may_have_any_axes() -> None:
    net = shaken(MSAF((8, 4), 4))
    video = torch.randn(2, 8, 2, 3, 3, dtype=torch.float64)
    audio = torch.randn(2, 4, dtype=torch.float64)
    seen, heard = net([video, audio])
    flat, column = net([video.flatten(2), audio[..., None]])
    torch.testing.assert_close(seen, flat.reshape(video.shape))
    torch.testing.assert_close(heard, column[..., 0])


def test_segments_have_weights_of_their_own() -> None:
    net = shaken(MSAF((8, 4), 4, segments=3))
    maps = [torch.randn(2, 8, 7, 2, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)]
    ours = net(maps)
    assert [y.shape for y in ours] == [x.shape for x in maps]
    bounds = [((0, 2), (0, 1)), ((2, 4), (1, 2)), ((4, 7), (2, 3))]
    for i, spans in enumerate(bounds):
        one = MSAF((8, 4), 4).double().eval()
        one.blocks[0].load_state_dict(net.blocks[i].state_dict())
        part = one([x[:, :, a:b] for x, (a, b) in zip(maps, spans, strict=True)])
        for y, expected, (a, b) in zip(ours, part, spans, strict=True):
            torch.testing.assert_close(y[:, :, a:b], expected)
    with pytest.raises(ValueError, match="3 segments"):
        net([maps[0], maps[1][:, :, :2]])


def test_padding_and_absence_change_nothing_else() -> None:
    net = shaken(MSAF((8, 4), 4, segments=2))
    a, b = torch.randn(2, 8, 4, dtype=torch.float64), torch.randn(2, 4, 4, dtype=torch.float64)
    b[0, :, 2:] = 0.0
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    ours, other = b.clone(), b.clone()
    other[0, :, 2:] = 50.0
    torch.testing.assert_close(net([a, ours], [None, mask])[0], net([a, other], [None, mask])[0])
    # With the sound gone, the picture's two blocks share the whole softmax.
    net = shaken(MSAF((8, 4), 4))
    seen = net([torch.ones_like(a), b], [None, torch.zeros(2, 4, dtype=torch.bool)])[0]
    torch.testing.assert_close(seen[:, :4] + seen[:, 4:], torch.ones(2, 4, 4, dtype=torch.float64))


def _dropped(net: MSAF) -> tuple[float, set[float]]:
    """Mean scale of the maps in training against evaluation, and the scales that occur."""
    torch.manual_seed(0)
    net.train()
    # The same weights whatever was dropped: only the mask is left to see.
    for layer in net.blocks[0].dense_group:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    maps = [torch.ones(4000, 8, 1), torch.ones(4000, 4, 1)]
    # Three blocks, so each has a third of the softmax.
    y = 3.0 * torch.cat([x.flatten(1) for x in net(maps)], 1).detach()
    scales = {round(float(v), 4) for v in y.unique()}
    return float(y.mean()), scales


def test_block_dropout_has_expectation_one() -> None:
    mean, scales = _dropped(MSAF((8, 4), 4, block_dropout=0.2))
    assert scales == {0.0, 1.25}
    assert mean == pytest.approx(1.0, abs=0.02)


def test_the_published_mask_is_applied_twice() -> None:
    mean, scales = _dropped(MSAF((8, 4), 4, block_dropout=0.2, published_double_mask=True))
    assert scales == {0.0, 1.5625}
    assert mean == pytest.approx(1.25, abs=0.03)


def test_the_switch_changes_no_evaluation() -> None:
    ours, published = MSAF((8, 4), 4), MSAF((8, 4), 4, published_double_mask=True)
    published.load_state_dict(ours.state_dict())
    maps = [torch.randn(2, 8, 3), torch.randn(2, 4)]
    for a, b in zip(ours.eval()(maps), published.eval()(maps), strict=True):
        torch.testing.assert_close(a, b)


def test_samples_are_independent_and_gradients_finite() -> None:
    net = shaken(MSAF((10, 4), 4))
    maps = [torch.randn(3, 10, 2, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)]
    whole, alone = net(maps), net([x[1:2] for x in maps])
    for y, one in zip(whole, alone, strict=True):
        torch.testing.assert_close(y[1:2], one)
    net.train()
    masks = [None, torch.tensor([True, False, False])]
    sum(y.square().sum() for y in net(maps, masks)).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def test_sizes_are_checked() -> None:
    with pytest.raises(ConfigError, match="block width"):
        MSAF((8, 4), 0)
    with pytest.raises(ConfigError, match="floor"):
        MSAF((8, 4), 4, floor=1.0)
