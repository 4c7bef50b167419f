"""The camera picture, the target's box and the other faces; a click selects."""

from __future__ import annotations

import cv2
import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QImage,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QWidget

from realtime_er.messages import Absence, FaceReport, ImageArray, TrackedFace
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style, colour

_ALMOST_PX = 6.0  # a picture that would leave a narrower edge than this is stretched over it

_STALE_S = 0.6  # faces that were seen longer before the picture than this are not drawn

_SAID = {
    Absence.OFF: "no camera",
    Absence.WAITING: "waiting for the camera",
    Absence.LOST: "camera lost",
    Absence.BUSY: "another program has the camera",
    Absence.FROZEN: "the picture is frozen",
    Absence.COVERED: "the camera is covered",
    Absence.UNAVAILABLE: "no camera",
    Absence.ENDED: "the picture has ended",
    Absence.NO_FACE: "nobody in the picture",
}

_NO_NEW_PICTURE = (Absence.LOST, Absence.BUSY, Absence.FROZEN, Absence.ENDED)


def shrunk(image: ImageArray, size: tuple[int, int]) -> ImageArray:
    """``image`` at ``size`` (width, height), contiguous.

    Whole blocks are averaged first where it shrinks a lot: OpenCV averages by a whole factor ten
    times as fast as by a broken one, and taking single pixels would shimmer.
    """
    height, width = image.shape[:2]
    factor = min(width // size[0], height // size[1])
    if factor >= 2:
        blocks = (width // factor, height // factor)
        image = cv2.resize(  # type: ignore[assignment]
            image[: blocks[1] * factor, : blocks[0] * factor], blocks, interpolation=cv2.INTER_AREA
        )
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(scaled, np.uint8)


class Picture(QWidget):
    """The newest frame, scaled by OpenCV before Qt sees it: Qt's own scaling costs far more."""

    face_clicked = Signal(int)
    """Track id of the face that was clicked on."""

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._shown: Shown | None = None
        self._key: object = None
        self._scaled_key: object = None
        self._pixels: ImageArray | None = None  # the image below looks into it
        self._image: QImage | None = None
        self._selectable = False
        self._badge = ""

    @property
    def message(self) -> str:
        """What is written over the picture, "" where all is well."""
        if self._shown is None:
            return ""
        snapshot = self._shown.snapshot
        face = snapshot.states.get("face")
        if snapshot.frame is None:
            return _SAID.get(face, "no picture yet") if face else "no picture yet"
        if face in (*_NO_NEW_PICTURE, Absence.COVERED, Absence.NO_FACE):
            return _SAID[face]
        return ""

    def allow_selection(self, allowed: bool) -> None:
        """Whether a click on a face means anything; the pointer says so."""
        self._selectable = allowed
        self.setMouseTracking(allowed)

    def show_picture(self, shown: Shown, badge: str = "") -> None:
        """Draw the frame of the snapshot if it is another one; ``badge`` is said in a corner."""
        snapshot = shown.snapshot
        estimate = snapshot.estimate
        self._shown = shown
        frame = snapshot.frame
        key = (
            None if frame is None else (frame.index, frame.time_s),
            None if snapshot.faces is None else (snapshot.faces.time_s, snapshot.faces.target_id),
            estimate.label if estimate else None,
            self.message,
            badge,
        )
        if key != self._key:
            self._key, self._badge = key, badge
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint picture, boxes and what is wrong."""
        style, theme, shown = self._style, self._style.theme, self._shown
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.card))
        message = self.message
        if shown is not None and shown.snapshot.frame is not None:
            where = self._place(shown.snapshot.frame.image)
            image = self._scale(shown.snapshot.frame.image, where)
            painter.drawImage(where.topLeft(), image)
            lost = shown.snapshot.states.get("face") in _NO_NEW_PICTURE
            if lost:
                painter.fillRect(where, colour("#000000", 0.6))
            else:
                self._paint_faces(painter, where, shown)
        if message:
            self._paint_message(painter, message)
        if self._badge:
            self._paint_badge(painter, self._badge)
        self._round_corners(painter, style.px(12), theme.window)
        painter.end()

    def _has_frame(self) -> bool:
        return self._shown is not None and self._shown.snapshot.frame is not None

    def _place(self, image: ImageArray) -> QRectF:
        """Where the picture is: as large as fits, its shape kept, whole device pixels."""
        height, width = image.shape[:2]
        scale = min(self.width() / width, self.height() / height)
        shown_w, shown_h = width * scale, height * scale
        if max(self.width() - shown_w, self.height() - shown_h) < _ALMOST_PX:
            return QRectF(self.rect())
        return QRectF(
            round((self.width() - shown_w) / 2),
            round((self.height() - shown_h) / 2),
            shown_w,
            shown_h,
        )

    def _scale(self, image: ImageArray, where: QRectF) -> QImage:
        ratio = self.devicePixelRatioF()
        size = (max(1, round(where.width() * ratio)), max(1, round(where.height() * ratio)))
        key = (id(image), size)
        if self._image is not None and key == self._scaled_key:
            return self._image
        # With a fourth byte: Qt copies that as it is, and converts three at every paint.
        pixels = np.asarray(cv2.cvtColor(shrunk(image, size), cv2.COLOR_BGR2BGRA), np.uint8)
        scaled = QImage(
            pixels.data, size[0], size[1], pixels.strides[0], QImage.Format.Format_RGB32
        )
        scaled.setDevicePixelRatio(ratio)
        self._pixels, self._image, self._scaled_key = pixels, scaled, key
        return scaled

    def _faces(self) -> FaceReport | None:
        """The faces, unless they were seen too long before the picture to be still there."""
        snapshot = self._shown.snapshot if self._shown else None
        if snapshot is None or snapshot.faces is None or snapshot.frame is None:
            return None
        old = snapshot.frame.time_s - snapshot.faces.time_s > _STALE_S
        return None if old else snapshot.faces

    def _paint_faces(self, painter: QPainter, where: QRectF, shown: Shown) -> None:
        faces = self._faces()
        if faces is None:
            return
        style, theme = self._style, self._style.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for face in faces.faces:
            box = self._box(face, where)
            if face.track_id != faces.target_id:
                painter.setPen(QPen(colour("#d5d9de", 0.75), 1))
                painter.drawRoundedRect(box, style.px(6), style.px(6))
                continue
            if face.quality is not None:
                shade, text = QColor(theme.warn), str(face.quality)
            else:
                shade = QColor(COLOURS[shown.lead]) if shown.lead else QColor("#eceff3")
                text = shown.lead if shown.lead and shown.sure else ""
            painter.setPen(QPen(shade, max(2.0, 2.0 * style.unit)))
            painter.drawRoundedRect(box, style.px(8), style.px(8))
            if text:
                self._paint_tag(painter, box, text, shade)

    def _paint_tag(self, painter: QPainter, box: QRectF, text: str, shade: QColor) -> None:
        style = self._style
        painter.setFont(style.font(12.5, bold=True))
        metrics = QFontMetricsF(painter.font())
        height = style.px(22)
        tag = QRectF(
            box.left(),
            box.top() - height - style.px(5),
            metrics.horizontalAdvance(text) + style.px(30),
            height,
        )
        if tag.top() < style.px(4):
            tag.moveTop(box.bottom() + style.px(5))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("#0b0d10", 0.72))
        painter.drawRoundedRect(tag, height / 2, height / 2)
        painter.setBrush(shade)
        dot = style.px(8)
        painter.drawEllipse(QPointF(tag.left() + style.px(12), tag.center().y()), dot / 2, dot / 2)
        painter.setPen(QColor("#ffffff"))
        painter.drawText(
            tag.adjusted(style.px(21), 0, 0, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            text,
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paint_message(self, painter: QPainter, text: str) -> None:
        style, theme = self._style, self._style.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._has_frame():
            painter.setFont(style.font(15))
            painter.setPen(QColor(theme.dim))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, text)
            return
        painter.setFont(style.font(14, bold=True))
        metrics = QFontMetricsF(painter.font())
        height = style.px(32)
        pill = QRectF(0, 0, metrics.horizontalAdvance(text) + style.px(32), height)
        pill.moveCenter(QRectF(self.rect()).center())
        if text == _SAID[Absence.NO_FACE]:
            pill.moveBottom(self.height() - style.px(14))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour("#0b0d10", 0.78))
        painter.drawRoundedRect(pill, height / 2, height / 2)
        lost = text in (_SAID[Absence.LOST], _SAID[Absence.BUSY], _SAID[Absence.FROZEN])
        painter.setPen(QColor("#ff8f86" if lost else "#ffd27a"))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_badge(self, painter: QPainter, text: str) -> None:
        style = self._style
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(style.font(12, bold=True))
        width = QFontMetricsF(painter.font()).horizontalAdvance(text) + style.px(24)
        pill = QRectF(style.px(12), style.px(12), width, style.px(26))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#ffd27a"))
        painter.drawRoundedRect(pill, pill.height() / 2, pill.height() / 2)
        painter.setPen(QColor("#2a1f05"))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    def _round_corners(self, painter: QPainter, radius: float, behind: str) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outside = QPainterPath()
        outside.addRect(QRectF(self.rect()).adjusted(-1, -1, 1, 1))
        inside = QPainterPath()
        inside.addRoundedRect(QRectF(self.rect()), radius, radius)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(behind))
        painter.drawPath(outside.subtracted(inside))

    def _box(self, face: TrackedFace, where: QRectF) -> QRectF:
        """A face's box in pixels of the widget."""
        shown = self._shown
        if shown is None or shown.snapshot.frame is None:
            return QRectF()
        height, width = shown.snapshot.frame.image.shape[:2]
        left, top, box_w, box_h = face.box_px
        sx, sy = where.width() / width, where.height() / height
        return QRectF(where.left() + left * sx, where.top() + top * sy, box_w * sx, box_h * sy)

    def face_at(self, position: QPointF) -> int | None:
        """Track id of the face at a point of the widget; the smallest box where several overlap."""
        shown = self._shown
        faces = self._faces()
        if shown is None or shown.snapshot.frame is None or faces is None:
            return None
        where = self._place(shown.snapshot.frame.image)
        hits = [
            (box.width() * box.height(), face.track_id)
            for face in faces.faces
            if (box := self._box(face, where)).contains(position)
        ]
        return min(hits)[1] if hits else None

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Select the face that was clicked on."""
        face = self.face_at(event.position())
        if face is not None and event.button() == Qt.MouseButton.LeftButton:
            self.face_clicked.emit(face)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A hand over what can be clicked on."""
        over = self._selectable and self.face_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.ArrowCursor)
