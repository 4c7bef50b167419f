"""Takes annotation keys and writes each mark down at once, one database per rater.

Rows are only ever added (``schema.ANNOTATION_TABLES``) and each is committed before the key press
returns, so a mark that was on the screen survives ``kill -9``. The recording is never touched.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from realtime_er.errors import ClosedError, RecordingError
from realtime_er.messages import ShownMark
from realtime_er.recording.database import finish_database
from realtime_er.recording.labels import NOTE_LABEL, NOTE_TIER, Label, LabelSet
from realtime_er.recording.marks import (
    FIELDS,
    INSERT,
    Mark,
    MarkKind,
    database_path,
    last_shown_s,
    open_for_writing,
    rater_name,
    standing,
)


class AnnotationStore:
    """The marks of one rater on one session; an ``Annotator`` for a window. Main thread only.

    Use it as a context manager, or call ``close``. All times are session seconds. An interval that
    is open when a store closes, or that a crash left open, ends at the last time that was shown.
    """

    def __init__(self, session_folder: Path, rater: str, labels: LabelSet) -> None:
        """Open the rater's database, or create it.

        Args:
            session_folder: Folder of the session; ``annotations`` is made inside it.
            rater: Who presses the keys; see ``rater_name``.
            labels: What they mark.

        Raises:
            ConfigError: nothing is left of the rater's name.
            RecordingError: the database cannot be opened, or is not one of ours.
        """
        self.rater = rater_name(rater)
        self.labels = labels
        self.path = database_path(session_folder, rater)
        self._by_key = labels.by_key()
        self._open: dict[tuple[str, str], int] = {}
        self._shown: tuple[ShownMark, ...] | None = None
        self._last_s: float | None = None
        self._next_id = 1
        self._connection: sqlite3.Connection | None = open_for_writing(self.path)
        try:
            self._standing = {
                mark.mark_id: mark
                for mark in standing(self._connection, str(self.path), order="mark_id")
            }
            newest = self._connection.execute("SELECT max(mark_id) FROM marks").fetchone()[0]
            self._next_id = (newest or 0) + 1
            self._last_s = last_shown_s(self._connection, str(self.path))
            self._end_all()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self, shown_s: float | None = None) -> None:
        """End what is open at ``shown_s`` (None: the last time a key came), and close the file.

        A second call does nothing.
        """
        if self._connection is None:
            return
        if shown_s is not None:
            self._last_s = shown_s
        self._end_all()
        connection, self._connection = self._connection, None
        try:
            finish_database(connection)
        except sqlite3.Error as error:
            raise RecordingError(
                f"{self.path}: could not be tidied up ({error}); keep the files beside it"
            ) from error

    # --- keys --------------------------------------------------------------------------------

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks, in the order of the labels' file."""
        return self.labels.keys()

    def press(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went down while the picture of ``shown_s`` was shown; False: no label has it."""
        label = self._by_key.get(key.lower())
        if label is None:
            return False
        self._last_s = shown_s
        name = (label.tier, label.name)
        if label.kind == "point":
            self._add(_new("point", label, shown_s, frame_index, self.labels.reaction_s))
        elif name not in self._open:
            self._begin(label, shown_s, frame_index)
        elif label.kind == "toggle":
            self._end(name, shown_s)
        return True

    def release(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went up; True when that ended an interval."""
        label = self._by_key.get(key.lower())
        if label is None or label.kind != "hold" or (label.tier, label.name) not in self._open:
            return False
        self._last_s = shown_s
        self._end((label.tier, label.name), shown_s)
        return True

    def note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """Write down a free-text note; an empty one is not kept."""
        # SQLite takes no lone surrogates, which a clipboard can hold.
        clean = text.strip().encode("utf-8", "replace").decode("utf-8")
        if not clean:
            return
        self._last_s = shown_s
        self._add(replace(_new("note", None, shown_s, frame_index, 0.0), text=clean))

    def undo(self) -> str:
        """Take back the newest mark, or its newest correction; what it was, "" without any."""
        if not self._standing:
            return ""
        newest = next(reversed(self._standing.values()))
        self._take_back(newest)
        what = newest.text if newest.kind == "note" else newest.label
        return f"{what} ({newest.tier})"

    def marks(self) -> tuple[ShownMark, ...]:
        """All marks that stand, in order of time; the same object until something changes."""
        if self._shown is None:
            self._shown = tuple(
                ShownMark(
                    tier=mark.tier,
                    label=mark.label,
                    kind=mark.kind,
                    start_s=mark.start_s,
                    end_s=mark.end_s,
                    colour=self.labels.colour(mark.tier, mark.label),
                    text=mark.text,
                )
                for mark in self.entries()
            )
        return self._shown

    # --- corrections -------------------------------------------------------------------------

    def entries(self) -> list[Mark]:
        """All marks that stand, with their ids, in order of time."""
        return sorted(self._standing.values(), key=lambda mark: (mark.start_s, mark.mark_id))

    def correct(
        self,
        mark_id: int,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        label: str | None = None,
        text: str | None = None,
    ) -> int:
        """Replace a mark by a corrected one; what is None stays. ``undo`` brings the old one back.

        Returns:
            Id of the mark that stands instead.

        Raises:
            RecordingError: there is no such mark, it is still open, or it would end before it begins.
        """
        old = self._standing.get(mark_id)
        if old is None or old.end_s is None:
            raise RecordingError(f"{self.path}: mark {mark_id} is not there, or still open")
        start_s = old.start_s if start_s is None else start_s
        end_s = old.end_s if end_s is None else end_s
        if old.kind != "interval":
            end_s = start_s
        if end_s < start_s:
            raise RecordingError(f"{self.path}: mark {mark_id} would end before it begins")
        label = old.label if label is None else label
        text = old.text if text is None else text
        changed = replace(old, start_s=start_s, end_s=end_s, label=label, text=text)
        return self._add(replace(changed, replaces=mark_id))

    def remove(self, mark_id: int) -> None:
        """Take a mark back for good, with everything it replaced.

        Raises:
            RecordingError: there is no such mark.
        """
        mark = self._standing.get(mark_id)
        if mark is None:
            raise RecordingError(f"{self.path}: mark {mark_id} is not there")
        while mark is not None:
            mark = self._take_back(mark)

    # --- rows --------------------------------------------------------------------------------

    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClosedError(f"{self.path}: annotations are closed")
        return self._connection

    def _begin(self, label: Label, shown_s: float, frame_index: int | None) -> None:
        if label.tier in self.labels.exclusive:
            for name in [name for name in self._open if name[0] == label.tier]:
                self._end(name, shown_s)
        mark = _new("interval", label, shown_s, frame_index, self.labels.reaction_s)
        self._open[label.tier, label.name] = self._add(mark)

    def _end(self, name: tuple[str, str], shown_s: float) -> None:
        begun = self._standing[self._open.pop(name)]
        # In a replay one may have gone back meanwhile.
        first_s, last_s = sorted((begun.shown_start_s, shown_s))
        ended = replace(
            begun,
            start_s=first_s - begun.reaction_s,
            end_s=last_s - begun.reaction_s,
            shown_start_s=first_s,
            shown_end_s=last_s,
            replaces=begun.mark_id,
        )
        self._add(ended)

    def _end_all(self) -> None:
        """End every open interval at the last time that is known."""
        for mark in list(self._standing.values()):
            if mark.end_s is None:
                self._open[mark.tier, mark.label] = mark.mark_id
                last_s = mark.shown_start_s if self._last_s is None else self._last_s
                self._end((mark.tier, mark.label), last_s)

    def _add(self, mark: Mark) -> int:
        made_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        mark = replace(mark, mark_id=self._next_id, made_at=made_at)
        row = tuple(getattr(mark, name) for name in FIELDS)
        try:
            self._database().execute(INSERT, row)
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path}: the mark could not be written ({error})") from error
        self._next_id += 1
        if mark.replaces is not None:
            self._standing.pop(mark.replaces, None)
        self._standing[mark.mark_id] = mark
        self._shown = None
        return mark.mark_id

    def _take_back(self, mark: Mark) -> Mark | None:
        """Undo one mark; returns the one that stands again because of that."""
        made_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [(mark.mark_id, made_at)]
        connection = self._database()
        old = None
        if mark.replaces is not None:
            select = "SELECT * FROM marks WHERE mark_id = ?"
            old = Mark(*connection.execute(select, (mark.replaces,)).fetchone())
            if old.end_s is None:
                # Beginning and end of an interval are one mark.
                rows.append((old.mark_id, made_at))
                old = None
        try:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO undone (mark_id, made_at) VALUES (?, ?)", rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path}: undo could not be written ({error})") from error
        del self._standing[mark.mark_id]
        if mark.end_s is None:
            self._open.pop((mark.tier, mark.label), None)
        if old is not None:
            self._standing[old.mark_id] = old
        self._shown = None
        return old


def _new(
    kind: MarkKind, label: Label | None, shown_s: float, frame_index: int | None, reaction_s: float
) -> Mark:
    """A mark made by a key; ``_add`` gives it its id and its date."""
    start_s = shown_s - reaction_s
    ends = kind != "interval"
    return Mark(
        mark_id=0,
        tier=NOTE_TIER if label is None else label.tier,
        label=NOTE_LABEL if label is None else label.name,
        kind=kind,
        start_s=start_s,
        end_s=start_s if ends else None,
        shown_start_s=shown_s,
        shown_end_s=shown_s if ends else None,
        frame_index=frame_index,
        reaction_s=reaction_s,
        text="",
        replaces=None,
        made_at="",
    )
