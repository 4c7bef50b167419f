"""Rooms drawn from nothing, colour for grey faces, and what cameras do to a picture."""

from __future__ import annotations

import cv2
import numpy as np

from realtime_er.messages import FloatArray, ImageArray


def drawn_room(height_px: int, width_px: int, rng: np.random.Generator) -> ImageArray:
    """A cluttered background: a gradient, shapes, lines, letters and grain, uint8 BGR."""
    corners = rng.uniform(0, 255, (2, 2, 3)).astype(np.float32)
    if rng.random() < 0.5:
        corners = corners[:1, :1] + rng.normal(0, 25, (2, 2, 3)).astype(np.float32)
    smooth = cv2.resize(corners, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    image: ImageArray = np.clip(smooth, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 18))):
        _shape(image, rng)
    grain = float(rng.choice([0.0, 4.0, 12.0, 30.0]))
    if grain:
        # Grain of some size: a coarse field, enlarged.
        size = int(rng.integers(1, 6))
        field = rng.normal(0, grain, (height_px // size + 1, width_px // size + 1))
        wide = cv2.resize(field.astype(np.float32), (width_px, height_px))
        image = np.clip(image + wide[..., None], 0, 255).astype(np.uint8)
    return np.asarray(image, np.uint8)


def _shape(image: ImageArray, rng: np.random.Generator) -> None:
    high, wide = image.shape[:2]
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    x, y = int(rng.integers(0, wide)), int(rng.integers(0, high))
    reach = max(3, round(float(rng.exponential(0.15)) * wide))
    kind = rng.random()
    if kind < 0.3:
        far = (x + int(rng.integers(2, 2 * reach)), y + int(rng.integers(2, 2 * reach)))
        cv2.rectangle(image, (x, y), far, colour, -1 if rng.random() < 0.7 else 2)
    elif kind < 0.6:
        axes = (int(rng.integers(1, reach + 1)), int(rng.integers(1, reach + 1)))
        angle = float(rng.uniform(0, 180))
        filled = -1 if rng.random() < 0.7 else 2
        cv2.ellipse(image, (x, y), axes, angle, 0, 360, colour, filled)
    elif kind < 0.75:
        corners = np.array([[x, y]]) + rng.integers(-reach, reach + 1, (5, 2))
        cv2.fillPoly(image, [corners.astype(np.int32)], colour)
    elif kind < 0.9:
        far = (int(rng.integers(0, wide)), int(rng.integers(0, high)))
        cv2.line(image, (x, y), far, colour, int(rng.integers(1, 6)))
    else:
        text = "".join(chr(int(code)) for code in rng.integers(48, 91, 6))
        cv2.putText(image, text, (x, y), 0, float(rng.uniform(0.3, 2.0)), colour, 2)


def tinted(face: ImageArray, rng: np.random.Generator) -> ImageArray:
    """A grey portrait in a skin's colours, most of the time; a coloured one as it is."""
    spread = np.abs(face[::8, ::8, 0].astype(np.int16) - face[::8, ::8, 2]).mean()
    if spread > 6 or rng.random() < 0.25:
        return face
    level = np.arange(256, dtype=np.float32) / 255.0
    gamma = float(np.exp(rng.normal(0, 0.2)))
    red = level ** (gamma * float(rng.uniform(0.6, 0.95)))
    green = level**gamma
    blue = level ** (gamma * float(rng.uniform(1.0, 1.45)))
    table = (np.stack([blue, green, red], axis=1) * 255.0).astype(np.uint8)
    return np.asarray(cv2.LUT(face, table[None]), np.uint8)


def worn(image: ImageArray, face: FloatArray, rng: np.random.Generator) -> ImageArray:
    """A portrait as bad films show it: few pixels, blocks, a stain of colour, eyes or mouth hidden.

    Args:
        image: uint8 [H, W, 3] BGR.
        face: float32 [14], box and five points in it.
        rng: of everything.
    """
    image = image.copy()
    if rng.random() < 0.3:
        _hide(image, face, rng)
    if rng.random() < 0.5:
        # A face stays one down to about 20 pixels.
        least = min(1.0, 20.0 / float(max(face[2:4])))
        factor = float(np.exp(rng.uniform(np.log(least), 0.0)))
        small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
            packed = cv2.imencode(".jpg", small, quality)[1]
            small = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
        image = np.asarray(cv2.resize(small, (image.shape[1], image.shape[0])), np.uint8)
    if rng.random() < 0.4:
        gains = np.exp(rng.normal(0.0, 0.35, 3)) * float(np.exp(rng.normal(-0.1, 0.3)))
        levels = np.arange(256)[:, None] * gains
        image = np.asarray(cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None]))
    return np.asarray(image, np.uint8)


def _hide(image: ImageArray, face: FloatArray, rng: np.random.Generator) -> None:
    """Draws dark glasses, or something before the mouth, in place."""
    points = face[4:].reshape(5, 2)
    wide = float(face[2])
    if rng.random() < 0.6:
        shade = tuple(int(value) for value in rng.integers(0, 60, 3))
        axes = (round(wide * float(rng.uniform(0.14, 0.22))), round(wide * 0.12))
        for x, y in points[:2]:
            cv2.ellipse(image, (round(float(x)), round(float(y))), axes, 0, 0, 360, shade, -1)
        ends = [(round(float(x)), round(float(y))) for x, y in points[:2]]
        cv2.line(image, ends[0], ends[1], shade, max(1, round(0.03 * wide)))
    else:
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        x, y = (float(value) for value in points[3:].mean(axis=0))
        reach = wide * float(rng.uniform(0.12, 0.3))
        spot = (round(x + float(rng.normal(0, 0.1)) * wide), round(y + 0.1 * wide))
        cv2.ellipse(image, spot, (round(reach), round(reach * 0.8)), 0, 0, 360, colour, -1)


def strange(room: ImageArray, other: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Another room out of two of the same size: turned, blended, its colours exchanged."""
    kind = rng.random()
    if kind < 0.4:
        share = float(rng.uniform(0.3, 0.7))
        room = np.asarray(cv2.addWeighted(room, share, other, 1.0 - share, 0.0), np.uint8)
    elif kind < 0.7:
        # Round things of another matter, lit from one side.
        for _ in range(int(rng.integers(1, 12))):
            _ball(room, other, rng)
    if rng.random() < 0.5:
        room = room[::-1]
    if rng.random() < 0.5:
        room = room[..., rng.permutation(3)]
    return np.ascontiguousarray(room)


def _ball(room: ImageArray, other: ImageArray, rng: np.random.Generator) -> None:
    """Copies a disc of the other picture, darker towards one side, in place."""
    high, wide = room.shape[:2]
    radius = int(rng.integers(6, max(7, min(high, wide) // 3)))
    x, y = int(rng.integers(0, wide)), int(rng.integers(0, high))
    mask = np.zeros((high, wide), np.float32)
    axes = (radius, max(3, round(radius * float(rng.uniform(0.8, 1.3)))))
    cv2.ellipse(mask, (x, y), axes, 0, 0, 360, 1.0, -1)
    slope_x, slope_y = (float(value) for value in rng.normal(0.0, 0.5, 2))
    across = (np.arange(wide, dtype=np.float32) - x) / radius * slope_x
    along = (np.arange(high, dtype=np.float32) - y) / radius * slope_y
    light = np.clip(1.0 + across[None] + along[:, None], 0.2, 1.8)[..., None]
    lit = np.clip(other * light, 0, 255)
    room[:] = room + (lit - room) * mask[..., None]


def disturb(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Light, colour, sharpness, noise and compression as cameras have them."""
    if rng.random() < 0.2:
        image = _coarse(image, rng)
    if rng.random() < 0.25:
        image = _blurred(image, rng)
    if rng.random() < 0.8:
        image = _lit(image, rng)
    if rng.random() < 0.15:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 14))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        packed = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image


def _coarse(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    factor = float(rng.uniform(0.4, 0.8))
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0])), np.uint8)


def _blurred(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    length = int(rng.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    end = tuple(int(value) for value in rng.integers(0, length, 2))
    cv2.line(kernel, (length // 2, length // 2), end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _lit(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Exposure, gamma, white balance and contrast, as one table per channel."""
    levels = np.arange(256, dtype=np.float32) / 255.0
    gamma = float(np.exp(rng.normal(0.0, 0.35)))
    gain = float(np.exp(rng.normal(-0.05, 0.35)))
    contrast = float(rng.uniform(0.6, 1.3))
    tables = []
    for channel_gain in np.exp(rng.normal(0.0, 0.1, 3)):
        curve = levels**gamma * gain * channel_gain
        tables.append((curve - 0.4) * contrast + 0.4)
    table = np.clip(np.stack(tables, axis=1) * 255.0, 0, 255).astype(np.uint8)
    lit = np.asarray(cv2.LUT(image, table[None]), np.uint8)
    if rng.random() < 0.25:
        # A lamp from one side.
        wide = image.shape[1]
        ramp = np.linspace(float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.3, 1.2)), wide)
        if rng.random() < 0.5:
            ramp = ramp[::-1]
        lit = np.clip(lit * ramp[None, :, None], 0, 255).astype(np.uint8)
    return lit
