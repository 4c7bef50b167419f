"""What the demo screen is drawn with: round corners, signs, circles."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen


def fitted(region: QRectF, aspect: float) -> QRectF:
    """The largest rectangle of this width : height inside ``region``, in its middle."""
    size = QSizeF(aspect * region.height(), region.height())
    if size.width() > region.width():
        size = QSizeF(region.width(), region.width() / aspect)
    return QRectF(
        region.center().x() - size.width() / 2,
        region.center().y() - size.height() / 2,
        size.width(),
        size.height(),
    )


def draw_brackets(painter: QPainter, box: QRectF, colour: QColor, width: float) -> None:
    """Four round corners that hold a face, rather than a box around it."""
    side = min(box.width(), box.height())
    arm, radius = 0.22 * side, 0.16 * side
    pen = QPen(colour, width)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath()
    for x, y, right, down in (
        (box.left(), box.top(), 1, 1),
        (box.right(), box.top(), -1, 1),
        (box.right(), box.bottom(), -1, -1),
        (box.left(), box.bottom(), 1, -1),
    ):
        path.moveTo(x, y + down * (radius + arm))
        path.lineTo(x, y + down * radius)
        path.quadTo(x, y, x + right * radius, y)
        path.lineTo(x + right * (radius + arm), y)
    painter.drawPath(path)


def draw_icon(
    painter: QPainter, modality: str, centre: QPointF, radius: float, colour: QColor
) -> None:
    """A sign inside a circle of ``radius``.

    ``modality`` "face" is a face, "audio" bars of sound, "text" a speech bubble, "camera" a camera.
    """
    pen = QPen(colour, max(1.0, 0.11 * radius))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    x, y = centre.x(), centre.y()
    if modality == "face":
        painter.drawEllipse(centre, 0.55 * radius, 0.55 * radius)
        smile = QRectF(x - 0.27 * radius, y - 0.22 * radius, 0.54 * radius, 0.5 * radius)
        painter.drawArc(smile, 205 * 16, 130 * 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for side in (-1, 1):
            eye = QPointF(x + side * 0.2 * radius, y - 0.14 * radius)
            painter.drawEllipse(eye, 0.075 * radius, 0.075 * radius)
    elif modality == "audio":
        for place, height in enumerate((0.18, 0.42, 0.58, 0.3, 0.14)):
            at = x + (place - 2) * 0.24 * radius
            painter.drawLine(QPointF(at, y - height * radius), QPointF(at, y + height * radius))
    elif modality == "camera":
        body = QRectF(x - 0.62 * radius, y - 0.34 * radius, 1.24 * radius, 0.84 * radius)
        painter.drawRoundedRect(body, 0.16 * radius, 0.16 * radius)
        painter.drawEllipse(QPointF(x, y + 0.08 * radius), 0.24 * radius, 0.24 * radius)
        painter.drawLine(
            QPointF(x - 0.16 * radius, y - 0.5 * radius),
            QPointF(x + 0.16 * radius, y - 0.5 * radius),
        )
    else:
        path = QPainterPath()
        path.addRoundedRect(
            QRectF(x - 0.55 * radius, y - 0.5 * radius, 1.1 * radius, 0.8 * radius),
            0.22 * radius,
            0.22 * radius,
        )
        painter.drawPath(path)
        painter.drawLine(
            QPointF(x - 0.2 * radius, y + 0.3 * radius),
            QPointF(x - 0.3 * radius, y + 0.58 * radius),
        )
        painter.drawLine(
            QPointF(x - 0.3 * radius, y + 0.58 * radius),
            QPointF(x + 0.08 * radius, y + 0.3 * radius),
        )
        for row, length in ((-0.24, 0.3), (0.03, 0.12)):
            painter.drawLine(
                QPointF(x - 0.3 * radius, y + row * radius),
                QPointF(x + length * radius, y + row * radius),
            )


def circle_radius(share: float, largest: float) -> float:
    """Radius of a modality's circle; areas, not radii, are in proportion."""
    return largest * math.sqrt(0.2 + 0.8 * min(max(share, 0.0), 1.0))
