"""What key R and the annotation keys do in a live window."""

from __future__ import annotations

import getpass
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.cli.consent import Answers
from realtime_er.consent import Consent
from realtime_er.errors import RealtimeERError, RecordingError
from realtime_er.messages import ShownMark
from realtime_er.recording.labels import LabelSet
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rater_marks import RaterMarks
from realtime_er.sinks.display.controls import ConsentQuestion

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


def _free_folder(folder: Path) -> Path:
    """``folder``, or with "-2", "-3", ... when there is something already."""
    names = (folder.name if number == 1 else f"{folder.name}-{number}" for number in count(1))
    return next(path for path in map(folder.with_name, names) if not _is_taken(path))


def _is_taken(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


class WindowRecording:
    """Starts and stops recordings and takes their marks; an ``Annotator``. Main thread.

    Marks belong to a recording: without one there are no annotation keys.

    Args:
        session: Open.
        folder: Where the first recording is; further ones get "-2", "-3", ... None: dated folders.
        options: What to write.
        labels: What the annotation keys mark.
        rater: Whose marks they are.
        answers: What the command line says of the person who is recorded.

    Attributes:
        consent: What was agreed to last, None before anybody was asked; the next recording has it.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        options: RecordOptions,
        labels: LabelSet,
        rater: str,
        answers: Answers | None = None,
    ) -> None:
        self._session = session
        self._folder = folder
        self._options = options
        self.consent = options.consent
        self._answers = answers or Answers()
        self._labels = labels
        self._rater = rater
        self._marks: RaterMarks | None = None

    def begun(self, folder: Path) -> None:
        """A recording has begun there: its marks go there too.

        Raises:
            RecordingError: the marks cannot be written.
        """
        self.close()  # of a recording that ended by itself
        self._marks = RaterMarks(folder, self._rater, self._labels)

    def record(self, on: bool) -> str:
        """Begin or end a recording; returns what to tell."""
        if not on:
            shown_s = self._shown_s()
            self._session.stop_recording()  # first, whatever becomes of the marks
            self._close_marks(shown_s)
            return "Recording ended; it is now read back"
        folder = _free_folder(self._folder or dated_folder())
        try:
            if self.consent is None and self._answers.complete:
                self.consent = self._answers.consent()
            self._session.start_recording(folder, replace(self._options, consent=self.consent))
        except RealtimeERError as error:
            return str(error)
        try:
            self.begun(folder)
        except RecordingError as error:
            return f"Recording into {folder}, but without annotation keys: {error}"
        return f"Recording into {folder}"

    def question(self) -> ConsentQuestion | None:
        """What to ask before a recording; None when the command line has answered it all."""
        return None if self._answers.complete else ConsentQuestion(self._known, self._agreed)

    def _known(self) -> tuple[str, str, str]:
        last = self.consent
        if last is None:
            return self._answers.texts()
        return last.person, last.purpose_line, last.until.isoformat()

    def _agreed(self, consent: Consent) -> None:
        self.consent = consent

    def __enter__(self) -> WindowRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the marks; open intervals end now."""
        if self._marks is not None:
            self._close_marks(self._shown_s())

    def _close_marks(self, shown_s: float | None) -> None:
        marks, self._marks = self._marks, None
        if marks is not None:
            marks.close(shown_s)

    def _shown_s(self) -> float | None:
        """Time of the newest picture or estimate; a mark must not outlast what was recorded."""
        snapshot = self._session.snapshot()
        shown = (snapshot.frame, snapshot.estimate)
        return max((one.time_s for one in shown if one is not None), default=None)

    def _of_running(self) -> RaterMarks | None:
        """The marks, unless the recording has ended by itself: then they end as well."""
        if self._marks is not None:
            recording = self._session.snapshot().recording
            if recording is not None and recording.failure:
                self.close()
        return self._marks

    # --- Annotator ------------------------------------------------------------------------------

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks; none while nothing is recorded."""
        return self._marks.keys() if self._marks is not None else ()

    def press(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went down."""
        marks = self._of_running()
        return marks is not None and marks.press(key, shown_s, frame_index)

    def release(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went up."""
        return self._marks is not None and self._marks.release(key, shown_s, frame_index)

    def note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """A free-text note."""
        marks = self._of_running()
        if marks is not None:
            marks.note(text, shown_s, frame_index)

    def undo(self) -> str:
        """Take back the newest mark."""
        return self._marks.undo() if self._marks is not None else ""

    def marks(self) -> tuple[ShownMark, ...]:
        """All marks that stand."""
        return self._marks.marks() if self._marks is not None else ()
