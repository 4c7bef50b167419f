"""Small real recordings whose picture, sound and words tell a class, and small encoders for them."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from safetensors.torch import save_file

from realtime_er.perception.detectors import Detection
from tests.encoders.paper import tiny
from tests.training import trees

RATE_HZ = 16000
# Colours that mpeg4 keeps apart, blue green red.
COLOURS = ((40, 40, 220), (40, 220, 40), (220, 40, 40), (40, 220, 220), (220, 40, 220),
           (220, 220, 40), (220, 220, 220), (120, 120, 120))  # fmt: skip


class BlockDetector:
    """Every block on a dark ground is a face. Real boxes, from real pixels."""

    name = "block"

    def detect(self, image):
        grey = image.max(axis=2)
        count, _, stats, _ = cv2.connectedComponentsWithStats((grey > 60).astype(np.uint8))
        found = [
            Detection(tuple(float(v) for v in stats[index][:4]), 0.9)
            for index in range(1, count)
            if stats[index][4] >= 40
        ]
        return sorted(found, key=lambda face: -face.box_px[2] * face.box_px[3])


def picture(kind: int, boxes=((16, 8, 28, 32),)) -> np.ndarray:
    image = np.zeros((48, 64, 3), np.uint8)
    for offset, (left, top, width, height) in enumerate(boxes):
        colour = np.array(COLOURS[(kind + offset) % len(COLOURS)], np.uint8)
        image[top : top + height, left : left + width] = colour
    return image


def tone(kind: int, seconds: float) -> np.ndarray:
    """int16 [samples]: a pitch for each class."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.round(8000 * np.sin(2 * np.pi * (200 + 170 * kind) * t)).astype(np.int16)


def write_clip(
    path: Path,
    kind: int,
    seconds: float = 0.8,
    *,
    fps: float = 5,
    boxes=((16, 8, 28, 32),),
    sound: np.ndarray | None = None,
    video: bool = True,
) -> Path:
    """A video with one block and one tone; ``sound`` of no samples means no sound stream."""
    samples = tone(kind, seconds) if sound is None else sound
    form = None if path.suffix in (".mp4", ".avi", ".wav", ".flac") else "avi"
    with av.open(str(path), "w", format=form) as out:
        pictures = (
            out.add_stream("mpeg4", rate=Fraction(fps).limit_denominator(1001)) if video else None
        )
        heard = None
        if len(samples):
            codec = {".mp4": "aac", ".flac": "flac"}.get(path.suffix, "pcm_s16le")
            heard = out.add_stream(codec, rate=RATE_HZ)
            heard.layout = "mono"
        if pictures is not None:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            pictures.codec_context.gop_size = 5
            image = picture(kind, boxes) if not callable(boxes) else None
            for index in range(max(1, round(seconds * fps))):
                shown = boxes(index) if image is None else image
                out.mux(pictures.encode(av.VideoFrame.from_ndarray(shown, format="bgr24")))
            out.mux(pictures.encode())
        if heard is not None:
            form = "fltp" if heard.codec_context.name == "aac" else "s16"
            for at in range(0, len(samples), 1024):
                block = samples[np.newaxis, at : at + 1024]
                if form == "fltp":
                    block = (block / 32768).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(block, format=form, layout="mono")
                frame.sample_rate, frame.pts = RATE_HZ, at
                frame.time_base = Fraction(1, RATE_HZ)
                out.mux(heard.encode(frame))
            out.mux(heard.encode())
    return path


@cache
def _bytes(suffix: str, kind: int, seconds: float, folder: Path, *, video: bool) -> bytes:
    path = folder / f"{kind}-{seconds}-{video}{suffix}"
    return write_clip(path, kind, seconds, video=video).read_bytes()


def kind_of(path: Path) -> int:
    """The class that a file in a corpus tree has, from its name."""
    name = path.stem
    if match := re.fullmatch(r"Ses\w+_[FM](\d{3})", name):  # IEMOCAP
        return int(match[1])
    if match := re.fullmatch(r"dia\d+_utt(\d+)", name):  # MELD
        return int(match[1]) % 7
    if path.parent.name in trees.AFEW_FOLDERS:
        return trees.AFEW_FOLDERS.index(path.parent.name)
    if match := re.fullmatch(r"\d\d-\d\d-(\d\d)(-\d\d){4}", name):  # RAVDESS
        return int(match[1]) - 1
    if match := re.fullmatch(r"\d\da\d\d([A-Z])\w", name):  # EMO-DB
        return "NFTWAEL".index(match[1])
    return int(name.rpartition("_")[2]) if "_" in name else 0  # MOSEI


class MediaWriter:
    """Writes the media of a corpus tree; equal ones are encoded once."""

    def __init__(self, folder: Path, seconds: float = 0.6) -> None:
        self._folder = folder
        self._seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, path: Path) -> None:
        if path.parent.name == "DivX":  # a dialogue of IEMOCAP: its utterances one after another
            path.write_bytes(self._dialogue())
            return
        video = path.suffix in (".mp4", ".avi")
        kind = kind_of(path)
        path.write_bytes(_bytes(path.suffix, kind, self._seconds, self._folder, video=video))

    def _dialogue(self) -> bytes:
        """Left and right half show different classes; the utterance's time and side find its own."""
        path = self._folder / "dialogue.avi"
        if not path.is_file():

            def shown(index: int) -> np.ndarray:
                kind = max(0, min(7, int((index / 5 - 6.2901) // 3)))
                return picture(kind, ((4, 8, 24, 32), (36, 8, 24, 32)))

            write_clip(path, 0, 31.0, boxes=shown, sound=tone(0, 0.1))
        return path.read_bytes()


AUDIO_CONFIG = {**tiny.AUDIO_CONFIG, "conv_kernel": [24, 12], "conv_stride": [20, 10]}
"""Steps of 200 samples, so that 4 s of sound are 320 and not 3200."""


def write_encoders(folder: Path) -> Path:
    """face, audio and text as ``--encoders`` takes them."""
    from realtime_er.encoders.paper.wav2vec2 import EmotionWav2Vec2

    tiny.write_face(folder / "face")
    tiny.write_text(folder / "text")
    (folder / "audio").mkdir(parents=True)
    net = EmotionWav2Vec2(AUDIO_CONFIG, tiny.AUDIO_PROJECTED, tiny.AUDIO_CLASSES)
    save_file(tiny.contiguous(tiny.shaken(net, 2)), folder / "audio" / "model.safetensors")
    (folder / "audio" / "config.json").write_text(json.dumps(AUDIO_CONFIG))
    return folder
