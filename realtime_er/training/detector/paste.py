"""Laying one picture over another by an affine map, and where a face goes with it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.messages import FloatArray, ImageArray


def placed(
    face: FloatArray, size_px: float, at: tuple[float, float], roll_deg: float, stretch: float
) -> npt.NDArray[np.float64]:
    """Brings a face's middle to ``at``, its longer side to ``size_px``, rolled and stretched."""
    factor = size_px / float(max(face[2], face[3]))
    centre = face[:2] + face[2:4] / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((0.0, 0.0), roll_deg, factor), np.float64)
    matrix[0] *= stretch
    matrix[:, 2] = np.asarray(at) - matrix[:, :2] @ centre
    return matrix


def moved_face(face: FloatArray, matrix: npt.NDArray[np.float64]) -> FloatArray:
    """The face's row after an affine map; the box keeps upright and grows as the area does."""
    points = np.concatenate([(face[:2] + face[2:4] / 2)[None], face[4:].reshape(5, 2)])
    points = points @ matrix[:, :2].T + matrix[:, 2]
    across = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    along = float(np.hypot(matrix[1, 0], matrix[1, 1]))
    size = face[2:4] * (across, along)
    return np.concatenate([points[0] - size / 2, size, points[1:].reshape(-1)]).astype(np.float32)


def paste(
    canvas: ImageArray, source: ImageArray, matte: FloatArray, matrix: npt.NDArray[np.float64]
) -> FloatArray:
    """Lays the source over the canvas, in place, where its matte says so; never aliased.

    Returns:
        How much of each pixel of the canvas is covered, float32 [H, W].
    """
    high, wide = canvas.shape[:2]
    covered = np.zeros((high, wide), np.float32)
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 0.6:
        shrink = max(factor * 1.3, 8 / min(source.shape[:2]))
        source = np.asarray(
            cv2.resize(source, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        matte = np.asarray(cv2.resize(matte, (source.shape[1], source.shape[0])), np.float32)
        matrix = matrix.copy()
        matrix[:, :2] /= shrink
    edge_y, edge_x = source.shape[:2]
    corners = np.array([[0, 0], [edge_x, 0], [0, edge_y], [edge_x, edge_y]])
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (wide, high))
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (wide, high))
    if x1 <= x0 or y1 <= y0:
        return covered
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    moved = cv2.warpAffine(source, local, size, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.asarray(cv2.warpAffine(matte, local, size), np.float32)
    part = canvas[y0:y1, x0:x1]
    part[:] = part + (moved.astype(np.float32) - part) * alpha[..., None]
    covered[y0:y1, x0:x1] = alpha
    return covered


def inside(values: npt.NDArray[np.generic], row: FloatArray) -> npt.NDArray[np.generic]:
    """The part of a map within a face's box; at least one pixel."""
    left, top, width, height = (float(value) for value in row[:4])
    y0 = int(np.clip(top, 0, values.shape[0] - 1))
    x0 = int(np.clip(left, 0, values.shape[1] - 1))
    y1, x1 = max(y0 + 1, int(top + height)), max(x0 + 1, int(left + width))
    return values[y0:y1, x0:x1]


def covered_share(box: FloatArray, by: FloatArray) -> float:
    """How much of the first box the second one covers, 0 to 1."""
    across = min(box[0] + box[2], by[0] + by[2]) - max(box[0], by[0])
    along = min(box[1] + box[3], by[1] + by[3]) - max(box[1], by[1])
    return max(0.0, float(across)) * max(0.0, float(along)) / float(box[2] * box[3])


def similarity(source: FloatArray, target: FloatArray) -> npt.NDArray[np.float64]:
    """Shift, turn and scale that bring points onto others with the least squared distance."""
    start, end = source.mean(axis=0), target.mean(axis=0)
    one = (source - start) @ (1, 1j)
    other = (target - end) @ (1, 1j)
    turn = complex((one.conj() @ other) / max(float((one.conj() @ one).real), 1e-6))
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    matrix[:, 2] = end - matrix[:, :2] @ start
    return matrix


def oval(shape: tuple[int, ...], face: FloatArray, scale: float) -> FloatArray:
    """A soft oval around a face's box, float32 of ``shape``: 1 within, 0 outside."""
    # Drawn at a quarter of the size: it is smooth anyway.
    matte = np.zeros((shape[0] // 4, shape[1] // 4), np.float32)
    centre = (face[:2] + face[2:4] / 2) / 4
    axes = scale * face[2:4] / 8
    cv2.ellipse(
        matte,
        (round(float(centre[0])), round(float(centre[1]))),
        (max(1, round(float(axes[0]))), max(1, round(float(axes[1])))),
        0, 0, 360, 1.0, -1,
    )  # fmt: skip
    # A portrait ends where its picture ends: fade out there too, or every face has a straight edge.
    matte[:1], matte[-1:], matte[:, :1], matte[:, -1:] = 0.0, 0.0, 0.0, 0.0
    matte = np.asarray(cv2.GaussianBlur(matte, (0, 0), max(0.3, 0.0075 * float(face[2]))))
    return np.asarray(cv2.resize(matte, (shape[1], shape[0])), np.float32)
