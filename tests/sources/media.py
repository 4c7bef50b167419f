"""Small media files whose content tells where it belongs, and a collector for streams."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from realtime_er.messages import AudioBlock, Event, Gap, VideoFrame
from realtime_er.sources.base import SourceMessage, Stream

BITS = 10
TILE_PX = 8


def painted(index: int, width: int = 128, height: int = 64) -> npt.NDArray[np.uint8]:
    """A BGR picture with ``index`` as light and dark tiles along its top, the rest mid grey."""
    image = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        value = 235 if index >> bit & 1 else 20
        image[:16, bit * TILE_PX : (bit + 1) * TILE_PX] = value
    return image


def read_painted(image: npt.NDArray[np.uint8]) -> int:
    """The index painted into an image."""
    tiles = [image[4:12, bit * TILE_PX + 2 : (bit + 1) * TILE_PX - 2].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, level in enumerate(tiles) if level > 128)


def ramp(first: int, count: int) -> npt.NDArray[np.float32]:
    """Samples whose value is their index / 2**23, exact in float32."""
    return (np.arange(first, first + count) / 2**23).astype(np.float32)


def write_video(
    path: Path,
    times_ms: Sequence[int],
    *,
    rotation: int = 0,
    audio: npt.NDArray[np.int16] | None = None,
    audio_rate_hz: int = 16000,
    audio_codec: str = "pcm_s16le",
    audio_start_ms: int = 0,
    codec: str = "mpeg4",
) -> Path:
    """A video with a painted frame at each time, and optionally mono sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=Fraction(1000)) if times_ms else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 128, 64, "yuv420p"
            video.time_base = Fraction(1, 1000)
            video.codec_context.time_base = Fraction(1, 1000)
            video.codec_context.gop_size = 5
            if rotation:
                video.set_display_rotation(rotation)
        sound = None
        if audio is not None:
            sound = out.add_stream(audio_codec, rate=audio_rate_hz)
            sound.layout = "mono"
        if video is not None:
            for index, time_ms in enumerate(times_ms):
                frame = av.VideoFrame.from_ndarray(painted(index), format="bgr24")
                frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
                out.mux(video.encode(frame))
            out.mux(video.encode())
        if sound is not None and audio is not None:
            step = 800
            for at in range(0, len(audio), step):
                block = av.AudioFrame.from_ndarray(
                    audio[np.newaxis, at : at + step], format="s16", layout="mono"
                )
                block.sample_rate = audio_rate_hz
                block.time_base = Fraction(1, audio_rate_hz)
                block.pts = at + audio_start_ms * audio_rate_hz // 1000
                out.mux(sound.encode(block))
            out.mux(sound.encode())
    return path


class OpenPacer:
    """Lets everything through at once."""

    def __init__(self) -> None:
        self.waited_s: list[float] = []

    def wait(self, time_s: float, stop: threading.Event) -> bool:
        """Note the time; False once stopped."""
        self.waited_s.append(time_s)
        return not stop.is_set()


class Collected:
    """Everything that a stream emitted."""

    def __init__(self, messages: Sequence[SourceMessage]) -> None:
        self.blocks = [item for item in messages if isinstance(item, AudioBlock)]
        self.frames = [item for item in messages if isinstance(item, VideoFrame)]
        self.gaps = [item for item in messages if isinstance(item, Gap)]
        self.events = [item for item in messages if isinstance(item, Event)]

    def samples(self) -> npt.NDArray[np.float32]:
        """All sound, one block after the other."""
        return np.concatenate([block.samples for block in self.blocks])

    def check_contract(self) -> None:
        """Strictly increasing times and indices, contiguous but for gaps, read-only arrays."""
        times = [frame.time_s for frame in self.frames]
        assert times == sorted(set(times))
        starts = [block.start_s for block in self.blocks]
        assert starts == sorted(set(starts))
        jumps = 0
        for before, after in zip(self.blocks, self.blocks[1:], strict=False):
            end = before.first_sample + len(before.samples)
            assert after.first_sample >= end
            jumps += after.first_sample > end
        assert jumps <= len(self.gaps)
        assert not any(frame.image.flags.writeable for frame in self.frames)
        assert not any(block.samples.flags.writeable for block in self.blocks)


def collect(stream: Stream, pacer: OpenPacer | None = None) -> Collected:
    """Run a stream to its end."""
    messages: list[SourceMessage] = []
    stream.open()
    try:
        stream.run(messages.append, pacer or OpenPacer(), threading.Event())
    finally:
        stream.close()
        stream.close()
    collected = Collected(messages)
    collected.check_contract()
    return collected
