"""The window's keys. No Qt here, so that whoever reads annotation keys can avoid these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

RESERVED_KEYS = frozenset(
    {
        "SPACE", "LEFT", "RIGHT", "HOME", "END", "PGUP", "PGDOWN", "TAB", "BACKTAB", "RETURN",
        "ENTER", "ESC", "F1", "F11", "+", "-", "=", "_", "?", "[", "]",
        "C", "D", "H", "M", "N", "Q", "R", "S", "U",
    }
)  # fmt: skip
"""Names (capitals) of the keys that the window takes itself, whatever it can do just now."""


def is_reserved(key: str) -> bool:
    """Whether an annotation cannot have this key."""
    return key.upper() in RESERVED_KEYS


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
