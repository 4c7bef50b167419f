"""Weights that would run code of their own, or are damaged: refused, and nothing is run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.checkpoints import read_state  # noqa: E402
from realtime_er.errors import SpecMismatch  # noqa: E402


class Code:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


@pytest.mark.parametrize("how", ["torch", "torch, old", "plain pickle", "as safetensors"])
def test_code_is_never_run(tmp_path: Path, how: str) -> None:
    ran, path = tmp_path / "ran", tmp_path / "weights.pt"
    state = {"layer.weight": torch.zeros(2), "code": Code(ran)}
    if how.startswith("torch"):
        torch.save(state, path, _use_new_zipfile_serialization="old" not in how)
    else:
        path = path.with_suffix(".safetensors") if how == "as safetensors" else path
        path.write_bytes(pickle.dumps(state))
    with pytest.raises(SpecMismatch):
        read_state(path)
    assert not ran.exists()


@pytest.mark.parametrize("cut", [1, 30, 200, -200, -30])
def test_damaged_files_are_one_clear_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"layer.weight": torch.zeros(2)}, path)
    good = path.read_bytes()
    path.write_bytes(good[:cut])
    with pytest.raises(SpecMismatch) as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


def test_an_archive_of_several_disks(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"layer.weight": torch.zeros(2)}, path)
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    locator = b"PK\x06\x07" + (0).to_bytes(4, "little") + bytes(8) + (9).to_bytes(4, "little")
    path.write_bytes(data[:at] + locator + data[at:])
    with pytest.raises(SpecMismatch, match="damaged archive"):
        read_state(path)


def test_an_archive_with_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\u00e4.txt", "x")  # its name is marked as UTF-8
    path.write_bytes(path.read_bytes().replace("\u00e4".encode(), b"\xff\xfe"))
    with pytest.raises(SpecMismatch, match="damaged archive"):
        read_state(path)
