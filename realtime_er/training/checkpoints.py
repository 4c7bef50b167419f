"""Files that a training which was stopped goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from realtime_er.errors import ConfigError, CorpusError


def write_checkpoint(path: Path, plan: Mapping[str, float], state: Mapping[str, Any]) -> None:
    """Writes the state of a run, whole or not at all: a run that is killed leaves the one before.

    Args:
        path: the file.
        plan: the run's settings; another run does not go on from it.
        state: tensors, numbers and dictionaries of them.
    """
    half = path.with_name(path.name + ".part")
    torch.save({**plan, **state}, half)
    half.replace(path)


def read_checkpoint(path: Path | None, plan: Mapping[str, float]) -> dict[str, Any]:
    """What :func:`write_checkpoint` wrote; empty where there is nothing to go on from.

    Raises:
        ConfigError: a run with other settings wrote it.
        CorpusError: it is damaged.
    """
    if path is None or not path.is_file():
        return {}
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        settings = {name: state[name] for name in plan}
    except (OSError, RuntimeError, KeyError, TypeError, UnpicklingError, EOFError) as error:
        raise CorpusError(f"{path}: is damaged; delete it and start again") from error
    if settings != dict(plan):
        raise ConfigError(f"{path}: of a run with other settings; delete it, or name another --out")
    return state
