"""Brings annotations that were corrected in ELAN back, as databases of their own.

The recording and everybody's own marks stay as they are: what changed for "anna" becomes "anna-elan".
An ELAN file comes from outside, so nothing in it is expanded, loaded or followed: a file that declares
a document type or an entity is refused before anything of it is used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from realtime_er.errors import ConfigError, RecordingError
from realtime_er.recording.export.elan import MARK_TYPES, is_machine_tier
from realtime_er.recording.export.segments import to_ms
from realtime_er.recording.labels import NOTE_LABEL, NOTE_TIER
from realtime_er.recording.marks import (
    Mark,
    MarkKind,
    original_rater,
    rater_name,
    write_marks,
)
from realtime_er.recording.reader import RecordedSession

_KINDS: dict[str, MarkKind] = {
    "marked interval": "interval",
    "marked point": "point",
    "note": "note",
}
_BRACKET = re.compile(r" \[(?:(?:points|notes)(?: \d+)?|\d+)\]$")
_NOBODY = "elan"
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EafImport:
    """What an import did.

    Attributes:
        databases: Those that were written; none when nothing had changed.
        unchanged: Raters whose marks were in the session already.
        n_marks: Marks in the written databases.
        skipped: What was left out and why, a line each.
    """

    databases: tuple[Path, ...]
    unchanged: tuple[str, ...]
    n_marks: int
    skipped: tuple[str, ...]


# What tells marks apart: tier, kind, label or text, first and last millisecond.
_Key = tuple[str, MarkKind, str, int, int]


def import_eaf(session: RecordedSession, path: Path) -> EafImport:
    """Read the annotation tiers of an ELAN file into ``annotations/`` of a session.

    Tiers that the program made (transcript, words, scores, ...) are left out. Tiers that somebody added
    in ELAN are taken as intervals of their annotator, or of their participant, or of "elan".

    Raises:
        RecordingError: it is no ELAN file, it declares entities, or a database cannot be written.
    """
    document = _read(path)
    skipped: Counter[str] = Counter()
    marks: dict[str, list[_Key]] = defaultdict(list)
    for tier in document.tiers:
        if is_machine_tier(tier.name, tier.kind):
            continue
        kind = _KINDS.get(tier.kind, "interval")
        for first, last, value in tier.annotations:
            start_ms, end_ms = document.slots.get(first), document.slots.get(last)
            if start_ms is None or end_ms is None:
                skipped[f"{tier.name}: without a time"] += 1
            elif not value.strip():
                skipped[f"{tier.name}: without a label"] += 1
            else:
                end_ms = max(start_ms, end_ms) if kind == "interval" else start_ms
                marks[tier.rater].append((tier.marked_tier(kind), kind, value, start_ms, end_ms))
        if tier.n_references:
            skipped[f"{tier.name}: refers to another tier"] += tier.n_references
    written, unchanged, n_marks = [], [], 0
    for rater, found in sorted(marks.items()):
        name = _free_name(session, rater, found)
        if name is None:
            unchanged.append(rater)
            continue
        written.append(write_marks(session.path, name, _marks(found, session.start_s)))
        n_marks += len(found)
    lines = tuple(f"{count} x {reason}" for reason, count in skipped.items())
    return EafImport(tuple(written), tuple(unchanged), n_marks, lines)


def _free_name(session: RecordedSession, rater: str, found: list[_Key]) -> str | None:
    """A name without a database; None when one of the rater's databases says the same."""
    base = original_rater(rater)
    wanted = sorted(found)
    taken = session.raters
    candidates = [name for name in taken if original_rater(name) == base]
    if any(sorted(_keys(session, name)) == wanted for name in candidates):
        return None
    if base not in taken:
        return base
    name, number = f"{base}-elan", 2
    while name in taken:
        name, number = f"{base}-elan-{number}", number + 1
    return name


def _keys(session: RecordedSession, rater: str) -> Iterable[_Key]:
    for mark, end_s in session.intervals(rater):
        start_ms = to_ms(mark.start_s - session.start_s)
        end_ms = start_ms
        if mark.kind == "interval":
            end_ms = max(start_ms + 1, to_ms(end_s - session.start_s))
        text = mark.text if mark.kind == "note" else mark.label
        yield mark.tier, mark.kind, text, start_ms, end_ms


def _marks(keys: list[_Key], zero_s: float) -> Iterable[Mark]:
    made_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    for tier, kind, value, start_ms, end_ms in sorted(keys, key=lambda key: key[3:]):
        start_s, end_s = zero_s + start_ms / 1000.0, zero_s + end_ms / 1000.0
        is_note = kind == "note"
        yield Mark(
            mark_id=0,
            tier=tier,
            label=NOTE_LABEL if is_note else value,
            kind=kind,
            start_s=start_s,
            end_s=end_s,
            shown_start_s=start_s,
            shown_end_s=end_s,
            frame_index=None,
            reaction_s=0.0,
            text=value if is_note else "",
            replaces=None,
            made_at=made_at,
        )


# --- reading the file -------------------------------------------------------------------------


@dataclass(slots=True)
class _Tier:
    name: str
    kind: str
    annotator: str
    participant: str
    annotations: list[tuple[str, str, str]] = field(default_factory=list)
    n_references: int = 0

    @property
    def rater(self) -> str:
        for name in (self.annotator, self.participant):
            try:
                return rater_name(name)
            except ConfigError:
                continue
        return _NOBODY

    def marked_tier(self, kind: MarkKind) -> str:
        """Name of the tier without rater and lane."""
        if kind == "note":
            return NOTE_TIER
        if self.kind not in MARK_TYPES.values():
            return self.name
        return _BRACKET.sub("", self.name.removeprefix(f"{self.annotator}: "))


class _Document:
    """Takes an ELAN file in as the parser meets it."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.tiers: list[_Tier] = []
        self._span: tuple[str, str] | None = None
        self._text: list[str] | None = None
        self._any = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._any and name != "ANNOTATION_DOCUMENT":
            raise ValueError(f"begins with <{name[:40]}>, so it is not an ELAN file")
        self._any = True
        get = attributes.get
        if name == "HEADER" and get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise ValueError("does not count in milliseconds")
        if name == "TIME_SLOT" and (value := get("TIME_VALUE")) is not None:
            self.slots[get("TIME_SLOT_ID", "")] = _whole_number(value)
        elif name == "TIER":
            self.tiers.append(
                _Tier(
                    name=get("TIER_ID", ""),
                    kind=get("LINGUISTIC_TYPE_REF", ""),
                    annotator=get("ANNOTATOR", ""),
                    participant=get("PARTICIPANT", ""),
                )
            )
        elif name == "ALIGNABLE_ANNOTATION":
            self._span = (get("TIME_SLOT_REF1", ""), get("TIME_SLOT_REF2", ""))
        elif name == "REF_ANNOTATION" and self.tiers:
            self.tiers[-1].n_references += 1
        elif name == "ANNOTATION_VALUE":
            self._text = []

    def text(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        if name != "ANNOTATION_VALUE":
            return
        if self._span is not None and self._text is not None and self.tiers:
            self.tiers[-1].annotations.append((*self._span, "".join(self._text)))
        self._span = self._text = None


def _whole_number(text: str) -> int:
    # int() also takes "1_000" and digits of other scripts; and a limit keeps the times finite.
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise ValueError(f"has the time {text[:20]!r}, which is no number of milliseconds")
    return int(text)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("declares a document type or an entity, which no ELAN file does; not read")


def _read(path: Path) -> _Document:
    document = _Document()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    try:
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                parser.Parse(part, False)
            parser.Parse(b"", True)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror})") from error
    except (expat.ExpatError, LookupError) as error:
        raise RecordingError(f"{path}: is not an ELAN file ({error})") from error
    except ValueError as error:
        raise RecordingError(f"{path}: {error}") from error
    return document
