"""Colours and type of the window, in dark and light; what changes size with the window.

The emotions' and modalities' colours are not here: they are ``realtime_er.palette``'s everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtGui import QColor, QFont, QFontDatabase

BASE_SIZE_PX = (1280.0, 720.0)
"""The window size for which the sizes in the code are meant."""

_FAMILIES = (
    "Inter",
    "Segoe UI Variable Text",
    "Segoe UI",
    "SF Pro Text",
    "Helvetica Neue",
    "Noto Sans",
    "Roboto",
    "Ubuntu",
    "Cantarell",
    "Liberation Sans",
    "DejaVu Sans",
)


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours, each "#rrggbb", from the back to the front; ``good``, ``warn``, ``bad`` are states."""

    name: str
    window: str
    card: str
    track: str
    border: str
    grid: str
    faint: str
    dim: str
    text: str
    accent: str
    good: str
    warn: str
    bad: str


DARK = Theme(
    name="dark",
    window="#0e1116",
    card="#171b22",
    track="#232933",
    border="#232933",
    grid="#262d38",
    faint="#6b7684",
    dim="#a0abb8",
    text="#eceff3",
    accent="#7fb2ff",
    good="#5cc98f",
    warn="#f2b84b",
    bad="#ff7a70",
)

LIGHT = Theme(
    name="light",
    window="#eef1f5",
    card="#ffffff",
    track="#e9edf2",
    border="#dde3ea",
    grid="#e6ebf1",
    faint="#8793a1",
    dim="#55616f",
    text="#161b22",
    accent="#1f5fbf",
    good="#177245",
    warn="#8f5f00",
    bad="#c0281f",
)

THEMES = {"dark": DARK, "light": LIGHT}


def colour(value: str, alpha: float = 1.0) -> QColor:
    """A colour from "#rrggbb" and an opacity in [0, 1]."""
    shade = QColor(value)
    shade.setAlphaF(alpha)
    return shade


def mixed(front: str, back: str, share: float) -> QColor:
    """``share`` of ``front`` over ``back``, opaque: cheaper to paint than a transparent colour."""
    a, b = QColor(front), QColor(back)
    return QColor(
        round(a.red() * share + b.red() * (1 - share)),
        round(a.green() * share + b.green() * (1 - share)),
        round(a.blue() * share + b.blue() * (1 - share)),
    )


def font_family() -> str:
    """The first of the good interface fonts that this machine has."""
    there = set(QFontDatabase.families())
    return next((family for family in _FAMILIES if family in there), "Sans Serif")


class Style:
    """A theme at a size. One is shared by all parts of a window, which sets ``unit`` on resizing.

    Attributes:
        theme: The colours.
        unit: Pixels per nominal pixel: 1.0 in a window of 1280 x 720.
    """

    def __init__(self, theme: Theme | str) -> None:
        self.theme = theme if isinstance(theme, Theme) else THEMES[theme]
        self.unit = 1.0
        self._family = font_family()
        self._fonts: dict[tuple[int, bool], QFont] = {}

    def fit(self, width_px: int, height_px: int) -> bool:
        """Choose the unit for a window of this size; says whether it changed."""
        area = float(max(1, width_px * height_px)) / (BASE_SIZE_PX[0] * BASE_SIZE_PX[1])
        unit = round(min(max(math.pow(area, 0.45), 0.8), 3.5), 2)
        changed = unit != self.unit
        self.unit = unit
        return changed

    def px(self, nominal: float) -> int:
        """Nominal pixels as whole pixels of this window."""
        return max(1, round(nominal * self.unit))

    def font(self, nominal: float, bold: bool = False) -> QFont:
        """The window's font, ``nominal`` pixels high."""
        key = (self.px(nominal), bold)
        font = self._fonts.get(key)
        if font is None:
            font = QFont(self._family)
            font.setPixelSize(key[0])
            font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
            self._fonts[key] = font
        return font
