"""Pictures for the face detector, put together at random: faces in rooms, crowds, and rooms alone.

Every picture is a function of its generator, so a run can be resumed at any batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.messages import ImageArray
from realtime_er.training.detector.data import Bank, FloatArray, Shot
from realtime_er.training.detector.light import disturb, drawn_room, strange, tinted, worn
from realtime_er.training.detector.paste import (
    covered_share,
    inside,
    moved_face,
    oval,
    paste,
    placed,
    similarity,
)

_MIRRORED = (1, 0, 2, 4, 3)
_LEAST_PX = 10.0
_MOST_OVERLAP = 0.25
_LEAST_CONTRAST = 6.0


@dataclass
class Scene:
    """A picture being composed.

    Attributes:
        image: uint8 [H, W, 3] BGR.
        faces: rows float32 [14] that are taught.
        ignored: boxes float32 [4] in which nothing is taught.
        hard: whether its faces are made hard to see.
    """

    image: ImageArray
    faces: list[FloatArray]
    ignored: list[FloatArray]
    hard: bool = False


def compose(
    bank: Bank, height_px: int, width_px: int, rng: np.random.Generator, *, hard: bool = False
) -> Scene:
    """One picture: a frame with a person, a portrait, several pasted faces, or none.

    ``hard`` ones have more rooms alone, and faces that are blurred, stained or partly hidden.
    """
    kind = rng.random()
    scene = Scene(_room(bank, height_px, width_px, rng), [], [], hard)
    if hard:
        kind *= 1.13  # a quarter of the pictures without a face instead of a seventh
        if rng.random() < 0.5:
            scene.image = strange(scene.image, _room(bank, height_px, width_px, rng), rng)
    if kind < 0.38:
        _add_person(scene, bank, rng)
        if rng.random() < 0.15:
            _add_person(scene, bank, rng, largest=0.5)
    elif kind < 0.58:
        _add_portrait(scene, bank, rng)
    elif kind < 0.86:
        _clutter(scene, bank, rng, int(rng.integers(0, 3)))
        for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))):
            _add_cutout(scene, bank, rng)
        _clutter(scene, bank, rng, int(rng.integers(0, 2)))
    else:
        _clutter(scene, bank, rng, int(rng.integers(0, 5)))
    if rng.random() < 0.5:
        _mirror(scene)
    scene.image = disturb(scene.image, rng)
    seen: list[FloatArray] = []
    least = 2 * _LEAST_CONTRAST if hard else _LEAST_CONTRAST
    for row in scene.faces:
        # In the dark nobody sees a face, and to teach one there is to teach false alarms.
        visible = float(inside(scene.image[..., 1], row).astype(np.float32).std()) > least
        if visible:
            seen.append(row)
        else:
            scene.ignored.append(row[:4].copy())
    scene.faces = seen
    return scene


def composed(
    bank: Bank, count: int, seed: int
) -> Iterator[tuple[ImageArray, list[FloatArray], list[FloatArray]]]:
    """Pictures of 320 x 256 put together from a bank, with their faces and what does not count."""
    for index in range(count):
        scene = compose(bank, 256, 320, np.random.default_rng([seed, index]))
        yield scene.image, list(scene.faces), list(scene.ignored)


def _mirror(scene: Scene) -> None:
    wide = scene.image.shape[1]
    scene.image = np.ascontiguousarray(scene.image[:, ::-1])
    for row in scene.faces:
        row[0] = wide - row[0] - row[2]
        points = row[4:].reshape(5, 2)[list(_MIRRORED)]
        points[:, 0] = wide - points[:, 0]
        row[4:] = points.reshape(-1)
    for box in scene.ignored:
        box[0] = wide - box[0] - box[2]


def _room(bank: Bank, height_px: int, width_px: int, rng: np.random.Generator) -> ImageArray:
    """A picture without a face: drawn, part of a photograph, or part of a frame off the face."""
    kind = rng.random()
    if kind < 0.3 or (kind < 0.65 and not bank.rooms):
        return drawn_room(height_px, width_px, rng)
    if kind < 0.65:
        source = bank.rooms[int(rng.integers(len(bank.rooms)))]
        return _window(source, height_px, width_px, rng, None)
    shot = bank.shots[int(rng.integers(len(bank.shots)))]
    return _window(shot.image, height_px, width_px, rng, shot.face)


def _window(
    source: ImageArray,
    height_px: int,
    width_px: int,
    rng: np.random.Generator,
    avoid: FloatArray | None,
) -> ImageArray:
    """A random part of a picture, stretched over the canvas, beside the face ``avoid``."""
    high, wide = source.shape[:2]
    for _ in range(8):
        share = float(rng.uniform(0.15, 1.0)) if avoid is None else float(rng.uniform(0.12, 0.6))
        w, h = max(16, round(share * wide)), max(16, round(share * high * rng.uniform(0.7, 1.0)))
        w, h = min(w, wide), min(h, high)
        x, y = int(rng.integers(0, wide - w + 1)), int(rng.integers(0, high - h + 1))
        if avoid is not None:
            left, top, width, height = avoid[:4]
            # Half a head away, so that no half face is taught to be nothing.
            apart_x = x + w < left - 0.15 * width or x > left + 1.15 * width
            apart_y = y + h < top - 0.15 * height or y > top + 1.15 * height
            if not (apart_x or apart_y):
                continue
        part = source[y : y + h, x : x + w]
        turned = part[:, ::-1] if rng.random() < 0.5 else part
        return np.asarray(
            cv2.resize(turned, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8
        )
    return drawn_room(height_px, width_px, rng)


def _put(
    scene: Scene, source: ImageArray, matte: FloatArray, matrix: npt.NDArray[np.float64]
) -> None:
    """Pastes into a scene; faces that are thereby hidden are no longer taught."""
    covered = paste(scene.image, source, matte, matrix)
    kept = []
    for row in scene.faces:
        share = float(inside(covered, row).mean())
        if share <= _MOST_OVERLAP:
            kept.append(row)
        elif share < 0.9:
            scene.ignored.append(row[:4].copy())
    scene.faces = kept


def _teach(scene: Scene, row: FloatArray) -> None:
    """Adds a face if enough of it is seen."""
    high, wide = scene.image.shape[:2]
    seen_x = min(wide, row[0] + row[2]) - max(0.0, row[0])
    seen_y = min(high, row[1] + row[3]) - max(0.0, row[1])
    seen = max(0.0, seen_x) * max(0.0, seen_y) / float(row[2] * row[3])
    if seen > 0.7 and min(row[2:4]) >= _LEAST_PX:
        scene.faces.append(row)
    elif seen > 0.1:
        scene.ignored.append(row[:4].copy())


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _drawn_portrait(scene: Scene, bank: Bank, rng: np.random.Generator) -> Shot:
    shot = bank.portrait(int(rng.integers(len(bank.portraits))))
    if scene.hard:
        return Shot(worn(shot.image, shot.face, rng), shot.face)
    return shot


def _add_person(scene: Scene, bank: Bank, rng: np.random.Generator, largest: float = 1.0) -> None:
    """A frame's person with hair and shoulders, often with another's face, sometimes elsewhere."""
    shot = bank.shots[int(rng.integers(len(bank.shots)))]
    image, face = shot.image, shot.face
    if bank.portraits and rng.random() < 0.7:
        portrait = _drawn_portrait(scene, bank, rng)
        image, face = _other_face(shot, portrait, rng)
    high, wide = scene.image.shape[:2]
    size = _log_uniform(20.0, 0.95 * largest * high, rng)
    at = (float(rng.uniform(0.15, 0.85)) * wide, float(rng.uniform(0.2, 0.75)) * high)
    matrix = placed(face, size, at, float(rng.normal(0.0, 8.0)), float(rng.uniform(0.9, 1.1)))
    matte = shot.matte
    if matte is None or (largest == 1.0 and rng.random() < 0.3):
        matte = np.ones(image.shape[:2], np.float32)
    _put(scene, image, matte, matrix)
    _teach(scene, moved_face(face, matrix))


def _other_face(
    shot: Shot, portrait: Shot, rng: np.random.Generator
) -> tuple[ImageArray, FloatArray]:
    """The portrait's face on the shot's head, by the landmarks; and its row there."""
    matrix = similarity(portrait.face[4:].reshape(5, 2), shot.face[4:].reshape(5, 2))
    source = tinted(portrait.image, rng)
    matte = oval(source.shape[:2], portrait.face, float(rng.uniform(0.92, 1.05)))
    image = shot.image.copy()
    paste(image, source, matte, matrix)
    return image, moved_face(portrait.face, matrix)


def _add_portrait(scene: Scene, bank: Bank, rng: np.random.Generator) -> None:
    """A portrait as it is, filling most of the picture or all of it."""
    shot = _drawn_portrait(scene, bank, rng)
    high, wide = scene.image.shape[:2]
    image = tinted(shot.image, rng)
    size = float(rng.uniform(0.45, 1.1)) * min(high, wide * 1.2)
    at = (float(rng.normal(0.5, 0.06)) * wide, float(rng.normal(0.5, 0.06)) * high)
    matrix = placed(shot.face, size, at, float(rng.normal(0, 6)), float(rng.uniform(0.92, 1.08)))
    matte = np.ones(image.shape[:2], np.float32)
    _put(scene, image, matte, matrix)
    _teach(scene, moved_face(shot.face, matrix))


def _add_cutout(scene: Scene, bank: Bank, rng: np.random.Generator) -> None:
    """A face cut out of its portrait, with drawn shoulders and hair or none."""
    shot = _drawn_portrait(scene, bank, rng)
    high, wide = scene.image.shape[:2]
    size = _log_uniform(13.0, 0.7 * high, rng)
    at = (float(rng.uniform(0.05, 0.95)) * wide, float(rng.uniform(0.08, 0.9)) * high)
    matrix = placed(shot.face, size, at, float(rng.normal(0, 10)), float(rng.uniform(0.9, 1.1)))
    row = moved_face(shot.face, matrix)
    if any(
        covered_share(old, row) > _MOST_OVERLAP or covered_share(row, old) > 0
        for old in scene.faces
    ):
        return
    image = tinted(shot.image, rng)
    if rng.random() < 0.6:
        _draw_body(scene, row, rng)
        matte = oval(image.shape, shot.face, float(rng.uniform(0.95, 1.15)))
    else:
        matte = np.ones(image.shape[:2], np.float32)
        if rng.random() < 0.5:
            matte = oval(image.shape, shot.face, float(rng.uniform(1.0, 1.3)))
    _put(scene, image, matte, matrix)
    _teach(scene, row)


def _draw_body(scene: Scene, row: FloatArray, rng: np.random.Generator) -> None:
    """Shoulders, neck and hair as plain ellipses around a face's row, unless they hide a face."""
    left, top, width, height = (float(value) for value in row[:4])
    reach = np.array([left - 1.2 * width, top - height, 3.4 * width, 4.8 * height], np.float32)
    if any(covered_share(old, reach) > 0.05 for old in scene.faces):
        return
    middle, image = left + width / 2, scene.image

    def ellipse(x: float, y: float, a: float, b: float, top_level: int) -> None:
        colour = tuple(int(value) for value in rng.integers(0, top_level, 3))
        axes = (max(1, round(a)), max(1, round(b)))
        cv2.ellipse(image, (round(x), round(y)), axes, 0, 0, 360, colour, -1)

    ellipse(middle, top + 2.3 * height, rng.uniform(1.0, 1.6) * width, 1.3 * height, 256)
    grow = float(rng.uniform(1.0, 1.35))
    ellipse(middle, top + 0.42 * height, 0.58 * grow * width, 0.6 * grow * height, 140)


def _clutter(scene: Scene, bank: Bank, rng: np.random.Generator, count: int) -> None:
    """Things that are pasted just like faces but are none, so that pasting itself tells nothing."""
    high, wide = scene.image.shape[:2]
    for _ in range(count):
        size = _log_uniform(14.0, 0.7 * high, rng)
        at = (float(rng.uniform(0.0, 1.0)) * wide, float(rng.uniform(0.0, 1.0)) * high)
        thing = _thing(bank, rng)
        whole = np.array([0, 0, thing.shape[1], thing.shape[0], *([0.0] * 10)], np.float32)
        matrix = placed(whole, size, at, float(rng.uniform(-30, 30)), float(rng.uniform(0.6, 1.2)))
        row = moved_face(whole, matrix)
        if any(covered_share(old, row) > 0.05 for old in scene.faces):
            continue
        if rng.random() < 0.4:
            _draw_body(scene, row, rng)
        matte = np.ones(thing.shape[:2], np.float32)
        if rng.random() < 0.6:
            matte = oval(thing.shape, whole, float(rng.uniform(0.7, 1.0)))
        _put(scene, thing, matte, matrix)


def _thing(bank: Bank, rng: np.random.Generator) -> ImageArray:
    """Part of a room, or skin without a face: a portrait in shuffled pieces, or smeared away."""
    kind = rng.random()
    if kind < 0.5 or not bank.portraits:
        return _room(bank, 96, 80, rng)
    source = tinted(bank.portrait(int(rng.integers(len(bank.portraits)))).image, rng)
    source = np.asarray(cv2.resize(source, (96, 96), interpolation=cv2.INTER_AREA), np.uint8)
    if kind < 0.75:
        return np.asarray(cv2.GaussianBlur(source, (0, 0), float(rng.uniform(14, 30))), np.uint8)
    pieces = [source[y : y + 32, x : x + 32] for y in (0, 32, 64) for x in (0, 32, 64)]
    order = np.roll(np.arange(9), int(rng.integers(3, 7)))
    rows = [np.hstack([pieces[index] for index in order[start : start + 3]]) for start in (0, 3, 6)]
    return np.ascontiguousarray(np.vstack(rows))
