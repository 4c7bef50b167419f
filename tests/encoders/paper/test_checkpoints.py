"""What a file of weights may be, and the one line that says what it is when it is not."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.checkpoints import fill_module, read_state  # noqa: E402
from realtime_er.encoders.paper.emo_affectnet import (  # noqa: E402
    EmoAffectNetEncoder,
    build_from_state,
)
from realtime_er.encoders.paper.hub import find_weights  # noqa: E402
from realtime_er.encoders.paper.own_labels import (  # noqa: E402
    TEXT_ORDER,
    labels_of_config,
    to_project_columns,
)
from realtime_er.errors import SpecMismatch, WeightsMissing  # noqa: E402
from realtime_er.fusion.gated import GatedAttentionFusion  # noqa: E402
from tests.encoders.paper import tiny  # noqa: E402


@pytest.fixture
def state():
    torch.set_num_threads(1)
    return tiny.contiguous(tiny.make_face())


def refused(path, match):
    with pytest.raises(SpecMismatch, match=match) as caught:
        build_from_state(read_state(path), path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_bare_wrapped_and_prefixed(tmp_path, state, wrapper, prefix):
    stored = {prefix + name: value for name, value in state.items()}
    torch.save({wrapper: stored, "epoch": 3} if wrapper else stored, tmp_path / "a.pt")
    got = read_state(tmp_path / "a.pt")
    assert got.keys() == state.keys()
    torch.testing.assert_close(got["fc1.weight"], state["fc1.weight"])


def test_safetensors(tmp_path, state):
    from safetensors.torch import save_file

    save_file(state, tmp_path / "a.safetensors")
    torch.testing.assert_close(read_state(tmp_path / "a.safetensors"), state)
    (tmp_path / "a.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not json}")
    refused(tmp_path / "a.safetensors", "safetensors")


def test_torchscript_is_named_with_a_way_out(tmp_path):
    path = tmp_path / "torchscript_model.pth"
    # Written by hand: what torch.jit.save writes, without calling what torch has deprecated.
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"archive/{name}", b"0")
    message = refused(path, "TorchScript program, not a state_dict")
    assert "ElenaRyumina/face_emotion_recognition" in message


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("never",)


def test_a_pickle_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Malicious()}, "new.pt")
    refused((tmp_path / "new.pt"), "run code of its own")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(SpecMismatch):
        read_state(tmp_path / "old.pth")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>virus scan</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"\x89HDF\r\n\x1a\n0000", "Keras"),
        (b"just some text, nothing of torch's", "damaged or not torch's|run code"),
    ],
)
def test_other_files_are_named(tmp_path, content, match):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    refused(path, match)


def test_a_cut_file_is_named(tmp_path, state):
    torch.save(state, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "a.pt", "fetch it again")


def test_what_is_no_state_dict_is_named(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    refused(tmp_path / "tensor.pt", "holds Tensor, not a state_dict")
    torch.save({"lr": 0.1}, tmp_path / "numbers.pt")
    refused(tmp_path / "numbers.pt", "'lr' is no tensor")
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as archive:
        archive.writestr("model.pt", b"0")
    refused(tmp_path / "archive.pt", "zip archive without weights")


def test_another_models_weights_are_named(tmp_path, state):
    torch.save(GatedAttentionFusion(4, 4, 4, 2).state_dict(), tmp_path / "fusion.pth")
    refused(tmp_path / "fusion.pth", "this is an MER fusion head")
    del state["fc1.weight"]
    torch.save(state, tmp_path / "headless.pt")
    refused(tmp_path / "headless.pt", r"fc1\.weight is missing")


def test_missing_unknown_and_reshaped_entries_are_counted(tmp_path, state):
    path = tmp_path / "a.pt"
    for name in ("layer1.0.conv2.weight", "batch_norm1.bias"):
        torch.save({k: v for k, v in state.items() if k != name}, path)
        refused(path, rf"1 of \d+ entries missing, {name} first")
    torch.save({**state, "extra": torch.zeros(1)}, path)
    refused(path, "1 unknown, extra first")
    torch.save({**state, "fc1.bias": torch.zeros(3)}, path)
    refused(path, r"fc1\.bias is \[3\], not \[10\]")
    torch.save({**state, "fc1.bias": torch.full((10,), float("nan"))}, path)
    refused(path, "not finite")


def test_filled_modules_do_not_train_by_accident(tmp_path, state):
    net = build_from_state(state, tmp_path)
    assert not net.training
    assert not any(value.is_meta for value in net.state_dict().values())


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(WeightsMissing, match="models get paper"):
        read_state(tmp_path / "none.pt")
    with pytest.raises(WeightsMissing, match="not a hub id"):
        find_weights(tmp_path / "none.pt")


def test_folders_name_what_they_hold(tmp_path, state):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(WeightsMissing, match=r"model\.safetensors.*found: notes\.txt"):
        find_weights(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    found = find_weights(tmp_path)
    assert (found.path.name, found.config) == ("pytorch_model.bin", {"a": 1})
    # As good as the published file's name.
    assert EmoAffectNetEncoder(tmp_path).dim == 10
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SpecMismatch, match=r"config\.json"):
        find_weights(tmp_path)


def test_a_hub_id_is_looked_up_in_the_cache_alone(tmp_path, monkeypatch, state):
    hub = pytest.importorskip("huggingface_hub")
    with pytest.raises(WeightsMissing, match=r"nobody/nothing-here: not on this machine"):
        find_weights("nobody/nothing-here")
    # The cache's own layout: what a download leaves behind.
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    base = tmp_path / "models--some--net"
    snapshot = base / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("a" * 40)
    torch.save(state, snapshot / "pytorch_model.bin")
    real = hub.snapshot_download
    monkeypatch.setattr(
        hub, "snapshot_download", lambda *a, **k: real(*a, **k, cache_dir=str(tmp_path))
    )
    assert find_weights("some/net").path.parent == snapshot


def test_own_labels_move_by_name():
    p = np.arange(7, dtype=np.float32)[None] / 10
    got = to_project_columns(p, TEXT_ORDER)
    np.testing.assert_allclose(got[0], [0.4, 0.3, 0.5, 0.6, 0.2, 0.1, 0.0], atol=1e-7)
    six = to_project_columns(p[:, :6], ("SAD", "ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL"))
    assert np.isnan(six[0, 3])
    assert six[0, 0] == p[0, 5]
    with pytest.raises(ValueError, match="none of"):
        to_project_columns(p[:, :1], ("LABEL_0",))
    with pytest.raises(ValueError, match="7 probabilities for 1"):
        to_project_columns(p, ("sad",))


def test_labels_of_a_config():
    assert labels_of_config({"id2label": {"1": "joy", "0": "anger"}}) == ("anger", "joy")
    assert labels_of_config({"id2label": {"0": "LABEL_0"}}) == ()
    assert labels_of_config({}) == ()
    with pytest.raises(SpecMismatch, match="class numbers"):
        labels_of_config({"id2label": {"zero": "joy"}})


def test_fill_module_zeroes_what_is_optional(tmp_path):
    built = fill_module(
        lambda: torch.nn.Linear(2, 1),
        {"weight": torch.ones(1, 2)},
        "a line",
        tmp_path,
        optional=("bias",),
    )
    assert built(torch.ones(1, 2)).item() == 2.0
