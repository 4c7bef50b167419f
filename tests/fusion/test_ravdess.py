"""The RAVDESS networks by name: published keys and counts, switches, files, batch independence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from realtime_er.encoders.paper.checkpoints import write_state
from realtime_er.encoders.ravdess.mfcc_net import MfccNet
from realtime_er.encoders.ravdess.resnext3d import ResNeXt3D
from realtime_er.errors import ConfigError, SpecMismatch
from realtime_er.fusion.ravdess import FUSIONS, CfnSrNetwork, RavdessNetwork, build_network
from realtime_er.fusion.ravdess_files import begin_from_unimodal, load_network
from tests.encoders.paper.published import assert_published
from tests.fusion.nets import TINY, clip, shaken

COUNTS = {
    "averaging": 25_916_080,
    "multiplicative": 25_916_080,
    "multiplication": 25_916_080,
    "concat": 26_838_952,
    "mcbp": 51_020_506,
    "mmtm": 31_876_640,
    "msaf": 25_940_724,
    "cfn-sr": 26_301_417,
}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _tiny(name: str, **switches: bool) -> RavdessNetwork:
    return shaken(build_network(name, 4, TINY, **switches))


@pytest.fixture(scope="module")
def tiny() -> dict[str, RavdessNetwork]:
    # The sketch has its 25 M parameters whatever the encoders' size; its own tests have a small one.
    return {name: _tiny(name) for name in FUSIONS if name != "mcbp"}


@pytest.mark.parametrize("name", FUSIONS)
def test_counts_are_within_a_percent_of_the_published(name: str) -> None:
    with torch.device("meta"):
        count = _count(build_network(name))
    assert count == COUNTS[name]
    assert count / 1e6 == pytest.approx(FUSIONS[name].published_millions, rel=0.01)


def test_msaf_has_the_published_tensors(shared_dir: Path) -> None:
    with torch.device("meta"):
        net = build_network("msaf", **FUSIONS["msaf"].released)
    assert_published(net, shared_dir / "keys" / "msaf_ravdess.txt", entries=621, count=25_940_724)


def test_cfn_sr_has_the_published_tensors(shared_dir: Path) -> None:
    with torch.device("meta"):
        net = build_network("cfn-sr")
    assert_published(net, shared_dir / "keys" / "cfn_sr.txt", entries=410, count=26_301_417)


def test_ablations_of_cfn_sr() -> None:
    with torch.device("meta"):
        bare = build_network("cfn-sr", block=False)
        plain = build_network("cfn-sr", residual=False)
    assert _count(bare) == 25_916_072
    assert not any(name.startswith("msaf.") for name in bare.state_dict())
    assert _count(plain) == 26_301_417


def test_names_and_switches_are_checked() -> None:
    with pytest.raises(ConfigError, match="averaging, multiplicative"):
        build_network("average")
    with pytest.raises(ConfigError, match=r"no switch residual; it has published_bare_stem$"):
        build_network("concat", residual=False)
    with pytest.raises(ConfigError, match="two classes"):
        build_network("concat", 1)


def test_every_network_scores_each_sample_alone(tiny: dict[str, RavdessNetwork]) -> None:
    video, audio = clip(3)
    for name, net in tiny.items():
        scores = net(video, audio)
        assert scores.shape == (3, 4), name
        torch.testing.assert_close(net(video[1:2], audio[1:2]), scores[1:2], msg=name)


def test_the_released_cfn_sr_mixes_samples(tiny: dict[str, RavdessNetwork]) -> None:
    net = build_network("cfn-sr", 4, TINY, published_batch_sum=True).double().eval()
    net.load_state_dict(tiny["cfn-sr"].state_dict())
    video, audio = clip(3)
    together, alone = net(video, audio)[1:2], net(video[1:2], audio[1:2])
    assert (together - alone).abs().max().item() > 1e-3
    torch.testing.assert_close(alone, tiny["cfn-sr"](video[1:2], audio[1:2]))


def test_msaf_adds_logits_of_attended_maps(tiny: dict[str, RavdessNetwork]) -> None:
    net = tiny["msaf"]
    video, audio = clip(2)
    blocks = list(zip(net.video_model_blocks, net.audio_model_blocks, strict=True))
    first, second = net.get_submodule("msaf.0"), net.get_submodule("msaf.1")
    seen, heard = first([blocks[0][0](video), blocks[0][1](audio)])
    assert (seen.shape[1], tuple(heard.shape[1:])) == (32, (8, 32))
    seen, heard = second([blocks[1][0](seen), blocks[1][1](heard)])
    assert (seen.shape[1], tuple(heard.shape[1:])) == (64, (16, 4))
    torch.testing.assert_close(net(video, audio), blocks[2][0](seen) + blocks[2][1](heard))


def test_late_networks_are_their_encoders(tiny: dict[str, RavdessNetwork]) -> None:
    net = tiny["averaging"]
    video, audio = clip(2)
    seen, heard = net.video_model_blocks[0](video), net.audio_model_blocks[0](audio)
    expected = (seen.softmax(1) + heard.softmax(1)) / 2
    torch.testing.assert_close(net(video, audio).exp(), expected)


@pytest.mark.parametrize("name", ["multiplicative", "concat", "mmtm", "msaf", "cfn-sr"])
def test_one_step_of_training_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    net = build_network(name, 4, TINY).double().train()
    scores = net(*clip(4))
    net.loss(scores, torch.tensor([0, 1, 2, 3]), torch.ones(4).double()).backward()
    for key, value in net.named_parameters():
        assert value.grad is not None, key
        assert bool(torch.isfinite(value.grad).all()), key


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_come_back(tmp_path: Path, tiny: dict[str, RavdessNetwork], suffix: str) -> None:
    video, audio = (x.float() for x in clip(1))
    for name in ("averaging", "concat", "msaf", "cfn-sr"):
        net = build_network(name, 4, TINY)
        net.load_state_dict(tiny[name].state_dict())
        write_state(net, tmp_path / f"net{suffix}")
        again = load_network(name, tmp_path / f"net{suffix}", TINY)
        assert not again.training
        torch.testing.assert_close(again(video, audio), net.eval()(video, audio))
    with pytest.raises(ValueError, match="safetensors"):
        write_state(net, tmp_path / "net.bin")


def test_another_models_file_is_named(tmp_path: Path, tiny: dict[str, RavdessNetwork]) -> None:
    write_state(tiny["msaf"], tmp_path / "msaf.pth")
    with pytest.raises(SpecMismatch, match=r"not the CFN-SR network; this is one of: MSAF"):
        load_network("cfn-sr", tmp_path / "msaf.pth", TINY)
    with pytest.raises(SpecMismatch, match="not the MSAF network: 468 of 621 entries missing"):
        load_network("msaf", tmp_path / "msaf.pth")
    torch.save(ResNeXt3D(4, TINY.video).state_dict(), tmp_path / "seen.pth")
    with pytest.raises(SpecMismatch, match="give it as the video encoder's weights"):
        load_network("msaf", tmp_path / "seen.pth", TINY)
    save_file({"classifier.weight": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(SpecMismatch, match=r"not the Concat \+ FC network"):
        load_network("concat", tmp_path / "x.safetensors", TINY)


@pytest.mark.parametrize("name", ["averaging", "mmtm", "msaf", "cfn-sr"])
def test_unimodal_weights_begin_a_network(tmp_path: Path, name: str) -> None:
    seen, heard = shaken(ResNeXt3D(4, TINY.video)), shaken(MfccNet(4, TINY.audio), 1)
    torch.save(seen.float().state_dict(), tmp_path / "seen.pth")
    torch.save(heard.float().state_dict(), tmp_path / "heard.pth")
    net = build_network(name, 4, TINY).eval()
    begin_from_unimodal(name, net, video=tmp_path / "seen.pth", audio=tmp_path / "heard.pth")
    video, audio = (x.float() for x in clip(1))
    if isinstance(net, CfnSrNetwork):
        x = video
        for piece in list(seen.pieces().values())[:7]:
            x = piece(x)
        torch.testing.assert_close(net.video_model_blocks[0](video), x)
        return
    x, y = video, audio
    for block in net.video_model_blocks:
        x = block(x)
    for block in net.audio_model_blocks:
        y = block(y)
    torch.testing.assert_close(x, seen(video))
    torch.testing.assert_close(y, heard(audio))


def test_unimodal_weights_are_checked(tmp_path: Path) -> None:
    torch.save(MfccNet(3, TINY.audio).state_dict(), tmp_path / "heard.pth")
    net = build_network("msaf", 4, TINY)
    with pytest.raises(SpecMismatch, match="it knows 3 classes, the network 4"):
        begin_from_unimodal("msaf", net, audio=tmp_path / "heard.pth")
    with pytest.raises(SpecMismatch, match="give it as the audio encoder's weights"):
        begin_from_unimodal("msaf", net, video=tmp_path / "heard.pth")
    # CFN-SR has no classifier of the sound alone.
    begin_from_unimodal("cfn-sr", build_network("cfn-sr", 4, TINY), audio=tmp_path / "heard.pth")


@pytest.mark.slow
def test_full_size_cfn_sr_sees_thirty_pictures() -> None:
    torch.manual_seed(0)
    net = build_network("cfn-sr").eval()
    with torch.inference_mode():
        scores = net(torch.randn(1, 3, 30, 224, 224), torch.randn(1, 13, 212))
    assert scores.shape == (1, 8)
    assert bool(torch.isfinite(scores).all())
