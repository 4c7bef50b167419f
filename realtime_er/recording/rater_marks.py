"""The annotation keys of a window: marks go to a database that is made with the first of them."""

from __future__ import annotations

from pathlib import Path

from realtime_er.messages import ShownMark
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.labels import LabelSet
from realtime_er.recording.marks import database_path


class RaterMarks:
    """One rater's annotations of a session, live or replayed; an ``Annotator``. Main thread.

    Their database is made with the first mark, so that looking at a session leaves nothing behind.

    Raises:
        RecordingError: the rater's database is there and cannot be used.
    """

    def __init__(self, folder: Path, rater: str, labels: LabelSet) -> None:
        self._folder, self._rater, self._labels = folder, rater, labels
        self._store: AnnotationStore | None = None
        if database_path(folder, rater).exists():
            self._opened()

    def _opened(self) -> AnnotationStore:
        if self._store is None:
            self._store = AnnotationStore(self._folder, self._rater, self._labels)
        return self._store

    def close(self, shown_s: float | None) -> None:
        """End what is open at ``shown_s`` (None: the last time a key came), and close the database.

        A second call does nothing.
        """
        store, self._store = self._store, None
        if store is not None:
            store.close(shown_s)

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks."""
        return self._labels.keys()

    def press(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went down."""
        if key.lower() not in self._labels.by_key():
            return False
        return self._opened().press(key, shown_s, frame_index)

    def release(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went up."""
        return self._store is not None and self._store.release(key, shown_s, frame_index)

    def note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """A free-text note."""
        if text.strip():
            self._opened().note(text, shown_s, frame_index)

    def undo(self) -> str:
        """Take back the newest mark."""
        return self._store.undo() if self._store is not None else ""

    def marks(self) -> tuple[ShownMark, ...]:
        """All marks that stand."""
        return self._store.marks() if self._store is not None else ()
