"""The demo screen's camera picture: the target held by round corners, or why there is none."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter

from realtime_er.messages import FaceReport, ImageArray, Snapshot, VideoFrame
from realtime_er.sinks.display.kiosk_art import draw_brackets, draw_icon, fitted
from realtime_er.sinks.display.kiosk_motion import Change
from realtime_er.sinks.display.kiosk_scene import RECORDED, Scene
from realtime_er.sinks.display.kiosk_style import LEFT, KioskStyle
from realtime_er.sinks.display.theme import colour

_FOLLOWS_S = 0.12
_USUAL_ASPECT = 16 / 9
_CORNER = 2.2  # hundredths of the shorter side
_RECORDED_RED = "#ff5a4f"


class Picture:
    """The newest camera picture, scaled before it is painted, with round corners.

    Holds the pixels of one picture, whatever comes. Main thread.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._pixels: ImageArray = np.zeros((0, 0, 4), np.uint8)
        self._image = QImage()
        self._mask: npt.NDArray[np.float32] = np.zeros((0, 0, 1), np.float32)

    def scaled(self, frame: VideoFrame, width_px: int, height_px: int, radius_px: int) -> QImage:
        """``frame`` at exactly this size in device pixels; the image is valid until the next call."""
        key = (frame.index, frame.time_s, width_px, height_px, radius_px)
        if key != self._key:
            pixels = np.asarray(frame.image)
            # Halving first: averaging by other factors costs ten times as much.
            while pixels.shape[1] >= 2 * width_px and pixels.shape[0] >= 2 * height_px:
                half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
                pixels = np.asarray(cv2.resize(pixels, half, interpolation=cv2.INTER_AREA))
            grows = width_px > pixels.shape[1]
            if grows:
                pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA))
            pixels = np.asarray(cv2.resize(pixels, (width_px, height_px)))
            if not grows:
                pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2BGRA))
            self._pixels = np.ascontiguousarray(pixels, np.uint8)
            self._round(min(radius_px, width_px // 2, height_px // 2))
            self._image = QImage(
                self._pixels.data,
                width_px,
                height_px,
                4 * width_px,
                QImage.Format.Format_ARGB32_Premultiplied,
            )
            self._key = key
        return self._image

    def _round(self, radius_px: int) -> None:
        if radius_px < 1:
            return
        if len(self._mask) != radius_px:
            away = radius_px - 0.5 - np.arange(radius_px, dtype=np.float32)
            distance = np.hypot(away[:, None], away[None, :])
            self._mask = np.clip(radius_px - distance + 0.5, 0.0, 1.0)[..., None]
        for corner in (
            self._pixels[:radius_px, :radius_px],
            self._pixels[:radius_px, : -radius_px - 1 : -1],
            self._pixels[: -radius_px - 1 : -1, :radius_px],
            self._pixels[: -radius_px - 1 : -1, : -radius_px - 1 : -1],
        ):
            corner[:] = (corner * self._mask).astype(np.uint8)


class CameraPanel:
    """Paints the picture and follows the target. Main thread."""

    def __init__(self) -> None:
        self._picture = Picture()
        self._track_id: int | None = None
        self._box: tuple[float, ...] = ()
        self._moved_s = 0.0

    def follow(self, report: FaceReport | None, now_s: float) -> None:
        """Let the box glide after the target: a detector's boxes tremble."""
        faces = () if report is None else report.faces
        target = next((f for f in faces if report and f.track_id == report.target_id), None)
        if target is None:
            self._track_id = None
            return
        box = tuple(float(value) for value in target.box_px)
        passed_s = now_s - self._moved_s
        if self._track_id == target.track_id and passed_s >= 0.0:
            gain = 1.0 - math.exp(-passed_s / _FOLLOWS_S)
            box = tuple(a + gain * (b - a) for a, b in zip(self._box, box, strict=True))
        self._track_id, self._box, self._moved_s = target.track_id, box, now_s

    def paint(
        self,
        painter: QPainter,
        style: KioskStyle,
        snapshot: Snapshot,
        scene: Scene,
        note: Change[str],
        pixel_ratio: float,
    ) -> None:
        """The picture, the note that stands for it, or one fading into the other."""
        shown, frame = painter.opacity(), snapshot.frame
        away = note.progress if note.value else 1.0 - note.progress if note.before else 0.0
        aspect = _USUAL_ASPECT if frame is None else frame.image.shape[1] / frame.image.shape[0]
        place = fitted(style.layout.picture, aspect)
        if frame is not None and away < 1.0:
            painter.setOpacity(shown * (1.0 - away))
            place = self._paint_frame(painter, style, frame, place, pixel_ratio)
            if snapshot.faces is not None:
                scale = place.width() / frame.image.shape[1]
                self._paint_faces(painter, style, snapshot.faces, scene.label, place, scale)
            if scene.recorded:
                _paint_recorded(painter, style, place)
        if away > 0.0:
            painter.setOpacity(shown * away)
            _paint_note(painter, style, place, note.value or note.before)
        painter.setOpacity(shown)

    def _paint_frame(
        self,
        painter: QPainter,
        style: KioskStyle,
        frame: VideoFrame,
        place: QRectF,
        pixel_ratio: float,
    ) -> QRectF:
        """Paint the picture; returns where, in whole device pixels, so that it is not scaled again."""
        left, top = round(place.left() * pixel_ratio), round(place.top() * pixel_ratio)
        width = max(1, round(place.width() * pixel_ratio))
        height = max(1, round(place.height() * pixel_ratio))
        radius = round(_CORNER * style.layout.unit * pixel_ratio)
        image = self._picture.scaled(frame, width, height, radius)
        place = QRectF(
            left / pixel_ratio, top / pixel_ratio, width / pixel_ratio, height / pixel_ratio
        )
        painter.drawImage(place, image)
        return place

    def _paint_faces(
        self,
        painter: QPainter,
        style: KioskStyle,
        report: FaceReport,
        label: str | None,
        place: QRectF,
        scale: float,
    ) -> None:
        unit = style.layout.unit
        painter.save()
        painter.setClipRect(place)
        for face in report.faces:
            target = face.track_id == report.target_id
            box = self._box if target and face.track_id == self._track_id else face.box_px
            x, y, width, height = (value * scale for value in box)
            around = QRectF(place.left() + x, place.top() + y, width, height).adjusted(
                -0.08 * width, -0.08 * height, 0.08 * width, 0.08 * height
            )
            if target:
                tone = style.colour_of(label) if label is not None else QColor("#ffffff")
                draw_brackets(painter, around, colour("#000000", 0.35), 1.3 * unit)
                draw_brackets(painter, around, tone, 0.8 * unit)
            else:
                draw_brackets(painter, around, colour("#ffffff", 0.55), 0.3 * unit)
        painter.restore()


def _paint_recorded(painter: QPainter, style: KioskStyle, place: QRectF) -> None:
    """Who is recorded must see it."""
    text = 0.68 * style.layout.text
    font = style.font(text, bold=True)
    width = QFontMetricsF(font).horizontalAdvance(RECORDED)
    corner = place.topLeft() + QPointF(0.7 * text, 0.7 * text)
    pill = QRectF(corner, QSizeF(width + 2.4 * text, 1.7 * text))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour("#000000", 0.6))
    painter.drawRoundedRect(pill, 0.85 * text, 0.85 * text)
    painter.setBrush(QColor(_RECORDED_RED))
    painter.drawEllipse(
        QPointF(pill.left() + 0.95 * text, pill.center().y()), 0.3 * text, 0.3 * text
    )
    painter.setPen(QColor("#ffffff"))
    painter.setFont(font)
    painter.drawText(pill.adjusted(1.6 * text, 0, 0, 0), LEFT, RECORDED)


def _paint_note(painter: QPainter, style: KioskStyle, place: QRectF, note: str) -> None:
    """A calm sentence in place of the picture."""
    theme, text = style.theme, style.layout.text
    corner = _CORNER * style.layout.unit
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour(theme.card, 0.85))
    painter.drawRoundedRect(place, corner, corner)
    middle = QPointF(place.center().x(), place.top() + 0.36 * place.height())
    radius = min(2.0 * text, 0.2 * place.height())
    draw_icon(painter, "camera", middle, radius, QColor(theme.faint))
    painter.setPen(QColor(theme.dim))
    painter.setFont(style.font(0.92 * text))
    top = place.top() + 0.53 * place.height()
    below = QRectF(place.left() + text, top, place.width() - 2 * text, 0.42 * place.height())
    flags = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop
    painter.drawText(below, int(flags) | int(Qt.TextFlag.TextWordWrap), note)
