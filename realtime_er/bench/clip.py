"""A clip of any size and length, made of the bundled one: a face that moves, and sentences."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import av.stream
import cv2
import numpy as np

from realtime_er.errors import SourceError
from realtime_er.messages import ImageArray

SIZE_PX = (1280, 720)
"""Width and height of what a webcam delivers."""


def write_clip(
    source: Path, target: Path, seconds: float, *, size_px: tuple[int, int] = SIZE_PX
) -> None:
    """Write the first ``seconds`` of a clip at another size; H.264 and AAC.

    Pictures are scaled to fit, the rest is filled with what their edges show.

    Args:
        source: a clip with pictures and sound, such as ``assets/demo.mp4``.
        target: an .mp4 file, written over.
        seconds: at most so long it becomes.
        size_px: width and height, even numbers.

    Raises:
        SourceError: the clip holds no picture or no sound.
    """
    with av.open(str(source)) as pictures, av.open(str(source)) as sound:
        if not pictures.streams.video or not sound.streams.audio:
            raise SourceError(f"{source}: needs a picture and sound to make a clip of")
        fps = pictures.streams.video[0].average_rate or Fraction(25)
        rate_hz = int(sound.streams.audio[0].sample_rate)
        with av.open(str(target), "w") as container:
            video = container.add_stream(
                "libx264", rate=fps, options={"crf": "23", "preset": "veryfast", "threads": "1"}
            )
            video.width, video.height, video.pix_fmt = *size_px, "yuv420p"
            audio = container.add_stream("aac", rate=rate_hz, layout="mono")
            for index, frame in enumerate(pictures.decode(video=0)):
                if index >= seconds * fps:
                    break
                image = _fitted(frame.to_ndarray(format="bgr24"), size_px)
                scaled = av.VideoFrame.from_ndarray(image, format="bgr24")
                scaled.pts, scaled.time_base = index, 1 / fps
                container.mux(video.encode(scaled))
            done = 0
            for heard in sound.decode(audio=0):
                if done >= seconds * rate_hz:
                    break
                mono = heard.to_ndarray().astype(np.float32).mean(axis=0)
                block = av.AudioFrame.from_ndarray(mono[None], "fltp", "mono")
                block.sample_rate, block.pts, block.time_base = rate_hz, done, Fraction(1, rate_hz)
                container.mux(audio.encode(block))
                done += len(mono)
            container.mux(video.encode(None))
            container.mux(audio.encode(None))


def _fitted(image: ImageArray, size_px: tuple[int, int]) -> ImageArray:
    width, height = size_px
    scale = min(width / image.shape[1], height / image.shape[0])
    inside = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    scaled = cv2.resize(image, inside, interpolation=cv2.INTER_LINEAR)
    left, top = (width - inside[0]) // 2, (height - inside[1]) // 2
    right, below = width - inside[0] - left, height - inside[1] - top
    filled = cv2.copyMakeBorder(scaled, top, below, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(filled, np.uint8)


def loop_clip(clip: Path, target: Path, seconds: float) -> None:
    """Play a clip over and over into another file, without coding it again.

    Args:
        clip: an .mp4 file that ``write_clip`` made.
        target: an .mp4 file, written over.
        seconds: at least so long it becomes.
    """
    with av.open(str(clip)) as container:
        length = Fraction(container.duration or 0, int(av.time_base))
    with av.open(str(target), "w") as out:
        streams: dict[int, av.stream.Stream] = {}
        newest: dict[int, int] = {}
        for number in range(max(1, math.ceil(seconds / float(length)))):
            with av.open(str(clip)) as container:
                for stream in container.streams if not streams else ():
                    streams[stream.index] = out.add_stream_from_template(stream)
                for packet in container.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(number * length / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    index = packet.stream_index
                    # A coder's first packet lies before zero: the end of the last round is there.
                    if packet.dts > newest.get(index, packet.dts - 1):
                        newest[index] = packet.dts
                        packet.stream = streams[index]
                        out.mux(packet)
