"""Where the panels are, for every shape of window: two columns when wide, stacked when high."""

from __future__ import annotations

from dataclasses import dataclass

PANELS = ("picture", "scores", "now", "traces", "over_time", "sound", "words", "health")
"""Every panel of the window; "transport" comes with a replay."""


_NARROW = 950  # nominal pixels: in less the health strip needs two lines


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """Just beyond the last column."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """Just beyond the last row."""
        return self.top + self.height


def arrange(width: int, height: int, unit: float, transport: bool) -> dict[str, Area]:
    """Panel -> its place in a window of this size; ``unit`` is pixels per nominal pixel."""
    gap, margin = round(12 * unit), round(14 * unit)
    portrait = height > 0.95 * width
    strip = round((46 if portrait or width < _NARROW * unit else 26) * unit)
    found: dict[str, Area] = {}
    bottom = height - round(6 * unit) - strip
    found["health"] = Area(margin, bottom, width - 2 * margin, strip)
    bottom -= round(4 * unit)
    if transport:
        bar = round(52 * unit)
        found["transport"] = Area(margin, bottom - bar, width - 2 * margin, bar)
        bottom -= bar + gap
    body = Area(margin, margin, width - 2 * margin, bottom - margin)
    found.update(_stacked(body, gap, unit) if portrait else _columns(body, gap, unit))
    return found


def _columns(body: Area, gap: int, unit: float) -> dict[str, Area]:
    now_px = round(124 * unit)
    left_width = round(0.365 * (body.width - gap))
    # The picture is 16:9 where that leaves the bars enough room, else as high as they allow.
    least_scores = round(232 * unit)
    picture_px = min(round(left_width * 9 / 16), body.height - now_px - least_scores - 2 * gap)
    heights = (picture_px, body.height - picture_px - now_px - 2 * gap, now_px)
    found = _column(body.left, body.top, left_width, heights, gap, ("picture", "scores", "now"))
    right = body.left + left_width + gap
    rest = body.height - 3 * gap
    over_time, sound, words = (round(share * rest) for share in (0.2, 0.105, 0.17))
    heights4 = (rest - over_time - sound - words, over_time, sound, words)
    names = ("traces", "over_time", "sound", "words")
    return found | _column(right, body.top, body.right - right, heights4, gap, names)


def _stacked(body: Area, gap: int, unit: float) -> dict[str, Area]:
    rest = body.height - 4 * gap
    picture_width = round(0.52 * (body.width - gap))
    picture_px = min(round(picture_width * 9 / 16), round(0.22 * rest))
    now_px = max(round(124 * unit), round(0.3 * rest) - picture_px - gap)
    top_px = picture_px + gap + now_px
    heights2 = (picture_px, now_px)
    left = _column(body.left, body.top, picture_width, heights2, gap, ("picture", "now"))
    scores_left = body.left + picture_width + gap
    left["scores"] = Area(scores_left, body.top, body.right - scores_left, top_px)
    rest -= top_px
    over_time, sound, words = (round(share * rest) for share in (0.19, 0.11, 0.2))
    heights = (rest - over_time - sound - words, over_time, sound, words)
    names = ("traces", "over_time", "sound", "words")
    return left | _column(body.left, body.top + top_px + gap, body.width, heights, gap, names)


def _column(
    left: int, top: int, width: int, heights: tuple[int, ...], gap: int, names: tuple[str, ...]
) -> dict[str, Area]:
    found = {}
    for name, height in zip(names, heights, strict=True):
        found[name] = Area(left, top, width, max(height, 1))
        top += height + gap
    return found
