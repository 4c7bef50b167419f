"""A Matroska file written anew, packet by packet, so that it has an index and a length again."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from realtime_er.errors import RecordingError

_ROOM = 1.05


class Unreadable(RecordingError):  # noqa: N818 - named for what happened
    """There is nothing in a media file that can be read."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Time stamps (ms) and sizes (bytes) of the packets of the two streams, in order.

    ``digests`` identifies what is in them.
    """

    video: tuple[tuple[int, int], ...]
    audio: tuple[tuple[int, int], ...]
    digests: tuple[str, str]


def read_packets(path: Path) -> Packets:
    """All packets up to where the file is cut off.

    Raises:
        Unreadable: it is no Matroska file, or damaged at its beginning.
    """
    return _copy(path, None)


def remux(path: Path) -> Packets:
    """Write the file anew; the old one is there until the new one has been read back.

    Raises:
        Unreadable: it is no Matroska file, or damaged at its beginning.
        RecordingError: there is no room, or reading back finds a difference; the file is then as it
            was.
    """
    folder = path.parent
    n_bytes = path.stat().st_size
    if shutil.disk_usage(folder).free < n_bytes * _ROOM:
        raise RecordingError(
            f"{path}: repairing it needs {n_bytes * _ROOM / 1e6:.0f} MB of free space on its disk"
        )
    temporary = path.with_name(path.name + ".repairing")
    temporary.unlink(missing_ok=True)
    # Made anew: nothing is written through a link of this name.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    try:
        packets = _copy(path, temporary)
        if read_packets(temporary) != packets:
            raise RecordingError(
                f"{path}: the repaired copy does not hold the same; kept as it was"
            )
        temporary.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        raise RecordingError(f"{path}: cannot be written anew: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return packets


def _copy(source: Path, target: Path | None) -> Packets:
    found: dict[str, list[tuple[int, int]]] = {"video": [], "audio": []}
    digests = {"video": hashlib.sha256(), "audio": hashlib.sha256()}
    try:
        container = av.open(str(source), format="matroska")
    except (OSError, av.error.FFmpegError) as error:
        raise Unreadable(f"{source}: cannot be read: no Matroska file, or damaged") from error
    with container:
        output: Any = None
        if target is not None:
            output = av.open(str(target), "w", format="matroska")
            # A stream that never got a picture has no codec data that could be copied.
            streams = {
                stream.index: output.add_stream_from_template(stream)
                for stream in container.streams
                if stream.type in found
            }
        else:
            streams = {s.index: None for s in container.streams if s.type in found}
        try:
            for packet in _packets(container):
                kind = packet.stream.type
                if packet.stream.index not in streams:
                    continue
                pts_ms = round(packet.pts * packet.time_base * 1000)
                found[kind].append((pts_ms, packet.size))
                digests[kind].update(bytes(packet))
                if output is not None:
                    packet.stream = streams[packet.stream.index]
                    output.mux(packet)
        finally:
            if output is not None:
                output.close()
    both = digests["video"].hexdigest(), digests["audio"].hexdigest()
    return Packets(tuple(found["video"]), tuple(found["audio"]), both)


def _packets(container: Any) -> Any:  # noqa: ANN401 - PyAV has no types
    """Whole packets with a time; ends quietly where the file is cut off."""
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.size and not packet.is_corrupt:
                yield packet
    except av.error.FFmpegError:
        return
