"""XDF 1.0, the format of Lab Streaming Layer's recorder.

Every stream is declared irregular (nominal rate 0) and able to drop samples, because a reader moves
the stamps of a regular one by up to a second when pictures are missing. Stamps are the session's own
times, exactly; clock offsets are zero, as there is only one clock. The stream ``frames`` connects
the stamps with ``media.mkv``.

    estimates       seven scores and the confidence            stamp: end of the windows
    contributions   face, audio, text: seven Shapley values    stamp: end of the windows
    face            box of the face that is read, pixels       stamp: the picture's
    speech          level, probability, speaking               stamp: end of the span
    frames          frame index, time stamp in media.mkv       stamp: when it was captured
    transcript      text, end                                  stamp: beginning
    words           word, end                                  stamp: beginning
    events          kind, detail                               stamp: when it happened
    annotations R   label, tier, kind, end, text of a note     stamp: beginning, reaction subtracted

Ends are session times as text, since a stream has one type.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal
from xml.sax.saxutils import escape

import numpy as np

from realtime_er.messages import LABELS, MODALITIES
from realtime_er.recording.columns import TABLES
from realtime_er.recording.export.files import clean, whole_file
from realtime_er.recording.reader import RecordedSession

FILE_NAME = "session.xdf"

_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _BOUNDARY, _STREAM_FOOTER = range(1, 7)
_BOUNDARY_ID = bytes.fromhex("43A546DCCBF5410FB30ED5467383CBE4")
# Small enough that a file cut short loses little.
_CHUNK_SAMPLES = 512
_BOUNDARY_CHUNKS = 16

Sample = tuple[float, Sequence[Any]]
Format = Literal["float32", "int32", "string"]


@dataclass(frozen=True, slots=True)
class _Stream:
    """One stream: what is in it, and where its samples come from."""

    name: str
    type: str
    format: Format
    channels: tuple[tuple[str, str], ...]  # label and unit
    samples: Callable[[], Iterator[Sample]]


def export_xdf(session: RecordedSession, folder: Path) -> list[Path]:
    """Write ``session.xdf``.

    Raises:
        RecordingError: the session is damaged, or the file cannot be written.
    """
    path = folder / FILE_NAME
    with whole_file(path) as part, part.open("wb") as file:
        _write(file, session, list(_streams(session)))
    return [path]


def _streams(session: RecordedSession) -> Iterator[_Stream]:
    def table(
        name: str, stamp: str, *wanted: str, only: str = ""
    ) -> Callable[[], Iterator[Sample]]:
        names = TABLES[name].names
        indices = [names.index(column) for column in wanted]
        stamp_index = names.index(stamp)
        only_index = names.index(only) if only else None

        def samples() -> Iterator[Sample]:
            for row in session.rows(name):
                if only_index is None or row[only_index]:
                    yield row[stamp_index], [row[index] for index in indices]

        return samples

    scores = (*LABELS, "confidence")
    shares = [f"contribution_{modality}_{label}" for modality in MODALITIES for label in LABELS]
    box = ("left_px", "top_px", "width_px", "height_px")
    spans = (("text", ""), ("session_end_s", "s"))
    yield _Stream("estimates", "Emotion", "float32", tuple((name, "1") for name in scores),
                  table("estimates", "session_s", *scores))  # fmt: skip
    yield _Stream("contributions", "Emotion", "float32", tuple((name, "1") for name in shares),
                  table("estimates", "session_s", *shares))  # fmt: skip
    yield _Stream("face", "Face", "float32", (*((name, "px") for name in box), ("track_id", "")),
                  table("faces", "session_s", *box, "track_id", only="is_target"))  # fmt: skip
    yield _Stream("speech", "Audio", "float32",
                  (("level_dbfs", "dBFS"), ("probability", "1"), ("speaking", "1")),
                  table("speech", "session_end_s", "level_dbfs", "probability", "speaking"),
                  )  # fmt: skip
    yield _Stream("frames", "VideoFrames", "int32", (("frame_index", ""), ("pts_ms", "ms")),
                  table("frames", "session_s", "frame_index", "pts_ms"))  # fmt: skip
    for name in ("transcript", "words"):
        yield _Stream(name, "Markers", "string", spans,
                      table(name, "session_start_s", "text", "session_end_s"))  # fmt: skip
    yield _Stream("events", "Markers", "string", (("kind", ""), ("detail", "")),
                  table("events", "session_s", "kind", "detail"))  # fmt: skip
    for rater in session.raters:
        yield _Stream(
            f"annotations {rater}",
            "Markers",
            "string",
            (("label", ""), ("tier", ""), ("kind", ""), ("session_end_s", "s"), ("text", "")),
            _marks(session, rater),
        )


def _marks(session: RecordedSession, rater: str) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        for mark, end_s in session.intervals(rater):
            yield mark.start_s, (mark.label, mark.tier, mark.kind, end_s, mark.text)

    return samples


def _write(file: BinaryIO, session: RecordedSession, streams: list[_Stream]) -> None:
    started_at = escape(clean(session.manifest.started_at))
    consent = session.consent
    said = "" if consent is None else f"<consent>{escape(clean(consent.line()))}</consent>"
    file.write(b"XDF:")
    _chunk(
        file,
        _FILE_HEADER,
        f"<?xml version='1.0'?><info><version>1.0</version><datetime>{started_at}</datetime>{said}"
        "</info>",
    )
    for number, stream in enumerate(streams, 1):
        _chunk(file, _STREAM_HEADER, _header(stream, number, session.name), number)
    for number, stream in enumerate(streams, 1):
        _write_samples(file, stream, number, session.span_s)


def _write_samples(
    file: BinaryIO, stream: _Stream, number: int, span_s: tuple[float, float]
) -> None:
    for time_s in span_s:
        _chunk(file, _CLOCK_OFFSET, struct.pack("<dd", time_s, 0.0), number)
    encode = _strings if stream.format == "string" else _numbers
    samples = stream.samples()
    first_s = last_s = 0.0
    n_samples = n_chunks = 0
    while part := list(islice(samples, _CHUNK_SAMPLES)):
        first_s = first_s if n_samples else part[0][0]
        last_s = part[-1][0]
        n_samples += len(part)
        count = b"\x04" + struct.pack("<I", len(part))
        _chunk(file, _SAMPLES, count + encode(part, stream), number)
        n_chunks += 1
        if n_chunks % _BOUNDARY_CHUNKS == 0:
            _chunk(file, _BOUNDARY, _BOUNDARY_ID)
    footer = (
        f"<?xml version='1.0'?><info><first_timestamp>{first_s!r}</first_timestamp>"
        f"<last_timestamp>{last_s!r}</last_timestamp><sample_count>{n_samples}</sample_count></info>"
    )
    _chunk(file, _STREAM_FOOTER, footer, number)


def _chunk(file: BinaryIO, tag: int, content: str | bytes, stream: int | None = None) -> None:
    body = struct.pack("<H", tag)
    if stream is not None:
        body += struct.pack("<I", stream)
    body += content.encode() if isinstance(content, str) else content
    file.write(_length(len(body)) + body)


def _length(n_bytes: int) -> bytes:
    """A length as XDF counts: how many bytes the number has, then the number."""
    if n_bytes < 1 << 8:
        return b"\x01" + struct.pack("<B", n_bytes)
    if n_bytes < 1 << 32:
        return b"\x04" + struct.pack("<I", n_bytes)
    return b"\x08" + struct.pack("<Q", n_bytes)


def _numbers(samples: list[Sample], stream: _Stream) -> bytes:
    kind = "<f4" if stream.format == "float32" else "<i4"
    layout = [("n_bytes", "u1"), ("time_s", "<f8"), ("values", kind, (len(stream.channels),))]
    rows = np.empty(len(samples), np.dtype(layout))
    rows["n_bytes"] = 8
    rows["time_s"] = [time_s for time_s, _ in samples]
    rows["values"] = [
        [np.nan if value is None else value for value in values] for _, values in samples
    ]
    return rows.tobytes()


def _strings(samples: list[Sample], stream: _Stream) -> bytes:
    parts: list[bytes] = []
    for time_s, values in samples:
        parts.append(b"\x08" + struct.pack("<d", time_s))
        for value in values:
            text = value.encode() if isinstance(value, str) else repr(value).encode()
            parts += (_length(len(text)), text)
    return b"".join(parts)


def _header(stream: _Stream, number: int, session_name: str) -> str:
    channels = "".join(
        f"<channel><label>{escape(label)}</label><unit>{escape(unit)}</unit></channel>"
        for label, unit in stream.channels
    )
    source = escape(clean(f"{session_name}/{stream.name}"))
    return (
        f"<?xml version='1.0'?><info><name>{escape(stream.name)}</name><type>{stream.type}</type>"
        f"<channel_count>{len(stream.channels)}</channel_count><nominal_srate>0</nominal_srate>"
        f"<channel_format>{stream.format}</channel_format><source_id>{source}</source_id>"
        f"<version>1.1</version><created_at>0</created_at><uid>{number}</uid>"
        f"<session_id>default</session_id><hostname/><desc><channels>{channels}</channels>"
        "<synchronization><can_drop_samples>true</can_drop_samples></synchronization></desc></info>"
    )
