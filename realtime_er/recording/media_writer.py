"""``media.mkv``: pictures with their capture times and sound as it was captured, in Matroska.

* Time stamps are milliseconds of session time since the recording began. A picture that would share
  its millisecond with the one before is put one later; the ``frames`` table has the exact time.
* Each block of sound is a packet of its own with its own time, so that the drift of a sound card
  against the session clock never adds up: there is nothing to add up.
* Pictures: H.264 (``ultrafast``, crf 20, 4:2:0) without B-frames or look-ahead, a key frame each
  second. ``ultrafast`` costs half the processor time of ``superfast`` for about the same size.
  Lossless: H.264 in RGB, which decodes to the very same pixels; a third of FFV1's processor time
  for a sixth more bytes.
* Sound: 16-bit PCM, mono, 16 kHz.
* A cluster, the unit in which Matroska reaches the disk, lasts half a second: this much is lost
  when the process is killed, plus what waits for its neighbours in time.

4:2:0 needs even sizes: an odd one gets its last row or column twice. A picture of another size than
the first is fitted into that size with black borders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import av.error
import av.video.frame
import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.errors import RecordingError
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, ImageArray

MILLISECOND = Fraction(1, 1000)
JUMP_S = 0.03
"""Sound that starts this much later than the last ended is preceded by filler."""

_KEY_FRAME_S = 1.0
_FILLER_BLOCK_SAMPLES = SAMPLE_RATE_HZ // 4
_MUXER = {
    "cluster_time_limit": "500",  # ms
    "flush_packets": "1",
    # How long a packet may wait for one of the other stream, in µs. A stream may be silent for ever.
    "max_interleave_delta": "200000",
}
_LOSSY = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "bf": "0", "forced-idr": "1"}
_LOSSLESS = {"preset": "ultrafast", "tune": "zerolatency", "qp": "0", "bf": "0", "forced-idr": "1"}
_EARLY_SOUND_S = 2.0
_DEFAULT_SIZE_PX = (640, 480)


class MediaSink(Protocol):
    """Where the bytes go: an unbuffered binary file, or a test's."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write all of ``data``, or say how much was written."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position."""
        ...

    def tell(self) -> int:
        """The position."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


@dataclass(frozen=True, slots=True)
class SoundRow:
    """A block of sound in the file; a row of the table ``sound``."""

    position: int
    first_sample: int | None
    start_s: float
    n_samples: int
    pts_ms: int

    def values(self) -> tuple[int, int | None, float, int, int]:
        """In the order of the columns."""
        return self.position, self.first_sample, self.start_s, self.n_samples, self.pts_ms


def create_media_file(path: Path) -> MediaSink:
    """A new file, unbuffered.

    Raises:
        RecordingError: it exists already, or cannot be written.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    try:
        return os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0)
    except FileExistsError:
        raise RecordingError(f"{path}: is there already; nothing is overwritten") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error


class _WholeWrites:
    """Makes partial writes whole, and counts bytes; what PyAV writes to."""

    def __init__(self, sink: MediaSink) -> None:
        self._sink = sink
        self.n_bytes = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while len(rest):
            written = self._sink.write(rest)
            rest = rest[len(rest) if written is None else written :]
        self.n_bytes = max(self.n_bytes, self._sink.tell())
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._sink.seek(offset, whence)

    def tell(self) -> int:
        return self._sink.tell()

    def seekable(self) -> bool:
        return True


class MediaWriter:
    """Writes one media file. Owned by one thread, which may get it from another.

    Args:
        sink: An empty file; closed by ``close``.
        start_s: Session time of time stamp zero.
        video: Whether there will be pictures.
        sound: Whether there will be sound.
        lossless: Pictures come back with the very same pixels.
        size_px: Width and height to use when no picture comes in the first two seconds.

    Attributes:
        n_frames, n_samples, n_filler_samples: What was written.
        n_rounded: Samples that were not on the grid of 16 bits and had to be rounded.
        size_px: Width and height of the pictures in the file, None before the first.
    """

    def __init__(
        self,
        sink: MediaSink,
        *,
        start_s: float,
        video: bool,
        sound: bool,
        lossless: bool = False,
        size_px: tuple[int, int] | None = None,
    ) -> None:
        self._sink = sink
        self._file = _WholeWrites(sink)
        self._start_s = start_s
        self._has_video = video
        self._has_sound = sound
        self._lossless = lossless
        self._expected_size_px = size_px or _DEFAULT_SIZE_PX
        self._container: Any = None
        self._video: Any = None
        self._audio: Any = None
        self._early: list[tuple[bytes, int, int]] = []
        self._last_frame_ms = self._last_sound_ms = -1
        self._last_key_ms = -1_000_000
        self._closed = False
        self.sound_end_s = start_s
        self.n_frames = self.n_samples = self.n_filler_samples = self.n_rounded = 0
        self.size_px: tuple[int, int] | None = None
        self._picture_px: tuple[int, int] | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes in the file so far."""
        return self._file.n_bytes

    @property
    def codecs(self) -> dict[str, str]:
        """What is in the file, for the manifest."""
        video = "h264 rgb, lossless" if self._lossless else "h264 yuv420p, crf 20"
        both = {"video": video, "sound": "pcm_s16le, mono, 16000 Hz"}
        wanted = {"video": self._has_video, "sound": self._has_sound}
        return {name: codec for name, codec in both.items() if wanted[name]}

    # --- pictures -----------------------------------------------------------------------------

    def write_frame(self, image: ImageArray, time_s: float) -> int:
        """Add a picture; returns its time stamp in ms.

        Args:
            image: uint8 BGR, shape (height, width, 3).
            time_s: Session time, later than that of the one before.

        Raises:
            OSError, av.error.FFmpegError: it cannot be written.
        """
        if self._container is None:
            self._open((image.shape[1], image.shape[0]))
        pts_ms = max(round((time_s - self._start_s) * 1000), self._last_frame_ms + 1)
        frame = self._to_frame(image)
        frame.pts = pts_ms
        frame.time_base = MILLISECOND
        if pts_ms - self._last_key_ms >= round(_KEY_FRAME_S * 1000):
            frame.pict_type = av.video.frame.PictureType.I
            self._last_key_ms = pts_ms
        self._last_frame_ms = pts_ms
        for packet in self._video.encode(frame):
            self._container.mux(packet)
        self.n_frames += 1
        return pts_ms

    def fits(self, image: ImageArray) -> bool:
        """Whether a picture has the size of those in the file (or is the first)."""
        size_px = (image.shape[1], image.shape[0])
        return self._picture_px in (None, size_px)

    def _to_frame(self, image: ImageArray) -> Any:  # noqa: ANN401
        assert self._picture_px is not None  # _open() set it
        if not self.fits(image):
            image = _letterbox(image, self._picture_px)
        if self._lossless:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            odd = cv2.BORDER_REPLICATE
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, odd)  # type: ignore[assignment]
        # Half the time of swscale's conversion.
        planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")

    # --- sound --------------------------------------------------------------------------------

    def write_sound(self, block: AudioBlock) -> list[SoundRow]:
        """Add a block, and before it filler when it does not follow on; returns what was added.

        Raises:
            OSError, av.error.FFmpegError: it cannot be written.
        """
        added: list[SoundRow] = []
        if block.start_s - self.sound_end_s > JUMP_S:
            added = self.fill(block.start_s)
        scaled = block.samples * np.float32(32768)
        samples = np.clip(np.rint(scaled), -32768, 32767)
        self.n_rounded += int(np.count_nonzero(samples != scaled))
        added.append(self._sound(block.first_sample, block.start_s, samples.astype("<i2")))
        # A block that comes after the silence written for it does not make room for more of it.
        self.sound_end_s = max(self.sound_end_s, block.end_s)
        self.n_samples += len(samples)
        return added

    def fill(self, until_s: float) -> list[SoundRow]:
        """Add silence from the end of the sound so far to ``until_s``; returns what was added.

        Raises:
            OSError, av.error.FFmpegError: it cannot be written.
        """
        added = []
        start_s = self.sound_end_s
        left = round((until_s - start_s) * SAMPLE_RATE_HZ)
        while left > 0:
            count = min(left, _FILLER_BLOCK_SAMPLES)
            added.append(self._sound(None, start_s, np.zeros(count, "<i2")))
            start_s += count / SAMPLE_RATE_HZ
            left -= count
            self.n_filler_samples += count
        self.sound_end_s = max(self.sound_end_s, until_s)
        return added

    def _sound(
        self, first_sample: int | None, start_s: float, samples: npt.NDArray[np.int16]
    ) -> SoundRow:
        position = self.n_samples + self.n_filler_samples
        pts_ms = max(round((start_s - self._start_s) * 1000), self._last_sound_ms + 1)
        self._last_sound_ms = pts_ms
        data = samples.tobytes()
        duration_ms = round(1000 * len(samples) / SAMPLE_RATE_HZ)
        if self._container is None and self._has_video and pts_ms < 1000 * _EARLY_SOUND_S:
            self._early.append((data, pts_ms, duration_ms))
        else:
            if self._container is None:
                self._open(self._expected_size_px)
            self._mux_sound(data, pts_ms, duration_ms)
        return SoundRow(position, first_sample, start_s, len(samples), pts_ms)

    def _mux_sound(self, data: bytes, pts_ms: int, duration_ms: int) -> None:
        packet = av.Packet(data)
        packet.stream = self._audio
        packet.time_base = MILLISECOND
        packet.pts = packet.dts = pts_ms
        packet.duration = duration_ms
        packet.is_keyframe = True
        self._container.mux(packet)

    # --- the file -----------------------------------------------------------------------------

    def _open(self, picture_px: tuple[int, int]) -> None:
        container = av.open(self._file, "w", format="matroska", options=_MUXER)
        if self._has_video:
            self._picture_px = picture_px
            even_px = (picture_px[0] + picture_px[0] % 2, picture_px[1] + picture_px[1] % 2)
            self.size_px = picture_px if self._lossless else even_px
            codec = "libx264rgb" if self._lossless else "libx264"
            video = container.add_stream(codec, rate=30)
            video.width, video.height = self.size_px
            video.pix_fmt = "bgr24" if self._lossless else "yuv420p"
            video.options = _LOSSLESS if self._lossless else _LOSSY
            video.codec_context.time_base = MILLISECOND
            video.codec_context.gop_size = 1000  # key frames go by time, not by number
            # More would delay pictures, and take what the models need.
            video.codec_context.thread_count = 1
            self._video = video
        if self._has_sound:
            self._audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        container.start_encoding()
        self._container = container
        for early in self._early:
            self._mux_sound(*early)
        self._early.clear()

    def abandon(self) -> None:
        """Close the file without writing anything more."""
        self._closed = True
        self._sink.close()

    def close(self) -> None:
        """Write what the encoder still holds and the index, and close the file. Idempotent.

        Raises:
            OSError, av.error.FFmpegError: it cannot be written; the file is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._container is None and (self._has_video or self._has_sound):
                self._open(self._expected_size_px)
            if self._container is not None:
                try:
                    if self._video is not None:
                        for packet in self._video.encode(None):
                            self._container.mux(packet)
                finally:
                    self._container.close()
        finally:
            self._sink.close()


def _letterbox(image: ImageArray, size_px: tuple[int, int]) -> ImageArray:
    """``image`` scaled into ``size_px`` (width, height) with its own proportions, on black."""
    width, height = size_px
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (
        max(1, min(width, round(image.shape[1] * scale))),
        max(1, min(height, round(image.shape[0] * scale))),
    )
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    result = np.zeros((height, width, 3), np.uint8)
    result[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA
    )
    return result
