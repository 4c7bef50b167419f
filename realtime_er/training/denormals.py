"""Denormal numbers off while a network learns, and back on: the setting belongs to the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers too small for full precision count as zero within.

    Weights of dead units fade into them, and a CPU is a hundred times slower with them. Calling
    thread, and threads that begin within.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
