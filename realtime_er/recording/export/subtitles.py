"""The transcript and the labels as subtitles, WebVTT or SubRip."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from realtime_er.recording.export import segments
from realtime_er.recording.export.files import clean, whole_file
from realtime_er.recording.export.segments import Segment
from realtime_er.recording.reader import RecordedSession

_BLANK_LINES = re.compile(r"\n\s*\n")
# SubRip knows no escapes, and players read these as mark-up: single guillemets stand in for them.
_SUBRIP = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")"})


def export_vtt(session: RecordedSession, folder: Path) -> list[Path]:
    """Write ``transcript.vtt`` and ``labels.vtt``.

    Raises:
        RecordingError: the session is damaged, or a file cannot be written.
    """
    consent = session.consent
    note = "" if consent is None else html.escape(clean(consent.line()), quote=False)
    return _export(session, folder, ".vtt", lambda cues: _vtt(cues, note))


def export_srt(session: RecordedSession, folder: Path) -> list[Path]:
    """Write ``transcript.srt`` and ``labels.srt``.

    Raises:
        RecordingError: the session is damaged, or a file cannot be written.
    """
    return _export(session, folder, ".srt", _srt)


def _export(
    session: RecordedSession,
    folder: Path,
    ending: str,
    write: Callable[[Iterable[Segment]], Iterable[str]],
) -> list[Path]:
    labels = [
        segment._replace(text=f"reads as {segment.text}")
        for segment in segments.readings(session)[0]
    ]
    paths = []
    for name, cues in (("transcript", segments.utterances(session)), ("labels", labels)):
        path = folder / f"{name}{ending}"
        with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(write(cues))
        paths.append(path)
    return paths


def _lines(text: str) -> str:
    """A blank line would end the cue."""
    return _BLANK_LINES.sub("\n", clean(text).strip())


def _clock(time_ms: int, point: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{point}{ms:03d}"


def _vtt(cues: Iterable[Segment], note: str) -> Iterable[str]:
    yield "WEBVTT\n"
    if note:
        yield f"\nNOTE {note}\n"
    for cue in cues:
        span = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        yield f"\n{span}\n{html.escape(_lines(cue.text), quote=False)}\n"


def _srt(cues: Iterable[Segment]) -> Iterable[str]:
    for number, cue in enumerate(cues, 1):
        span = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        text = _lines(cue.text).replace("-->", "→").translate(_SUBRIP)
        yield f"{number}\n{span}\n{text}\n\n"
