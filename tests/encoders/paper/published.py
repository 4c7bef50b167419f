"""The published names and shapes, against a module built without memory."""

from __future__ import annotations

from pathlib import Path

import torch


def read_keys(path: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape; a scalar is written "-"."""
    entries = {}
    for line in path.read_text().splitlines():
        name, shape = line.split()
        entries[name] = () if shape == "-" else tuple(int(size) for size in shape.split("x"))
    return entries


def assert_published(module: torch.nn.Module, path: Path, *, entries: int, count: int) -> None:
    """Every name, every shape, and the number of parameters."""
    own = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert own == read_keys(path)
    assert len(own) == entries
    assert sum(parameter.numel() for parameter in module.parameters()) == count
