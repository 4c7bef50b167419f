"""CFN-SR's block: equations in float64, inner states, and independence of a batch's samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from realtime_er.errors import ConfigError
from realtime_er.fusion.cfn_sr import AudioTransformer, CrossModalBlock, sinusoid
from tests.fusion.nets import shaken

Weights = dict[str, np.ndarray]


def _inputs(batch: int = 3, steps: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(batch, 6, 2, 3, 4, generator=generator, dtype=torch.float64)
    audio = torch.randn(batch, 8, steps, generator=generator, dtype=torch.float64)
    return video, audio


def _block(**switches: bool) -> CrossModalBlock:
    return shaken(CrossModalBlock(6, 8, units=5, n_layers=2, n_heads=2, **switches))


def _weights(module: torch.nn.Module) -> Weights:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def _norm(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    root = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / root * w[f"{name}.weight"] + w[f"{name}.bias"]


def _states(w: Weights, audio: np.ndarray, n_layers: int, n_heads: int) -> np.ndarray:
    """The transformer over one sample [C, T], step by step."""
    width, steps = audio.shape
    half, size = width // 2, width // n_heads
    x = np.zeros((steps, width))
    for t in range(steps):
        for i in range(half):
            angle = (t + 1) * 10000.0 ** (-i / (half - 1))
            x[t, i], x[t, half + i] = np.sin(angle), np.cos(angle)
    x += np.sqrt(width) * audio.T
    for layer in range(n_layers):
        at = f"layers.{layer}"
        h = _norm(x, w, f"{at}.layer_norms.0")
        packed = h @ w[f"{at}.self_attn.in_proj_weight"].T + w[f"{at}.self_attn.in_proj_bias"]
        q, k, v = packed[:, :width], packed[:, width : 2 * width], packed[:, 2 * width :]
        mixed = np.zeros_like(x)
        for head in range(n_heads):
            part = slice(head * size, (head + 1) * size)
            for t in range(steps):
                powers = np.exp(k[: t + 1, part] @ q[t, part] / np.sqrt(size))
                mixed[t, part] = powers / powers.sum() @ v[: t + 1, part]
        x = x + mixed @ w[f"{at}.self_attn.out_proj.weight"].T
        x = x + w[f"{at}.self_attn.out_proj.bias"]
        h = _norm(x, w, f"{at}.layer_norms.1")
        h = np.maximum(h @ w[f"{at}.fc1.weight"].T + w[f"{at}.fc1.bias"], 0)
        x = x + h @ w[f"{at}.fc2.weight"].T + w[f"{at}.fc2.bias"]
    return _norm(x, w, "layer_norm")


def _alpha(w: Weights, video: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Attention over one sample's map [C, S, H, W], by loops over slices and places."""
    y = w["y_affine.weight"] @ heard
    alpha = np.zeros(video.shape[1:])
    for s in range(video.shape[1]):
        for place in np.ndindex(*video.shape[2:]):
            inner = w["channel_affine.weight"] @ video[(slice(None), s, *place)]
            inner = np.tanh(inner + w["channel_affine.bias"] + y)
            score = w["attn_weight_affine.weight"][0] @ inner + w["attn_weight_affine.bias"][0]
            alpha[(s, *place)] = np.exp(score)
        alpha[s] /= alpha[s].sum()
    return alpha


def test_positions() -> None:
    table = sinusoid(26, 64)
    assert table.shape == (26, 64)
    np.testing.assert_allclose(table[4, 0], np.sin(5.0))
    np.testing.assert_allclose(table[4, 32], np.cos(5.0))
    np.testing.assert_allclose(table[25, 31], np.sin(26.0 * 1e-4), rtol=1e-9)
    assert bool(torch.isfinite(sinusoid(3, 2)).all())


def test_published_count_of_the_transformer() -> None:
    net = AudioTransformer(64)
    assert sum(p.numel() for p in net.parameters()) == 250_048
    with pytest.raises(ConfigError, match="8 heads"):
        AudioTransformer(60)


def test_transformer_equations_at_every_step() -> None:
    net = shaken(AudioTransformer(8, n_layers=2, n_heads=2))
    _, audio = _inputs()
    ours = net(audio).detach().numpy()
    for row, sample in zip(ours, audio.numpy(), strict=True):
        np.testing.assert_allclose(row, _states(_weights(net), sample, 2, 2), rtol=1e-8)


def test_a_step_depends_on_earlier_ones_only() -> None:
    net = shaken(AudioTransformer(8, n_layers=2, n_heads=2))
    _, audio = _inputs()
    changed = audio.clone()
    changed[:, 0, 4:] += 1.0
    before, after = net(audio), net(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, -1], after[:, -1])


def test_inner_states() -> None:
    block = _block()
    video, audio = _inputs()
    heard = block.heard(audio)
    torch.testing.assert_close(heard, block.audio_attention(audio)[:, -1])
    alpha = block.attention(video, heard)
    assert alpha.shape == (3, 2, 12)
    torch.testing.assert_close(alpha.sum(-1), torch.ones(3, 2, dtype=torch.float64))
    # What is heard moves the attention: the logits alone would hardly tell.
    assert (alpha - block.attention(video, heard.flip(0))).abs().max().item() > 1e-4


@pytest.mark.parametrize("residual", [True, False])
def test_block_equations(residual: bool) -> None:
    block = _block(residual=residual)
    w = _weights(block)
    inner = {name.removeprefix("audio_attention."): value for name, value in w.items()}
    video, audio = _inputs()
    ours = block(video, audio).detach().numpy()
    for row, v, a in zip(ours, video.numpy(), audio.numpy(), strict=True):
        heard = _states(inner, a, 2, 2)[-1]
        expected = v * _alpha(w, v, heard) + (v if residual else 0.0)
        np.testing.assert_allclose(row, expected, rtol=1e-8)


def test_samples_are_independent_unless_asked() -> None:
    ours, published = _block(), _block(published_batch_sum=True)
    video, audio = _inputs()
    alone = ours(video[1:2], audio[1:2])
    torch.testing.assert_close(ours(video, audio)[1:2], alone)
    mixed = published(video, audio)
    assert (mixed[1:2] - alone).abs().max().item() > 1e-2
    torch.testing.assert_close(published(video[1:2], audio[1:2]), alone)
    alpha = ours.attention(video, ours.heard(audio)).sum(0).reshape(2, 3, 4)
    torch.testing.assert_close(mixed, video * alpha + video)


def test_padding_changes_nothing() -> None:
    block = _block()
    video, audio = _inputs(batch=1)
    frames = video.flatten(2)[:, :, None, :5]
    alone = block(frames, audio[:, :, :4])
    longer = torch.cat([frames, torch.full((1, 6, 1, 3), 7.0, dtype=torch.float64)], 3)
    mask = torch.arange(8)[None, None] < 5
    ours = block(longer, audio, video_mask=mask, audio_steps=torch.tensor([4]))
    torch.testing.assert_close(ours[..., :5], alone)


def test_nothing_there_is_finite() -> None:
    block = _block().train()
    video, audio = _inputs(batch=2)
    mask = torch.ones(2, 2, 3, 4, dtype=torch.bool)
    mask[0, 1] = False
    alpha = block.attention(video, block.heard(audio, torch.tensor([0, 7])), mask)
    assert alpha[0, 1].tolist() == [0.0] * 12
    assert block.heard(audio, torch.tensor([0, 7]))[0].tolist() == [0.0] * 8
    out = block(video, audio, video_mask=mask, audio_steps=torch.tensor([0, 7]))
    out.square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in block.parameters())
