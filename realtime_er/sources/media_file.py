"""A recording as a source: sound and pictures at their own times, as fast as allowed or paced."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import av
import av.container
import av.error
import av.stream

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.errors import MediaError
from realtime_er.messages import AudioBlock, Gap
from realtime_er.sources.base import Emit, Pacer, Stream
from realtime_er.sources.media_decode import (
    MAX_PIXELS,
    MOST_HOLE_S,
    BlockCutter,
    DecodedFrame,
    FrameTimes,
    samples_of,
)

Kind = Literal["audio", "video"]

_NAMES: dict[Kind, str] = {"audio": "microphone", "video": "camera"}
_EARLY_END_S = 0.5
"""A stream whose container declares at least this much more than it holds was cut off."""
_MAX_READ_ERRORS = 8
"""Reads that fail in a row before the rest of a file is given up."""
_MAX_PROBE_PACKETS = 500


@dataclass(frozen=True)
class _Probe:
    """What a look at the file's beginning told."""

    zero_s: float
    duration_s: float
    kinds: tuple[Kind, ...]


class MediaFile:
    """A sound or video file (wav, flac, mp3, mp4, mkv, avi, mpg, webm, ...) as a source.

    Time zero is the first picture or sample, whichever comes first, so that their offset is kept.

    Args:
        path: The file.
        paced: Deliver at the speed it was recorded, as a device would; else as fast as asked for.
    """

    def __init__(self, path: str | Path, *, paced: bool = False) -> None:
        self._path = Path(path)
        self._paced = paced

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def realtime(self) -> bool:
        """Whether it is paced."""
        return self._paced

    @property
    def duration_s(self) -> float:
        """How long it lasts, as its container says.

        Raises:
            MediaError: it cannot be read.
        """
        return self._probe.duration_s

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Which of "video" and "audio" it holds.

        Raises:
            MediaError: it cannot be read.
        """
        return self._probe.kinds

    @cached_property
    def _probe(self) -> _Probe:
        return _probe(self._path)

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The streams that it holds and that ``config`` enables, each with its own reader.

        Two readers, because one reader that feeds two bounded queues can lock up: it cannot go on
        to the packet that one consumer waits for while the other's queue is full.

        Raises:
            MediaError: it cannot be read, or nothing that it holds is enabled.
        """
        enabled: dict[Kind, bool] = {
            "video": config.camera.enabled,
            "audio": config.microphone.enabled,
        }
        probe = self._probe
        kinds = [kind for kind in probe.kinds if enabled[kind]]
        if not kinds:
            held = " and ".join(probe.kinds)
            raise MediaError(
                f"{self._path}: holds only {held}, which is disabled in the configuration"
                if len(probe.kinds) == 1
                else f"{self._path}: camera and microphone are both disabled in the configuration"
            )
        return [_FileStream(self._path, kind, probe.zero_s) for kind in kinds]


class _FileStream:
    """One stream of a file, read through its own container."""

    def __init__(self, path: Path, kind: Kind, zero_s: float) -> None:
        self._path = path
        self._kind: Kind = kind
        self._zero_s = zero_s
        self._lock = threading.Lock()
        self._running = False
        self._closed = threading.Event()
        self._container: av.container.InputContainer | None = None
        self._info: dict[str, Any] = {"path": str(path), "undecodable_packets": 0}

    @property
    def kind(self) -> Kind:
        """What it emits."""
        return self._kind

    @property
    def name(self) -> str:
        """Either "camera" or "microphone"."""
        return _NAMES[self._kind]

    def open(self) -> None:
        """Open the file.

        Raises:
            MediaError: it cannot be read.
        """
        self._container = _open(self._path)
        stream = _pick(self._container, self._kind)
        if stream is None:
            raise MediaError(f"{self._path}: no {self._kind} stream")
        self._info["codec"] = stream.codec_context.name
        if self._kind == "audio":
            self._info["rate_hz"] = stream.codec_context.sample_rate
            self._info["channels"] = stream.codec_context.layout.nb_channels
        else:
            self._info["width_px"] = stream.codec_context.width
            self._info["height_px"] = stream.codec_context.height
            self._info["fps"] = float(stream.average_rate or 0)

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit everything to the end of the file."""
        with self._lock:
            container = self._container
            if container is None or self._closed.is_set():
                return
            self._running = True
        try:
            play = self._play_audio if self._kind == "audio" else self._play_video
            play(container, emit, pacer, stop)
        finally:
            with self._lock:
                self._running = False
                if self._closed.is_set():
                    self._release()

    def _ended(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._closed.is_set()

    def _play_video(
        self,
        container: av.container.InputContainer,
        emit: Emit,
        pacer: Pacer,
        stop: threading.Event,
    ) -> None:
        stream = _pick(container, "video")
        assert stream is not None  # open() found it
        interval_s = 1.0 / float(stream.average_rate or 25)
        times = FrameTimes(interval_s)
        index, end_s, failed = 0, 0.0, 0
        for frame in self._decode(container, stream):
            if self._ended(stop):
                return
            if frame is None:
                failed += 1
                continue
            time_s = times.next_s(None if frame.time is None else frame.time - self._zero_s)
            self._info["repaired_times"] = times.repaired
            if not pacer.wait(time_s, stop):
                return
            if failed:
                emit(Gap(self.name, end_s, time_s, f"{failed} packets could not be decoded"))
                failed = 0
            emit(DecodedFrame(index, time_s, frame))
            index, end_s = index + 1, time_s + interval_s
        self._emit_early_end(stream, end_s, failed, emit)

    def _play_audio(
        self,
        container: av.container.InputContainer,
        emit: Emit,
        pacer: Pacer,
        stop: threading.Event,
    ) -> None:
        stream = _pick(container, "audio")
        assert stream is not None  # open() found it
        cutter = BlockCutter(self.name)
        failed = 0
        for frame in self._decode(container, stream):
            if self._ended(stop):
                return
            if frame is None:
                failed += 1
                continue
            reason = f"{failed} packets could not be decoded" if failed else "no sound in the file"
            time_s = None if frame.time is None else frame.time - self._zero_s
            for message in cutter.push(samples_of(frame), frame.sample_rate, time_s, reason):
                # A gap is not paced: what follows it may be what the ticks wait for.
                if isinstance(message, AudioBlock) and not pacer.wait(message.end_s, stop):
                    return
                emit(message)
            failed = 0
            self._info["repaired_times"] = cutter.repaired
        for message in cutter.flush():
            if not pacer.wait(message.end_s, stop):
                return
            emit(message)
        self._emit_early_end(stream, cutter.end_s, failed, emit)

    def _decode(
        self, container: av.container.InputContainer, stream: av.stream.Stream
    ) -> Iterator[Any | None]:
        """Decoded frames; None for each packet that could not be decoded or read."""
        for frame in _decode(container, stream):
            if frame is None:
                self._info["undecodable_packets"] += 1
            yield frame

    def _emit_early_end(
        self, stream: av.stream.Stream, end_s: float, failed: int, emit: Emit
    ) -> None:
        """Say so when the file promises more than could be read."""
        declared_s = _declared_end_s(stream)
        more_s = 0.0 if declared_s is None else declared_s - self._zero_s - end_s
        if declared_s is not None and _EARLY_END_S < more_s < MOST_HOLE_S:
            emit(Gap(self.name, end_s, declared_s - self._zero_s, "the file is damaged or cut off"))
        elif failed:
            emit(Gap(self.name, end_s, end_s, f"{failed} packets could not be decoded at the end"))

    def close(self) -> None:
        """Close the file, or make a running ``run`` close it before its next message."""
        with self._lock:
            self._closed.set()
            # A container must not be closed under a decoder that works in another thread.
            if not self._running:
                self._release()

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def info(self) -> dict[str, Any]:
        """Path, codec and format, and how many timestamps and packets were bad."""
        return dict(self._info)


def _open(path: Path) -> av.container.InputContainer:
    """Open a file for reading.

    Raises:
        MediaError: it is missing, empty, unreadable or not media.
    """
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    if not path.is_file():
        raise MediaError(f"{path}: is not a file")
    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: the file is empty")
        return av.open(str(path), "r", metadata_errors="replace")
    except av.error.FFmpegError as error:
        if isinstance(error, PermissionError):
            raise MediaError(f"{path}: may not be read (permissions)") from error
        raise MediaError(
            f"{path}: no audio or video stream (not a media file, or damaged at the beginning)"
        ) from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from error


def _pick(container: av.container.InputContainer, kind: Kind) -> av.stream.Stream | None:
    """The first stream of a kind that is not the cover picture of a song."""
    for stream in container.streams:
        if stream.type != kind or stream.codec_context is None:
            continue
        if not stream.disposition & av.stream.Disposition.attached_pic:
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return stream
    return None


def _decode(
    container: av.container.InputContainer, stream: av.stream.Stream
) -> Iterator[Any | None]:
    """Decoded frames; None for each packet that could not be decoded or read. Always ends."""
    errors = 0
    while errors < _MAX_READ_ERRORS:
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.EOFError:
                    return
                except av.error.FFmpegError:
                    yield None
                    continue
                for frame in frames:
                    errors = 0
                    yield None if frame.is_corrupt else frame
            return
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            errors += 1
            yield None


def _declared_end_s(stream: av.stream.Stream) -> float | None:
    """Where a container with an exact index says that a stream ends; None where it only guesses."""
    exact = {"mov", "mp4", "flac"} & set(stream.container.format.name.split(","))
    if not exact or stream.duration is None:
        return None
    return float((stream.duration + (stream.start_time or 0)) * stream.time_base)


def _probe(path: Path) -> _Probe:
    """Find out what a file holds by decoding the first frame of each of its streams."""
    starts: dict[Kind, float] = {}
    broken: list[Kind] = []
    kinds: tuple[Kind, ...] = ("video", "audio")
    for kind in kinds:
        container = _open(path)
        try:
            stream = _pick(container, kind)
            if stream is None:
                continue
            packets = 0
            for frame in _decode(container, stream):
                if frame is not None:
                    starts[kind] = frame.time or 0.0
                    break
                packets += 1
                if packets >= _MAX_PROBE_PACKETS:
                    break
            if kind not in starts and packets:
                broken.append(kind)
        finally:
            container.close()
    if broken:
        held = " and ".join(broken)
        option = "camera" if broken[0] == "video" else "microphone"
        rest = f"; the rest can be read with {option}.enabled=false" if starts else ""
        raise MediaError(f"{path}: its {held} cannot be decoded{rest}")
    if not starts:
        raise MediaError(f"{path}: no audio or video stream")
    zero_s = min(starts.values())
    return _Probe(zero_s, _duration_s(path, zero_s), tuple(starts))


def _duration_s(path: Path, zero_s: float) -> float:
    container = _open(path)
    end_s = zero_s
    try:
        if container.duration:
            return max(0.0, float(container.duration) / float(av.time_base))
        # A recording that was cut off, or was streamed, does not say: look for its last packet.
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = packet.pts + (packet.duration or 0)
                end_s = max(end_s, float(end * packet.time_base))
    except av.error.FFmpegError:
        pass  # what follows cannot be read, so it does not count
    finally:
        container.close()
    return max(0.0, end_s - zero_s)
