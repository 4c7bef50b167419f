"""The beginning of the bundled clip, packet by packet, and where the encoders of a test lie."""

from __future__ import annotations

from pathlib import Path

import av

from realtime_er.resources import resource_dir


def write_beginning(path: Path, seconds: float) -> Path:
    """The first seconds of the bundled clip: a face, and a voice."""
    with (
        av.open(str(resource_dir("assets") / "demo.mp4")) as source,
        av.open(str(path), "w") as out,
    ):
        kept = [stream for stream in source.streams if stream.type in ("video", "audio")]
        to = {stream.index: out.add_stream_from_template(stream) for stream in kept}
        for packet in source.demux(kept):
            if packet.dts is None or packet.pts * packet.time_base >= seconds:
                continue
            packet.stream = to[packet.stream.index]
            out.mux(packet)
    return path


def settings_of(folder: Path) -> dict[str, str]:
    """Settings that name the encoders of a folder in the hub's layout."""
    return {f"paper.{name}": str(folder / name) for name in ("face", "audio", "text")}
