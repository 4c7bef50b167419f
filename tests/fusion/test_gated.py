"""The published forward pass, and what happens when modalities are missing."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.checkpoints import write_state  # noqa: E402
from realtime_er.errors import SpecMismatch  # noqa: E402
from realtime_er.fusion.gated import (  # noqa: E402
    GatedAttentionFusion,
    load_head,
    probabilities,
)

SIZES = {"face": 12, "audio": 8, "text": 10}
COMPLETE = (1.0, 1.0, 1.0)


def make(gate="softmax", **options):
    torch.manual_seed(3)
    return GatedAttentionFusion(12, 8, 10, 6, 7, 0.1, gate, **options).eval()


def vectors(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(count, size)) for name, size in SIZES.items()}


def run(net, given, mask):
    rows = len(given["face"])
    tensors = [torch.from_numpy(given[name].astype(np.float32)) for name in SIZES]
    with torch.no_grad():
        return net(*tensors, torch.tensor(mask).expand(rows, 3)).numpy()


def published(net, given, gate):
    """Float64 transcription of the published equations, all three modalities present."""
    p = {name: value.double().numpy() for name, value in net.state_dict().items()}
    a = given["audio"] @ p["fc_audio.weight"].T + p["fc_audio.bias"]
    v = given["face"] @ p["fc_video.weight"].T + p["fc_video.bias"]
    t = given["text"] @ p["fc_text.weight"].T + p["fc_text.bias"]

    def pair(x, y, name):
        hx, hy = np.tanh(x @ p[f"{name}.WF1"]), np.tanh(y @ p[f"{name}.WF2"])
        s = np.concatenate([x, y], axis=1) @ p[f"{name}.WF"]
        if gate == "softmax":
            z = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
        else:
            z = 1.0 / (1.0 + np.exp(-s))
        return z * hx + (1.0 - z) * hy

    h = np.concatenate([pair(a, v, "gal_av"), pair(v, t, "gal_vt"), pair(t, a, "gal_ta")], axis=1)
    u = np.maximum(h, 0.0) @ p["fc_avt.weight"].T + p["fc_avt.bias"]
    return u @ p["classifier.weight"].T + p["classifier.bias"]


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_all_present_is_the_published_forward(gate):
    net = make(gate)
    given = vectors()
    expected = published(net, given, gate)
    np.testing.assert_allclose(run(net, given, COMPLETE), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("gated_dim", "classes", "expected"),
    [(64, 7, 2_505_479), (64, 6, 2_505_414), (32, 6, 2_201_062), (128, 7, 3_132_679)],
)
def test_parameter_count_is_the_published_one(gated_dim, classes, expected):
    with torch.device("meta"):
        net = GatedAttentionFusion(1024, 512, 768, gated_dim, classes)
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


def test_state_dict_has_the_published_names_and_layouts():
    state = make().state_dict()
    assert set(state) == {
        *(f"fc_{name}.{part}" for name in ("audio", "video", "text", "avt")
          for part in ("weight", "bias")),
        "classifier.weight",
        "classifier.bias",
        *(f"gal_{pair}.{part}" for pair in ("av", "vt", "ta") for part in ("WF1", "WF2", "WF")),
    }  # fmt: skip
    assert state["gal_av.WF1"].shape == (8, 6)
    assert state["gal_av.WF"].shape == (20, 6)


@pytest.mark.parametrize("absent", list(SIZES))
def test_an_absent_vector_has_no_influence(absent):
    net = make("sigmoid", standardise=True)
    mask = tuple(float(name != absent) for name in SIZES)
    given = vectors()
    other = {**given, absent: 100.0 * np.ones_like(given[absent])}
    np.testing.assert_array_equal(run(net, given, mask), run(net, other, mask))
    assert not np.allclose(run(net, given, COMPLETE), run(net, given, mask))


def test_one_present_modality_passes_ungated():
    net = make("sigmoid")
    given = vectors()
    p = {name: value.double().numpy() for name, value in net.state_dict().items()}
    v = given["face"] @ p["fc_video.weight"].T + p["fc_video.bias"]
    none = np.zeros((len(v), 6))
    h = np.concatenate([np.tanh(v @ p["gal_av.WF2"]), np.tanh(v @ p["gal_vt.WF1"]), none], axis=1)
    u = np.maximum(h, 0.0) @ p["fc_avt.weight"].T + p["fc_avt.bias"]
    expected = u @ p["classifier.weight"].T + p["classifier.bias"]
    np.testing.assert_allclose(run(net, given, (1.0, 0.0, 0.0)), expected, atol=2e-6)


def test_standardisation_shifts_then_scales():
    net = make(standardise=True)
    plain = make()
    given = vectors()
    for name, size in SIZES.items():
        net.set_standardisation(name, torch.full((size,), 0.5), torch.full((size,), 2.0))
    changed = {name: (value - 0.5) * 2.0 for name, value in given.items()}
    np.testing.assert_allclose(run(net, given, COMPLETE), run(plain, changed, COMPLETE), atol=1e-5)


@pytest.mark.parametrize(("gated_dim", "classes"), [(64, 7), (32, 6)])
def test_full_size_has_the_published_entries(shared_dir, gated_dim, classes):
    with torch.device("meta"):
        net = GatedAttentionFusion(1024, 512, 768, gated_dim, classes)
    lines = (shared_dir / "keys" / f"mer_fusion_g{gated_dim}_c{classes}.txt").read_text()
    expected = {
        name: tuple(int(size) for size in shape.split("x"))
        for name, shape in (line.split() for line in lines.splitlines())
    }
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == expected


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("name", ["head.pth", "head.safetensors"])
def test_a_saved_head_loads_with_its_sizes(tmp_path, gate, standardise, name):
    net = make(gate, standardise=standardise)
    if standardise:
        net.set_standardisation("face", torch.full((12,), 0.5), torch.full((12,), 2.0))
    write_state(net, tmp_path / name)
    back = load_head(tmp_path / name, gate=gate)
    assert not back.training
    given = vectors()
    np.testing.assert_array_equal(run(back, given, COMPLETE), run(net, given, COMPLETE))


def test_width_and_classes_are_those_of_the_checkpoint(tmp_path):
    torch.save(GatedAttentionFusion(12, 8, 10, 5, 6).state_dict(), tmp_path / "a.pth")
    head = load_head(tmp_path / "a.pth")
    assert (head.classifier.in_features, head.classifier.out_features) == (5, 6)
    assert (head.fc_video.in_features, head.fc_audio.in_features) == (12, 8)


def test_what_is_no_head_is_refused(tmp_path):
    state = make().state_dict()
    del state["gal_ta.WF"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(SpecMismatch, match=r"1 of 19 entries missing, gal_ta\.WF first"):
        load_head(tmp_path / "a.pth")
    torch.save(
        {"fc.weight": torch.zeros(7, 8), "lstm1.weight_ih_l0": torch.zeros(1)}, tmp_path / "b.pth"
    )
    with pytest.raises(SpecMismatch, match="EMO-AffectNet LSTM"):
        load_head(tmp_path / "b.pth")
    with pytest.raises(ValueError, match="softmax"):
        GatedAttentionFusion(4, 4, 4, gate="relu")
    with pytest.raises(ValueError, match="safetensors"):
        write_state(make(), tmp_path / "a.onnx")


def test_rows_do_not_depend_on_their_batch():
    net = make()
    given = vectors(6)
    together = run(net, given, COMPLETE)
    for row in range(6):
        alone = run(net, {name: value[row : row + 1] for name, value in given.items()}, COMPLETE)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)


def test_an_absent_modality_is_not_a_zero_vector():
    # The published "set to zero at test" passes the bias on; a mask does not.
    net = make()
    with torch.no_grad():
        net.fc_text.bias.normal_()
    given = vectors()
    zeroed = {**given, "text": np.zeros_like(given["text"])}
    assert not np.allclose(run(net, zeroed, COMPLETE), run(net, zeroed, (1.0, 1.0, 0.0)))


def test_single_and_multi_label_outputs():
    logits = torch.tensor([[2.0, -1.0, 0.0]])
    assert probabilities(logits).sum().item() == pytest.approx(1.0)
    multi = probabilities(logits, multi_label=True)
    np.testing.assert_allclose(multi[0], 1 / (1 + np.exp([-2.0, 1.0, 0.0])), atol=1e-6)
