"""Checkpoints: whole or not at all, of one plan only."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from realtime_er.errors import ConfigError, CorpusError  # noqa: E402
from realtime_er.training.checkpoints import read_checkpoint, write_checkpoint  # noqa: E402

PLAN = {"seed": 1, "epochs": 2}


def test_a_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert read_checkpoint(None, PLAN) == {}
    assert read_checkpoint(path, PLAN) == {}
    write_checkpoint(path, PLAN, {"net": {"a": torch.ones(2)}, "epoch": 1})
    state = read_checkpoint(path, PLAN)
    assert state["epoch"] == 1
    assert torch.equal(state["net"]["a"], torch.ones(2))
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_run_killed_while_writing_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, PLAN, {"epoch": 1})

    def killed(_: object, to: Path) -> None:
        to.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, PLAN, {"epoch": 2})
    assert read_checkpoint(path, PLAN)["epoch"] == 1


def test_damage_and_other_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, PLAN, {"epoch": 1})
    with pytest.raises(ConfigError, match="other settings"):
        read_checkpoint(path, {**PLAN, "seed": 2})
    kept = path.read_bytes()
    for content in (kept[: len(kept) // 2], b"", b"no checkpoint"):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match="is damaged; delete it"):
            read_checkpoint(path, PLAN)
