"""The message types, in flow order.

Every message carries the time the *world* did it, in seconds on the session clock (``*_s``), and
that time is passed on unchanged. Arrays inside messages are read-only and shared between threads.

    sources      AudioBlock · VideoFrame · Gap
    perception   SpeechActivity · SpeechSegment · FaceReport (TrackedFace) · Hypothesis (Word)
    encoders     Embedding
    decision     Estimate
    anywhere     Event
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]

LABELS = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry")
"""The seven score columns, in this order everywhere."""

MODALITIES = ("face", "audio", "text")
"""The three modalities, in this order everywhere."""

SAMPLE_RATE_HZ = 16_000
"""Rate of every ``AudioBlock``; sources resample to it."""


class Absence(StrEnum):
    """Why a modality does not take part in an estimate."""

    OFF = "off"
    WAITING = "waiting"
    NO_FACE = "no face"
    FACE_TOO_SMALL = "face too small"
    FACE_BLURRED = "face blurred"
    FACE_TURNED = "face turned away"
    NO_SPEECH = "no speech"
    TOO_LITTLE_SPEECH = "too little speech"
    MUTED = "muted"
    NO_WORDS = "no words"
    EXPIRED = "text expired"
    UNAVAILABLE = "unavailable"
    LOST = "device lost"
    BUSY = "in use elsewhere"
    FROZEN = "picture frozen"
    COVERED = "camera covered"
    BEHIND = "behind"
    ENDED = "ended"


PRESENT = {"face": "present", "audio": "heard", "text": "heard"}
"""What displays say of a modality that takes part; of one that does not, its ``Absence``."""


# --- sources -> perception and encoders ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Contiguous mono sound.

    Attributes:
        first_sample: Index of ``samples[0]`` at 16 kHz since the stream's first sample; lost
            samples are counted, so a jump means loss.
        start_s: Session time of ``samples[0]``.
        samples: float32, shape (n,), in [-1, 1], read-only.
    """

    first_sample: int
    start_s: float
    samples: FloatArray

    @property
    def end_s(self) -> float:
        """Session time just after the last sample."""
        return self.start_s + len(self.samples) / SAMPLE_RATE_HZ

    @property
    def end_sample(self) -> int:
        """Index just after the last sample."""
        return self.first_sample + len(self.samples)


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One image: ``image`` is uint8 BGR, shape (height, width, 3), read-only."""

    index: int
    time_s: float
    image: ImageArray


@dataclass(frozen=True, slots=True)
class Gap:
    """A known span in which ``stream`` ("camera", "microphone", "text") has no data."""

    stream: str
    start_s: float
    end_s: float
    reason: str

    def to_record(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {
            "stream": self.stream,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "reason": self.reason,
        }


# --- perception -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechActivity:
    """What the voice activity detector decided for ``[start_s, end_s)``.

    ``level_dbfs`` is the RMS level of the span; -120 for digital silence.
    """

    start_s: float
    end_s: float
    speaking: bool
    probability: float
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """Speech to transcribe: from the onset (with pre-roll) to ``trigger_s``.

    ``is_final`` False asks for a partial hypothesis while the person still speaks. ``paused`` says
    that they have just stopped: should they not go on, the final has the very same samples.
    """

    segment_id: int
    revision: int
    start_s: float
    end_s: float
    trigger_s: float
    is_final: bool
    samples: FloatArray
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One transcribed word with its times on the session clock."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The transcript of one speech segment as it is known at ``available_s``.

    ``committed`` is the prefix of ``text`` on which two successive partials agree; a final
    hypothesis is committed whole. Empty ``text`` means that nothing was said or that a guard
    refused it (``refused`` names the guard).
    """

    segment_id: int
    revision: int
    text: str
    committed: str
    is_final: bool
    start_s: float
    end_s: float
    trigger_s: float
    available_s: float
    words: tuple[Word, ...] = ()
    refused: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {
            "segment_id": self.segment_id,
            "revision": self.revision,
            "text": self.text,
            "committed": self.committed,
            "is_final": self.is_final,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "available_s": self.available_s,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face in one frame.

    Attributes:
        track_id: Identity; the same person keeps it while they stay in the picture.
        box_px: (left, top, width, height) in pixels of the frame.
        score: Detector confidence in [0, 1].
        landmarks_px: float32 (5, 2): right eye, left eye, nose, right and left mouth corner as the
            *subject's* own sides; None where the detector has none.
        quality: None when it passes the quality gate, else the reason it was refused.
    """

    track_id: int
    box_px: tuple[float, float, float, float]
    score: float
    landmarks_px: FloatArray | None = None
    quality: Absence | None = None


@dataclass(frozen=True, slots=True)
class FaceReport:
    """What was seen in one encoded frame, and the target's embedding when it could be encoded."""

    frame_index: int
    time_s: float
    faces: tuple[TrackedFace, ...]
    target_id: int | None
    absence: Absence | None
    embedding: Embedding | None


# --- encoders -> fusion -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Embedding:
    """What an encoder made of ``[start_s, end_s)``.

    ``source_id`` tells apart what must not be pooled: the face track or the speech segment.
    ``available_s`` is when it may first be used; equal to ``end_s`` unless it came late.
    """

    modality: str
    start_s: float
    end_s: float
    vector: FloatArray
    encoder_id: str
    source_id: int = 0
    available_s: float = -1.0

    def to_record(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {
            "modality": self.modality,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "encoder_id": self.encoder_id,
            "source_id": self.source_id,
            "available_s": self.available_s,
            "vector": self.vector.tolist(),
        }


# --- decision -> sinks ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the session: target switched, muted, device lost or back."""

    time_s: float
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """When the work behind an estimate was done, and how old its evidence is (seconds).

    ``age_s`` is emission minus window end; None for a file run as fast as possible, where the
    session clock does not run. ``evidence_age_s`` is window end minus the newest evidence used.
    """

    age_s: float | None
    fuse_s: float
    evidence_age_s: dict[str, float | None]
    closed_by: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """One published estimate: how the person *reads* at ``time_s``, never what they feel.

    Attributes:
        index: Tick number; ``time_s`` is ``index * hop_s``.
        time_s: End of the windows that were used.
        label: One of ``LABELS``, or None when it abstains.
        confidence: Smoothed calibrated probability of the leading score, 0 without evidence.
        probabilities: float32 (7,), smoothed and calibrated; NaN where the head lacks a label or
            nothing was there to read.
        contributions: Modality -> float32 (7,): exact Shapley values through the same smoothing;
            they sum to ``probabilities - prior``.
        absent: Modality -> reason, for each modality that did not take part.
        transcript: Committed text of the current utterance.
        partial: Uncommitted rest of it.
        timing: How old it is. Not part of the canonical record.
    """

    index: int
    time_s: float
    label: str | None
    confidence: float
    probabilities: FloatArray
    contributions: dict[str, FloatArray]
    absent: dict[str, Absence]
    transcript: str
    partial: str
    timing: Timing = field(compare=False)

    def to_record(self) -> dict[str, Any]:
        """Canonical plain values (float32, without timings): equal bytes mean equal estimates."""
        record: dict[str, Any] = {
            "index": self.index,
            "time_s": round(self.time_s, 6),
            "label": self.label,
            "confidence": float(np.float32(self.confidence)),
        }
        for name, probability in zip(LABELS, self.probabilities, strict=True):
            record[name] = None if np.isnan(probability) else float(probability)
        for modality in MODALITIES:
            vector = self.contributions.get(modality)
            record[f"contribution_{modality}"] = (
                None
                if vector is None
                else [None if np.isnan(value) else float(value) for value in vector]
            )
            record[f"state_{modality}"] = str(self.absent.get(modality, "present"))
        record["transcript"] = self.transcript
        record["partial"] = self.partial
        return record


# --- session -> display -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """How the session is doing.

    ``score_age_s`` and its 95th percentile are over the last 30 s, None for a file run as fast as
    possible. ``dropped_frames`` and ``dropped_samples`` count what any edge dropped; frames that
    are skipped by the declared face rate do not count.
    """

    score_age_s: float | None = None
    score_age_p95_s: float | None = None
    estimates_hz: float = 0.0
    video_fps: float = 0.0
    encoded_faces_hz: float = 0.0
    level_dbfs: float = -120.0
    speaking: bool = False
    dropped_frames: int = 0
    dropped_samples: int = 0


def _no_waveform() -> npt.NDArray[np.float64]:
    return np.zeros((0, 3), np.float64)


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """A recording that is running.

    ``left_s`` is how long the free disk space lasts at the present rate, None before it is known.
    ``failure`` says in one line why it ended before its time.
    """

    folder: str
    started_s: float
    n_bytes: int = 0
    left_s: float | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ShownMark:
    """An annotation on the traces; ``end_s`` is None while an interval is open.

    ``end_s`` equals ``start_s`` for points and notes. Session seconds.
    """

    tier: str
    label: str
    kind: Literal["point", "interval", "note"]
    start_s: float
    end_s: float | None
    colour: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a display shows, read at once; a display pulls it and nothing waits for it.

    Attributes:
        now_s: Session time of the snapshot.
        estimate: The newest estimate, None before the first.
        history: Estimates of the last 30 s, oldest first.
        states: Modality -> why it is absent, or None while it takes part.
        finals: The last final hypotheses with text, oldest first.
        current: The hypothesis of the utterance being spoken, if any.
        faces: The newest face report.
        frame: The newest picture; a little newer than ``faces``.
        notices: One-line notices ("text is unavailable: ..."), each said once.
        events: The last events, oldest first.
        waveform: Sound of the last 30 s, float64 (n, 3): time_s, lowest and highest sample of a
            block, oldest first; holes are holes in the times.
        speech: Spans (start_s, end_s) of the last 30 s in which somebody spoke, oldest first.
        muted: Whether the microphone is muted here (not in the system's mixer).
        recording: The recording that is running, or the one that has just failed.
    """

    now_s: float
    estimate: Estimate | None
    history: tuple[Estimate, ...]
    states: dict[str, Absence | None]
    finals: tuple[Hypothesis, ...]
    current: Hypothesis | None
    faces: FaceReport | None
    frame: VideoFrame | None
    health: Health
    notices: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    waveform: npt.NDArray[np.float64] = field(default_factory=_no_waveform)
    speech: tuple[tuple[float, float], ...] = ()
    muted: bool = False
    recording: RecordingStatus | None = None
