"""The keys that the window takes itself, so that annotation labels can avoid them."""

RESERVED_KEYS = frozenset(
    {
        "SPACE", "LEFT", "RIGHT", "HOME", "END", "PGUP", "PGDOWN", "TAB", "BACKTAB", "RETURN",
        "ENTER", "ESC", "F1", "F11", "+", "-", "=", "_", "?", "[", "]",
        "C", "D", "H", "M", "N", "Q", "R", "S", "U",
    }
)  # fmt: skip
"""Names (capitals), whatever the window can do with them just now."""


def is_reserved(key: str) -> bool:
    """Whether an annotation cannot have this key."""
    return key.upper() in RESERVED_KEYS
