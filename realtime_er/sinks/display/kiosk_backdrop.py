"""The colours that flow behind everything on the demo screen. No Qt here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.messages import LABELS, Estimate, ImageArray, Snapshot
from realtime_er.palette import COLOURS

_HISTORY_S = 30.0
_FIELD_ROWS = 108  # computed this small and enlarged: it is soft anyway
_STRANDS = ((0.9, 1.0, 0.5), (0.6, 0.45, 0.6), (1.4, 0.2, 0.8))  # waves/s, width, opacity
# Enlarging is what costs. On screens with more pixels than this it is done ten times a second.
_LARGE_PX = 3_000_000
_LARGE_HZ = 10.0

_BEGINS_S = 1.5
_NEWEST_S = 0.5

Field = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Glow:
    """A soft light: where (0 to 1 across and down), float32 (3,) colour, strength 0 to 1."""

    x: float
    y: float
    colour_bgr: Field
    strength: float


def colour_bgr(label: str) -> npt.NDArray[np.float32]:
    """The palette's colour of ``label`` as float32 (3,) in [0, 255], blue first."""
    value = int(COLOURS[label][1:], 16)
    return np.array([value & 255, value >> 8 & 255, value >> 16], np.float32)


class Backdrop:
    """Paints what flows behind everything: the last 30 s as a ribbon, or the drifting colours.

    Args:
        background: "#rrggbb" of the ground.
        dark: Whether the ground is dark; colours are laid on more lightly on a light one.
    """

    def __init__(self, background: str, *, dark: bool) -> None:
        value = int(background[1:], 16)
        ground = (value & 255, value >> 8 & 255, value >> 16)
        self._ground = np.array(ground, np.float32)
        self._strength = 1.0 if dark else 0.8
        self._colours = np.stack([colour_bgr(label) for label in LABELS])
        self._shape = (0, 0)
        self._x = self._y = self._rows = np.zeros(0, np.float32)
        self._image: ImageArray = np.zeros((0, 0, 4), np.uint8)
        self._shown: tuple[object, ...] = ()

    def render(
        self,
        snapshot: Snapshot | None,
        calm: float,
        size_px: tuple[int, int],
        ribbon_at: float,
        glow: Glow | None = None,
    ) -> ImageArray:
        """The whole ground.

        Args:
            snapshot: Whose history and time are shown; None: the drifting colours at second 0.
            calm: 0 shows the ribbon, 1 the drifting colours.
            size_px: (width, height) of the result.
            ribbon_at: Height of the ribbon's middle, 0 top to 1 bottom.
            glow: The light behind the word.

        Returns:
            uint8 BGRA, shape (height, width, 4), opaque; the same memory at each call of a size.
        """
        width_px, height_px = size_px
        self._resize(width_px, height_px)
        now_s = snapshot.now_s if snapshot is not None else 0.0
        if width_px * height_px > _LARGE_PX:
            light = None if glow is None else round(glow.strength, 2)
            shown = (size_px, int(now_s * _LARGE_HZ), round(calm, 2), light)
            if shown == self._shown:
                return self._image
            self._shown = shown
        field = np.broadcast_to(self._ground, (*self._shape, 3)).astype(np.float32)
        if calm < 1.0 and snapshot is not None:
            if glow is not None:
                self._shine(field, glow, 1.0 - calm)
            self._ribbon(field, snapshot.history, now_s, ribbon_at, 1.0 - calm)
        if calm > 0.0:
            self._drift(field, now_s, calm)
        small = np.empty((*self._shape, 4), np.uint8)
        np.clip(field + 0.5, 0, 255, out=field)
        small[..., :3] = field
        small[..., 3] = 255
        return np.asarray(
            cv2.resize(
                small, (width_px, height_px), dst=self._image, interpolation=cv2.INTER_LINEAR
            )
        )

    def _resize(self, width_px: int, height_px: int) -> None:
        if self._image.shape[:2] == (height_px, width_px):
            return
        self._image = np.empty((height_px, width_px, 4), np.uint8)
        scale = _FIELD_ROWS / min(width_px, height_px)
        rows, columns = max(2, round(height_px * scale)), max(2, round(width_px * scale))
        self._shape = (rows, columns)
        self._x = np.linspace(0.0, 1.0, columns, dtype=np.float32)
        self._y = np.linspace(0.0, 1.0, rows, dtype=np.float32)

    def _shine(self, field: Field, glow: Glow, opacity: float) -> None:
        ratio = self._shape[1] / self._shape[0]
        down = np.exp(-(((self._y - glow.y) / 0.26) ** 2))
        across = np.exp(-(((self._x - glow.x) * ratio / 0.42) ** 2))
        strength = np.float32(glow.strength * opacity * self._strength)
        _lay(field, down[:, None] * across * strength, glow.colour_bgr)

    def _ribbon(
        self, field: Field, history: Sequence[Estimate], now_s: float, at: float, opacity: float
    ) -> None:
        """Three strands that carry the colour of each moment to the left as it grows old."""
        if not history:
            return
        times_s = (now_s - _HISTORY_S * (1.0 - self._x)).astype(np.float64)
        colour, strength = self._moments(history, times_s)
        # It fades with age, and begins softly where the session began.
        soft = np.minimum(self._x * 6.0, (times_s - history[0].time_s) / _BEGINS_S)
        strength *= np.clip(soft, 0.0, 1.0).astype(np.float32) * opacity * self._strength
        # The newest estimate reaches to the edge while it is the newest, not when they stay away.
        strength[times_s > history[-1].time_s + _NEWEST_S] = 0.0
        rows, columns = self._shape
        first = max(0, int((at - 0.16) * rows))
        y = self._y[first:, None]
        # Thirty seconds are narrow on an upright screen: longer waves keep their soft slopes.
        calmer = min(1.0, columns / rows / 1.4)
        for turn, (speed, width, alpha) in enumerate(_STRANDS):
            # Waves belong to the moments and travel with them; a slow breath moves them all.
            speed *= calmer
            wave = np.sin(times_s * speed + 2.1 * turn) + 0.5 * np.sin(
                times_s * 0.37 * speed + now_s * 0.21 + turn
            )
            middle = (at + 0.022 * calmer * wave).astype(np.float32)
            spread = (calmer * (0.012 + 0.05 * width * (0.35 + 0.65 * strength))).astype(np.float32)
            layer = np.exp(-(((y - middle) / spread) ** 2)) * (alpha * strength).astype(np.float32)
            _lay(field[first:], layer, colour)

    def _moments(
        self, history: Sequence[Estimate], times_s: npt.NDArray[np.float64]
    ) -> tuple[Field, Field]:
        """Colour (columns, 3) and strength (columns,) of the ribbon at ``times_s``."""
        n = len(history)
        known_s = np.fromiter((e.time_s for e in history), np.float64, n)
        scores = np.stack([e.probabilities for e in history])
        readable = ~np.isnan(scores).all(axis=1)
        lead = np.argmax(np.nan_to_num(scores, nan=-1.0), axis=1)
        sure = np.fromiter((e.confidence for e in history), np.float64, n)
        weight = np.where(readable, 0.35 + 0.65 * sure, 0.0)
        layers = np.column_stack([self._colours[lead] * weight[:, None], weight])
        kernel = np.hanning(17)[1:-1]
        shown = np.empty((len(times_s), 4), np.float32)
        for channel in range(4):
            # Divided by what the kernel covers, so that the newest moments do not look weak.
            soft = (
                np.convolve(layers[:, channel], kernel, "same") if n >= 15 else layers[:, channel]
            )
            covered = np.convolve(np.ones(n), kernel, "same") if n >= 15 else np.ones(n)
            shown[:, channel] = np.interp(times_s, known_s, soft / covered, left=0.0)
        strength = shown[:, 3]
        tone = shown[:, :3] / np.maximum(strength, np.float32(1e-6))[:, None]
        return tone.astype(np.float32), strength

    def _drift(self, field: Field, now_s: float, calm: float) -> None:
        """The seven colours, each on a slow path of its own."""
        ratio = self._shape[1] / self._shape[0]
        for place, colour in enumerate(self._colours):
            phase = place / len(LABELS) * math.tau
            x = 0.5 + 0.46 * math.sin(now_s * 0.11 + phase)
            y = 0.52 + 0.40 * math.sin(now_s * (0.07 + 0.011 * place) + 2.3 * phase + 0.7)
            size = 0.34 + 0.06 * math.sin(now_s * 0.23 + phase)
            across = np.exp(-(((self._x - x) * max(ratio, 1.0) / size / 1.15) ** 2))
            down = np.exp(-(((self._y - y) / min(ratio, 1.0) / size) ** 2))
            _lay(field, down[:, None] * across * np.float32(0.62 * calm * self._strength), colour)


def _lay(field: Field, opacity: Field, colour: Field) -> None:
    """Lay ``colour`` (3,) or (columns, 3) over ``field`` (rows, columns, 3), in place."""
    field += opacity[..., None] * (colour - field)
