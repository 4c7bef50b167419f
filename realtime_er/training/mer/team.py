"""One process, or several that train one head together under ``accelerate launch``."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from realtime_er.errors import ModelError


class Team:
    """A team of one: everything stays as it is."""

    rank = 0
    size = 1

    def __init__(self, device: str) -> None:
        self.device = device

    def prepare(self, net: nn.Module, optimiser: torch.optim.Optimizer) -> nn.Module:
        """The module to train with; its weights are ``net``'s own."""
        return net

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def agree(self, stop: bool) -> bool:
        """What the first member thinks, for all: nobody goes on alone."""
        return stop

    def mean(self, value: float) -> float:
        """Mean of every member's value."""
        return value


class _AcceleratedTeam(Team):
    def __init__(self, device: str) -> None:
        try:
            import accelerate
        except ImportError as error:
            raise ModelError("several processes need accelerate: pip install accelerate") from error
        self._accelerator: Any = accelerate.Accelerator(cpu=device == "cpu")
        super().__init__(str(self._accelerator.device))
        self.rank = int(self._accelerator.process_index)
        self.size = int(self._accelerator.num_processes)

    def prepare(self, net: nn.Module, optimiser: torch.optim.Optimizer) -> nn.Module:
        wrapped: nn.Module = self._accelerator.prepare_model(net)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def agree(self, stop: bool) -> bool:
        from accelerate.utils import broadcast_object_list

        told = [stop]
        broadcast_object_list(told)
        return bool(told[0])

    def mean(self, value: float) -> float:
        told = torch.tensor(value, device=self.device)
        return float(self._accelerator.reduce(told, "mean"))


def join_team(device: str) -> Team:
    """The team that this process was started in.

    Args:
        device: torch's name of where to run; a team gives every member a GPU of its own.

    Raises:
        ModelError: several processes were started, but accelerate is not installed.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) < 2
    return Team(device) if alone else _AcceleratedTeam(device)


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return int(os.environ.get("RANK", "0")) == 0
