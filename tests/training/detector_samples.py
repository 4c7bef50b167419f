"""Drawn faces: enough for a detector's recipe to run on."""

from __future__ import annotations

import cv2
import numpy as np

from realtime_er.training.detector.data import Bank, Shot

FACE = np.array(
    [20, 10, 80, 100, 42, 45, 78, 45, 60, 65, 45, 85, 75, 85], np.float32
)  # fmt: skip


def drawn_face(side_px: int = 120) -> np.ndarray:
    image = np.full((side_px, side_px, 3), 90, np.uint8)
    cv2.ellipse(image, (60, 60), (40, 50), 0, 0, 360, (150, 180, 220), -1)
    for x, y in FACE[4:8].reshape(2, 2).astype(int):
        cv2.circle(image, (int(x), int(y)), 7, (20, 20, 20), -1)
    cv2.ellipse(image, (60, 85), (15, 5), 0, 0, 360, (40, 40, 160), -1)
    return image


def drawn_bank(portraits: int = 3) -> Bank:
    packed = cv2.imencode(".jpg", drawn_face())[1].reshape(-1)
    frame = np.full((240, 320, 3), 60, np.uint8)
    frame[60:180, 100:220] = drawn_face()
    moved = FACE.copy()
    moved[0] += 100
    moved[1] += 60
    moved[4::2] += 100
    moved[5::2] += 60
    matte = np.zeros((240, 320), np.float32)
    matte[60:, 90:230] = 1.0
    rng = np.random.default_rng(0)
    room = rng.integers(0, 256, (100, 150, 3), dtype=np.uint8)
    return Bank(
        [packed] * portraits,
        np.repeat(FACE[None], portraits, axis=0),
        [Shot(frame, moved, matte), Shot(frame, moved, None)],
        [room],
    )
