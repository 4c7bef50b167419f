"""What key R and the annotation keys do in a live window."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.errors import RecordingError
from realtime_er.messages import ShownMark
from realtime_er.recording.labels import LabelSet
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rater_marks import RaterMarks

if TYPE_CHECKING:
    from realtime_er.session import Session

DEFAULT_FOLDER = Path("recordings")


def default_rater() -> str:
    """The login name, or "rater" where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "rater"


def dated_folder() -> Path:
    """A name for a recording that nobody named: ``recordings/2026-01-31_12-00-00``."""
    return DEFAULT_FOLDER / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")


class WindowRecording:
    """Starts and stops recordings and takes their marks; an ``Annotator``. Main thread.

    Marks belong to a recording: without one there are no annotation keys.

    Args:
        session: Open.
        folder: Where the first recording is; further ones get "-2", "-3", ... None: dated folders.
        options: What to write.
        labels: What the annotation keys mark.
        rater: Whose marks they are.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        options: RecordOptions,
        labels: LabelSet,
        rater: str,
    ) -> None:
        self._session = session
        self._folder = folder
        self._options = options
        self._labels = labels
        self._rater = rater
        self._made = 0
        self._marks: RaterMarks | None = None

    def begun(self, folder: Path) -> None:
        """A recording has begun there: its marks go there too.

        Raises:
            RecordingError: the marks cannot be written.
        """
        self._made += 1
        self._marks = RaterMarks(folder, self._rater, self._labels)

    def record(self, on: bool) -> str:
        """Begin or end a recording; returns what to tell."""
        if not on:
            self.close()
            self._session.stop_recording()
            return "Recording ended; it is now read back"
        folder = self._next_folder()
        try:
            self._session.start_recording(folder, self._options)
            self.begun(folder)
        except RecordingError as error:
            return str(error)
        return f"Recording into {folder}"

    def _next_folder(self) -> Path:
        if self._folder is None:
            return dated_folder()
        if self._made == 0:
            return self._folder
        return self._folder.with_name(f"{self._folder.name}-{self._made + 1}")

    def __enter__(self) -> WindowRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the marks; open intervals end now."""
        marks, self._marks = self._marks, None
        if marks is not None:
            marks.close(self._session.snapshot().now_s)

    # --- Annotator ------------------------------------------------------------------------------

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks; none while nothing is recorded."""
        return self._marks.keys() if self._marks is not None else ()

    def press(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went down."""
        return self._marks is not None and self._marks.press(key, shown_s, frame_index)

    def release(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went up."""
        return self._marks is not None and self._marks.release(key, shown_s, frame_index)

    def note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """A free-text note."""
        if self._marks is not None:
            self._marks.note(text, shown_s, frame_index)

    def undo(self) -> str:
        """Take back the newest mark."""
        return self._marks.undo() if self._marks is not None else ""

    def marks(self) -> tuple[ShownMark, ...]:
        """All marks that stand."""
        return self._marks.marks() if self._marks is not None else ()
