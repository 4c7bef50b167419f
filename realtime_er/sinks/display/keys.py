"""What a key of the window does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Binding:
    """What some keys do.

    Attributes:
        names: Qt's names of the keys: "Space", "M", "Esc".
        shown: How the list of keys shows them.
        text: What they do.
        act: Does it.
        repeats: Whether holding the key does it again and again.
    """

    names: tuple[str, ...]
    shown: str
    text: str
    act: Callable[[], None]
    repeats: bool = False
