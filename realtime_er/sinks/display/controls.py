"""What a window may do to what it shows. No Qt here, so that anybody can offer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from realtime_er.consent import Consent
from realtime_er.messages import ShownMark as ShownMark
from realtime_er.messages import Snapshot

StreamName = Literal["camera", "microphone"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A device that can be chosen: what to ask for it by, and what people call it."""

    wanted: str
    title: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The devices there are, which one is in use ("" the system's default), or why there is none."""

    devices: tuple[Choice, ...]
    current: str
    problem: str = ""


class Transport(Protocol):
    """A recording that plays: where it is, how fast, and where it should go. Main thread."""

    @property
    def position_s(self) -> float:
        """Session time that is shown."""
        ...

    @property
    def span_s(self) -> tuple[float, float]:
        """Session times of the beginning and the end."""
        ...

    @property
    def speed(self) -> float:
        """1.0 is real time."""
        ...

    @property
    def playing(self) -> bool:
        """Whether it moves."""
        ...

    def play(self, playing: bool) -> None:
        """Move or stand still."""
        ...

    def seek(self, time_s: float) -> None:
        """Show this session time; outside the span it is the nearest end."""
        ...

    def set_speed(self, speed: float) -> None:
        """0.25 to 16."""
        ...


class Annotator(Protocol):
    """Takes annotation keys. Main thread."""

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks, for the list of keys."""
        ...

    def press(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went down while the picture of ``shown_s`` was shown; False: not ours.

        ``key`` is in lower case.
        """
        ...

    def release(self, key: str, shown_s: float, frame_index: int | None) -> bool:
        """A key went up."""
        ...

    def note(self, text: str, shown_s: float, frame_index: int | None) -> None:
        """A free-text note."""
        ...

    def undo(self) -> str:
        """Take back the newest mark; returns what it was, "" when there was none."""
        ...

    def marks(self) -> tuple[ShownMark, ...]:
        """All marks that stand, in order of time."""
        ...


@dataclass(frozen=True, slots=True)
class ConsentQuestion:
    """What to ask before a recording begins; the main thread.

    Attributes:
        answers: What is known already: who, what for, until when; each may be "".
        give: Takes what was agreed to.
    """

    answers: Callable[[], tuple[str, str, str]]
    give: Callable[[Consent], None]


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be done; None where that does not exist, and then no key or button offers it.

    All are called on the main thread and return at once; ``record`` returns what to tell the user.
    Before ``record`` begins a recording the window asks the ``consent`` question, if there is one.
    ``change_device`` raises ``realtime_er.errors.SourceError`` with one clear line when there is no
    such device.
    """

    snapshot: Callable[[], Snapshot]
    select_target: Callable[[int], None] | None = None
    set_muted: Callable[[bool], None] | None = None
    choices: Callable[[StreamName], Choices] | None = None
    change_device: Callable[[StreamName, str], None] | None = None
    record: Callable[[bool], str] | None = None
    consent: ConsentQuestion | None = None
    annotator: Annotator | None = None
    transport: Transport | None = None
