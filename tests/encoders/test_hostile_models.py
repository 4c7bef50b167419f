"""A model's folder from somebody else: what its card names, and what its files refer to."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from realtime_er.encoders.bundle import bundle_dir, load_card
from realtime_er.encoders.face import FaceEncoder
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.encoders.text import TextEncoder
from realtime_er.errors import ModelError, SpecMismatch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Our text model, to be changed."""
    return Path(shutil.copytree(bundle_dir("compact", "text"), tmp_path / "text"))


def _change(folder: Path, **values: object) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("how", ["up", "absolute", "windows", "link"])
@pytest.mark.parametrize("part", ["file", "tokenizer"])
def test_a_card_names_nothing_outside_its_folder(folder: Path, how: str, part: str) -> None:
    outside = folder.parent / "outside.onnx"
    shutil.copy(folder / "model.onnx", outside)
    name = {
        "up": "../outside.onnx",
        "absolute": str(outside),
        "windows": "C:\\outside.onnx",
        "link": "link.onnx",
    }[how]
    (folder / "link.onnx").symlink_to(outside)
    entry = {"file": name, "sha256": _sha256(outside)}
    _change(folder, **(entry if part == "file" else {part: entry}))
    with pytest.raises(SpecMismatch, match="out of the model's folder"):
        load_card(folder)


@pytest.mark.parametrize("verify", [True, False])
def test_the_hash_is_checked_before_a_model_is_used(folder: Path, verify: bool) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    if verify:
        with pytest.raises(SpecMismatch, match="sha256"):
            TextEncoder(folder)
    else:
        assert load_card(folder, verify=False).sha256 != _sha256(folder / "model.onnx")


@pytest.mark.parametrize(
    "change",
    [
        {"file": 3},
        {"file": ""},
        {"sha256": None},
        {"labels": "abc"},
        {"labels": [1, 2]},
        {"label_map": []},
        {"label_map": {"Happy": "joy"}},
        {"embedding_dim": float("inf")},
        {"tokenizer": "tokenizer.json"},
        {"tokenizer": {"sha256": "0"}},
        {"tokenizer": None},
    ],
)
def test_a_card_that_is_none_is_one_clear_line(folder: Path, change: dict[str, object]) -> None:
    _change(folder, **change)
    with pytest.raises(SpecMismatch, match=r"card") as caught:
        TextEncoder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "[]", "3", " " * 5_000_000])
def test_a_card_of_nonsense(folder: Path, text: str) -> None:
    (folder / "card.json").write_text(text, "utf-8")
    with pytest.raises(SpecMismatch, match="not a model card"):
        load_card(folder)


def test_a_tokenizer_of_nonsense(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {}}', "utf-8")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    _change(folder, tokenizer=card["tokenizer"] | {"sha256": _sha256(folder / "tokenizer.json")})
    with pytest.raises(SpecMismatch, match="not a tokenizer"):
        TextEncoder(folder)


def test_a_face_encoder_without_its_contract(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle_dir("compact", "face"), tmp_path / "face"))
    _change(folder, input={"height_px": 64, "crop": {"compact": {"scale": "x"}}})
    with pytest.raises(SpecMismatch, match="input"):
        FaceEncoder(folder)


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname"])
def test_weights_beside_a_model_are_not_loaded(tmp_path: Path, location: str) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "weights.bin").write_bytes(bytes(16))
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph(
        [node], "g", [value("x", 1, [4])], [value("y", 1, [4])], [tensor]
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="cannot load it"):
        onnx_session(path)
