"""ELAN's ``.eaf``, schema 3.0: transcript, words, readings, scores, gaps, and everybody's marks.

ELAN has whole milliseconds, no points, and no overlaps within a tier. So a point lasts ``POINT_MS``
and only its beginning counts; what overlaps goes to a tier of its own ("anna: observer [2]"); and
the type of a tier says what its annotations are, which ``eaf_import`` goes by.

Written as it goes, without a tree in memory: a million annotations are no reason to fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from realtime_er.messages import LABELS
from realtime_er.recording.export import segments
from realtime_er.recording.export.files import clean, whole_file
from realtime_er.recording.export.segments import Lane, Segment
from realtime_er.recording.reader import RecordedSession

FILE_NAME = "session.eaf"

MACHINE_TYPES = ("transcript", "word", "reading", "score level", "gap")
"""Types of tiers that the program made."""

_MACHINE_TIERS = ("transcript", "words", "reads as", *(f"score {label}" for label in LABELS))
_GAPS = "gaps "

MARK_TYPES = {"interval": "marked interval", "point": "marked point", "note": "note"}
"""Kind of mark -> type of its tier."""

_NAMESPACE = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd"'
)
# ELAN wants a date; a session whose start nobody knows any more gets one that nobody believes.
_NO_DATE = "1970-01-01T00:00:00+00:00"


class _Tier(NamedTuple):
    name: str
    kind: str
    annotator: str
    segments: list[Segment]


def export_eaf(session: RecordedSession, folder: Path) -> list[Path]:
    """Write ``session.eaf``; the media file is linked relative to it, and absolutely.

    Raises:
        RecordingError: the session is damaged, or the file cannot be written.
    """
    path = folder / FILE_NAME
    tiers = list(_tiers(session))
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_document(session, folder, tiers))
    return [path]


def _tiers(session: RecordedSession) -> Iterator[_Tier]:
    yield _Tier("transcript", "transcript", "", segments.utterances(session))
    yield _Tier("words", "word", "", segments.words(session))
    readings, levels = segments.readings(session)
    yield _Tier("reads as", "reading", "", readings)
    for label in LABELS:
        yield _Tier(f"score {label}", "score level", "", levels[label])
    for stream, spans in segments.gaps(session).items():
        yield _Tier(f"{_GAPS}{clean(stream)}", "gap", "", spans)
    for lane in segments.lanes(session):
        yield _Tier(tier_name(lane), MARK_TYPES[lane.kind], lane.rater, lane.segments)


def is_machine_tier(name: str, kind: str) -> bool:
    """Whether the program made a tier, which an import leaves out.

    Who adds a tier in ELAN has to give it one of the types that are there, so the type alone does not
    tell.
    """
    return kind in MACHINE_TYPES and (name in _MACHINE_TIERS or name.startswith(_GAPS))


def tier_name(lane: Lane) -> str:
    """Rater and tier, and in brackets the kind (unless intervals) and the lane (unless first)."""
    kind = {"interval": "", "point": "points", "note": "notes"}[lane.kind]
    number = str(lane.number) if lane.number > 1 else ""
    bracket = " ".join(part for part in (kind, number) if part)
    tier = clean(lane.tier).replace("[", "(").replace("]", ")")
    return f"{lane.rater}: {tier}" + (f" [{bracket}]" if bracket else "")


def _document(session: RecordedSession, folder: Path, tiers: list[_Tier]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield (
        f'<ANNOTATION_DOCUMENT AUTHOR="realtime_er" DATE={quoteattr(_date(session))} '
        f'FORMAT="3.0" VERSION="3.0" {_NAMESPACE}>\n'
    )
    yield '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n'
    yield from _media(session, folder)
    n_annotations = sum(len(tier.segments) for tier in tiers)
    if session.consent is not None:
        said = escape(clean(session.consent.line()))
        yield f'<PROPERTY NAME="consent">{said}</PROPERTY>\n'
    yield f'<PROPERTY NAME="lastUsedAnnotationId">{n_annotations}</PROPERTY>\n</HEADER>\n'
    slots = np.array(
        [time for tier in tiers for segment in tier.segments for time in segment[:2]], np.int64
    )
    order = np.argsort(slots, kind="stable")
    yield "<TIME_ORDER>\n"
    for number, time_ms in enumerate(slots[order].tolist(), 1):
        yield f'<TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{time_ms}"/>\n'
    yield "</TIME_ORDER>\n"
    ranks = np.empty(len(slots), np.int64)
    ranks[order] = np.arange(1, len(slots) + 1)
    yield from _tier_elements(tiers, iter(ranks.tolist()))
    for kind in (*MACHINE_TYPES, *MARK_TYPES.values()):
        yield (
            f'<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="{kind}" '
            'TIME_ALIGNABLE="true"/>\n'
        )
    yield "</ANNOTATION_DOCUMENT>\n"


def _tier_elements(tiers: Iterable[_Tier], ranks: Iterator[int]) -> Iterator[str]:
    number = 0
    for tier in tiers:
        annotator = f" ANNOTATOR={quoteattr(tier.annotator)}" if tier.annotator else ""
        yield (
            f"<TIER LINGUISTIC_TYPE_REF={quoteattr(tier.kind)} "
            f"TIER_ID={quoteattr(tier.name)}{annotator}>\n"
        )
        for segment in tier.segments:
            number += 1
            first, last = next(ranks), next(ranks)
            yield (
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" '
                f'TIME_SLOT_REF1="ts{first}" TIME_SLOT_REF2="ts{last}">'
                f"<ANNOTATION_VALUE>{escape(clean(segment.text))}</ANNOTATION_VALUE>"
                "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
            )
        yield "</TIER>\n"


def _media(session: RecordedSession, folder: Path) -> Iterator[str]:
    media = session.media_path
    if media is None:
        return
    media = media.resolve()
    relative = Path(os.path.relpath(media, folder.resolve())).as_posix()
    if not relative.startswith("."):
        relative = f"./{relative}"
    yield (
        f"<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(media.as_uri())} "
        f'MIME_TYPE="video/x-matroska" RELATIVE_MEDIA_URL={quoteattr(quote(relative))}/>\n'
    )


def _date(session: RecordedSession) -> str:
    try:
        return datetime.fromisoformat(session.manifest.started_at).isoformat()
    except ValueError:
        return _NO_DATE
