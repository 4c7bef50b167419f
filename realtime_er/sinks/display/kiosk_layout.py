"""Where things stand on the demo screen; it re-flows for screens that stand upright."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF


@dataclass(frozen=True, slots=True)
class Layout:
    """Rectangles in logical pixels.

    Attributes:
        unit: One hundredth of the shorter side; line widths and corners are made of it.
        text: Base height of the letters; everything but the word is a multiple of it.
        word: Where the huge word stands; its letters fill the width or the height.
        ribbon_at: Height of the ribbon's middle, 0 top to 1 bottom.
        centred: Whether the words beside the picture are centred, rather than flush left.
    """

    unit: float
    text: float
    picture: QRectF
    caption: QRectF
    word: QRectF
    bar: QRectF
    sure: QRectF
    speakers: QRectF
    spoken: QRectF
    footer: QRectF
    ribbon_at: float
    centred: bool


def plan(width: float, height: float) -> Layout:
    """The layout for a screen of this size."""
    return _wide(width, height) if width >= height else _upright(width, height)


def _wide(w: float, h: float) -> Layout:
    unit = min(w, h) / 100
    margin = 0.058 * h
    split = 0.522 * w
    left, right = 0.556 * w, w - margin
    text = min(0.044 * h, 0.028 * w)
    column = right - left
    return Layout(
        unit=unit,
        text=text,
        picture=QRectF(margin, margin, split - margin, 0.575 * h),
        caption=QRectF(left, margin, column, 0.06 * h),
        word=QRectF(left, 0.12 * h, column, 0.215 * h),
        bar=QRectF(left, 0.345 * h, column, 0.018 * h),
        sure=QRectF(left, 0.378 * h, column, 0.065 * h),
        speakers=QRectF(left, 0.455 * h, column, 0.225 * h),
        spoken=QRectF(margin, 0.695 * h, w - 2 * margin, 0.13 * h),
        footer=QRectF(margin, 0.952 * h, w - 2 * margin, 0.034 * h),
        ribbon_at=0.885,
        centred=False,
    )


def _upright(w: float, h: float) -> Layout:
    unit = min(w, h) / 100
    margin = 0.06 * w
    text = min(0.052 * w, 0.032 * h)
    column = w - 2 * margin
    return Layout(
        unit=unit,
        text=text,
        picture=QRectF(margin, 0.034 * h, column, 0.32 * h),
        caption=QRectF(margin, 0.375 * h, column, 0.04 * h),
        word=QRectF(margin, 0.416 * h, column, 0.13 * h),
        bar=QRectF(margin, 0.554 * h, column, 0.01 * h),
        sure=QRectF(margin, 0.571 * h, column, 0.04 * h),
        speakers=QRectF(margin, 0.622 * h, column, 0.145 * h),
        spoken=QRectF(margin, 0.785 * h, column, 0.095 * h),
        footer=QRectF(margin, 0.97 * h, column, 0.02 * h),
        ribbon_at=0.928,
        centred=True,
    )
