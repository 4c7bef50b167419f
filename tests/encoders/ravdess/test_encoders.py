"""The two RAVDESS encoders: published keys and counts, maps, and equations from their tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from realtime_er.encoders.ravdess import mfcc_net, resnext3d
from realtime_er.encoders.ravdess.blocks import Cuts, block_prefixes, cut_names, cut_pieces
from realtime_er.encoders.ravdess.files import (
    MFCC_NET,
    RESNEXT,
    load_mfcc_net,
    load_resnext3d,
)
from realtime_er.encoders.ravdess.mfcc_net import MfccNet, MfccSize
from realtime_er.encoders.ravdess.resnext3d import ResNeXt3D, ResNeXtSize
from realtime_er.errors import SpecMismatch, WeightsMissing
from tests.encoders.paper.published import assert_published
from tests.fusion.nets import TINY, shaken

VIDEO, AUDIO = TINY.video, TINY.audio


def test_resnext_has_the_published_tensors(shared_dir: Path) -> None:
    with torch.device("meta"):
        net = ResNeXt3D()
    path = shared_dir / "keys" / "msaf_resnext3d.txt"
    assert_published(net, path, entries=320, count=25_882_056)


def test_mfcc_net_has_the_published_tensors(shared_dir: Path) -> None:
    with torch.device("meta"):
        net = MfccNet()
    assert_published(net, shared_dir / "keys" / "msaf_mfcc.txt", entries=23, count=34_024)


def test_counts_without_the_key_lists() -> None:
    with torch.device("meta"):
        nets = [ResNeXt3D(), MfccNet()]
    counts = [sum(p.numel() for p in net.parameters()) for net in nets]
    assert counts == [25_882_056, 34_024]
    assert [len(net.state_dict()) for net in nets] == [320, 23]


def test_published_maps() -> None:
    shapes = {}
    with torch.device("meta"):
        x = torch.empty(1, 3, resnext3d.N_FRAMES, resnext3d.FRAME_PX, resnext3d.FRAME_PX)
        for name, piece in ResNeXt3D().pieces().items():
            x = piece(x)
            shapes[name] = tuple(x.shape[1:])
        y = torch.empty(1, 13, 212)
        heard = {}
        for name, piece in MfccNet().pieces().items():
            y = piece(y)
            heard[name] = tuple(y.shape[1:])
    assert shapes["stem_pool"] == (64, 15, 56, 56)
    assert shapes["layer1"] == (256, 15, 56, 56)
    assert shapes["layer2"] == (512, 8, 28, 28)
    assert shapes["layer3"] == (1024, 4, 14, 14)
    assert shapes["layer4"] == (2048, 2, 7, 7)
    assert (shapes["flatten"], shapes["fc"]) == ((2048,), (8,))
    assert (heard["conv1"], heard["conv2"], heard["pool"]) == ((32, 210), (32, 208), (32, 26))
    assert (heard["bn3"], heard["flatten"], heard["fc1"]) == ((64, 26), (1664,), (8,))
    assert MfccSize().features == 1664


def _bn(x: torch.Tensor, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = state[f"{name}.weight"] / torch.sqrt(state[f"{name}.running_var"] + 1e-5)
    shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale
    return x * scale.reshape(shape) + shift.reshape(shape)


@pytest.mark.parametrize("bare_stem", [False, True])
def test_resnext_equations(bare_stem: bool) -> None:
    size = ResNeXtSize(stem=4, planes=4, cardinality=2, layers=(2, 1, 1, 1))
    net = shaken(ResNeXt3D(5, size, bare_stem=bare_stem))
    state = net.state_dict()
    video = torch.randn(2, 3, 6, 32, 32, dtype=torch.float64)

    x = functional.conv3d(video, state["conv1.weight"], None, (1, 2, 2), 3)
    x = _bn(x, state, "bn1")
    if not bare_stem:
        x = x.clamp(min=0)
    x = functional.max_pool3d(x, 3, 2, 1)
    for stage, depth in enumerate(size.layers, 1):
        for i in range(depth):
            at = f"layer{stage}.{i}"
            stride = 2 if stage > 1 and i == 0 else 1
            y = functional.conv3d(x, state[f"{at}.conv1.weight"])
            y = _bn(y, state, f"{at}.bn1").clamp(min=0)
            y = functional.conv3d(y, state[f"{at}.conv2.weight"], None, stride, 1, groups=2)
            y = _bn(y, state, f"{at}.bn2").clamp(min=0)
            y = _bn(functional.conv3d(y, state[f"{at}.conv3.weight"]), state, f"{at}.bn3")
            if i == 0:
                x = functional.conv3d(x, state[f"{at}.downsample.0.weight"], None, stride)
                x = _bn(x, state, f"{at}.downsample.1")
            x = (x + y).clamp(min=0)
    expected = x.mean((2, 3, 4)) @ state["fc.weight"].T + state["fc.bias"]
    torch.testing.assert_close(net(video), expected)


def test_the_stem_relu_changes_what_is_seen() -> None:
    with_relu = shaken(ResNeXt3D(3, VIDEO))
    without = ResNeXt3D(3, VIDEO, bare_stem=True).double().eval()
    without.load_state_dict(with_relu.state_dict())
    video = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    assert not torch.allclose(with_relu(video), without(video))


def _conv1d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, pad: int) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (pad, pad)))
    steps = padded.shape[1] - weight.shape[2] + 1
    return np.stack(
        [np.tensordot(weight, padded[:, t : t + weight.shape[2]], 2) + bias for t in range(steps)],
        1,
    )


def test_mfcc_net_equations() -> None:
    net = shaken(MfccNet(4, MfccSize(n_mfcc=5, n_steps=29, inner=3, outer=6)))
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    mfcc = torch.randn(2, 5, 29, dtype=torch.float64)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        root = np.sqrt(state[f"{name}.running_var"] + 1e-5)[:, None]
        centred = (x - state[f"{name}.running_mean"][:, None]) / root
        return centred * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]

    rows = []
    for sample in mfcc.numpy():
        x = _conv1d(sample, state["conv1.weight"], state["conv1.bias"], 2)
        x = norm(np.maximum(x, 0), "bn1")
        x = np.maximum(_conv1d(x, state["conv2.weight"], state["conv2.bias"], 2), 0)
        x = x[:, : x.shape[1] // 8 * 8].reshape(3, -1, 8).max(2)
        x = _conv1d(norm(x, "bn2"), state["conv3.weight"], state["conv3.bias"], 2)
        x = norm(np.maximum(x, 0), "bn3")
        rows.append(state["fc1.weight"] @ x.reshape(-1) + state["fc1.bias"])
    np.testing.assert_allclose(net(mfcc).detach().numpy(), np.stack(rows), rtol=1e-9)


def test_blocks_are_the_encoder_cut() -> None:
    net = shaken(ResNeXt3D(3, VIDEO))
    blocks = cut_pieces(net.pieces(), Cuts(("layer3", "pool")))
    video = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    whole = net(video)
    for block in blocks:
        video = block(video)
    torch.testing.assert_close(video, whole)
    headless = cut_names(mfcc_net.PIECES, Cuts(("flatten",), head=False))
    assert headless[1] == ["flatten", "dropout2"]


def test_places_of_pieces_are_published_names() -> None:
    names = block_prefixes(mfcc_net.PIECES, Cuts(("pool", "flatten")), "audio_model_blocks")
    assert names["conv2"] == "audio_model_blocks.0.3"
    assert names["bn2"] == "audio_model_blocks.1.1"
    assert names["fc1"] == "audio_model_blocks.2.2"
    with pytest.raises(ValueError, match="out of order"):
        cut_names(mfcc_net.PIECES, Cuts(("flatten", "pool")))


def test_unimodal_files(tmp_path: Path) -> None:
    seen, heard = shaken(ResNeXt3D(3, VIDEO)).float(), shaken(MfccNet(4, AUDIO)).float()
    torch.save(seen.state_dict(), tmp_path / "seen.pth")
    torch.save({"state_dict": heard.state_dict()}, tmp_path / "heard.pth")
    video, mfcc = torch.randn(1, 3, 4, 32, 32), torch.randn(1, AUDIO.n_mfcc, AUDIO.n_steps)
    torch.testing.assert_close(load_resnext3d(tmp_path / "seen.pth", VIDEO)(video), seen(video))
    torch.testing.assert_close(load_mfcc_net(tmp_path / "heard.pth", AUDIO)(mfcc), heard(mfcc))
    with pytest.raises(SpecMismatch, match=f"{MFCC_NET}, not {RESNEXT}; give it as the audio"):
        load_resnext3d(tmp_path / "heard.pth", VIDEO)
    with pytest.raises(SpecMismatch, match="layer1"):
        load_resnext3d(tmp_path / "seen.pth")
    with pytest.raises(WeightsMissing):
        load_mfcc_net(tmp_path / "none.pth")
