"""What a recording is asked for, what it is told, and what it says at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime_er.consent import Consent

if TYPE_CHECKING:
    from realtime_er.recording.verify import Verification


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What to write.

    Attributes:
        lossless: Pictures that come back with the very same pixels; 50 to 150 GB an hour at 720p
            instead of 2.
        media: Pictures and sound; False keeps numbers and words.
        blur_faces: Make faces unrecognisable in the file.
        numbers_only: Scores and figures only: no pictures, no sound, no words, no embeddings, no
            landmarks (``recording/numbers.py``). Such a session cannot be computed again.
        consent: Of the person who is recorded; the command line asks for it.
        verify: Read everything back at the end.
    """

    lossless: bool = False
    media: bool = True
    blur_faces: bool = False
    numbers_only: bool = False
    consent: Consent | None = None
    verify: bool = True

    @property
    def keeps_media(self) -> bool:
        """Whether pictures and sound are written."""
        return self.media and not self.numbers_only


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What is known of a session when its recording begins; it goes into the manifest.

    Attributes:
        start_s: Session time of the beginning; earlier pictures and sound are left out.
        video, sound: Whether there are pictures, and sound.
        size_px: Width and height that the camera promised, used when no picture comes at first.
        config, models, devices, origin: See ``Manifest``.
    """

    start_s: float
    video: bool
    sound: bool
    size_px: tuple[int, int] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    origin: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What became of a recording.

    ``ledger`` is described in ``Manifest``; ``verification`` is None when nothing was read back.
    """

    folder: str
    duration_s: float
    ledger: dict[str, int]
    failure: str
    verification: Verification | None

    @property
    def lost(self) -> int:
        """Pictures, samples and messages that were offered and are not in the folder."""
        names = ("frames_dropped", "frames_unwritten", "samples_unwritten", "messages_unwritten")
        return sum(self.ledger.get(name, 0) for name in names)

    @property
    def ok(self) -> bool:
        """Whether it ended by itself and was read back as written."""
        return not self.failure and self.verification is not None and self.verification.ok

    def line(self) -> str:
        """One line for people."""
        minutes, seconds = divmod(round(self.duration_s), 60)
        parts = [f"{minutes}:{seconds:02d} recorded"]
        for name, what in (
            ("frames_written", "frames"),
            ("samples_written", "samples"),
            ("estimates", "estimates"),
        ):
            count = self.ledger.get(name, 0)
            if count:
                parts.append(f"{count:,} {what}")
        lost = [
            f"{count:,} {what}"
            for what, count in (
                ("frames", self.ledger["frames_dropped"] + self.ledger["frames_unwritten"]),
                ("samples", self.ledger["samples_unwritten"]),
                ("messages", self.ledger["messages_unwritten"]),
            )
            if count
        ]
        parts.append(f"{' and '.join(lost) or '0'} lost")
        parts.append("not verified" if self.verification is None else self.verification.line)
        line = ", ".join(parts)
        return f"{line}; {self.failure}" if self.failure else line
