"""What a recorded session says, as tables: the columns, their types and what they mean.

The same definition makes the pandas frames, the CSV and the Parquet files. ``time_s``, ``start_s``
and ``end_s`` count from the recording's start, which is zero in ``media.mkv``; ``session_*`` are the
very numbers that the pipeline used, on the session clock. A missing value is NULL, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime_er.messages import LABELS, MODALITIES

CellType = Literal["float64", "float32", "int64", "bool", "string", "blob"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column and the SQL expression that fills it; ``:start_s`` is the recording's start."""

    name: str
    type: CellType
    meaning: str
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns, and where its rows come from ("" for annotations)."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    source: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def select(self) -> str:
        """The statement that yields its rows."""
        return f"SELECT {', '.join(column.sql for column in self.columns)} {self.source}"


def _since(name: str, of: str, meaning: str) -> Column:
    """A time from the recording's start; rounded to a microsecond, as ``analyze`` writes it."""
    return Column(name, "float64", meaning, f"round({of} - :start_s, 6)")


def _plain(name: str, kind: CellType, meaning: str, sql: str = "") -> Column:
    return Column(name, kind, meaning, sql or name)


ESTIMATES = Table(
    "estimates",
    "One row per estimate: how the person reads at that moment.",
    (
        _since("time_s", "e.time_s", "end of the windows, seconds from the recording's start"),
        *(
            _plain(label, "float32", f"score of {label}, 0 to 1", f"e.{label.lower()}")
            for label in LABELS
        ),
        _plain("label", "string", "what the person reads as; NULL where it abstains", "e.label"),
        _plain(
            "confidence",
            "float32",
            "calibrated probability of the leading score; 0 without evidence",
            "e.confidence",
        ),
        *(
            _plain(
                f"contribution_{modality}_{label}",
                "float32",
                f"Shapley value of {modality} for {label}; they sum to score minus prior",
                f"c_{modality}.{label.lower()}",
            )
            for modality in MODALITIES
            for label in LABELS
        ),
        *(
            _plain(
                f"state_{modality}",
                "string",
                '"present" or why the modality takes no part',
                f"e.state_{modality}",
            )
            for modality in MODALITIES
        ),
        _plain("utterance", "string", "committed words of the utterance", "e.transcript"),
        _plain("partial", "string", "its uncommitted rest", "e.partial"),
        _plain("session_s", "float64", "time_s on the session clock, exactly", "e.time_s"),
        _plain("tick", "int64", "number of the tick", "e.tick"),
        _plain("age_s", "float64", "how old the score was when it was shown", "w.age_s"),
        *(
            _plain(
                f"{modality}_age_s",
                "float64",
                f"age of the newest {modality} evidence in it",
                f"w.{modality}_age_s",
            )
            for modality in MODALITIES
        ),
        _plain("closed_by", "string", "what closed the tick: watermark, deadline, end",
               "w.closed_by"),
    ),
    "FROM estimates e LEFT JOIN windows w ON w.seq = e.seq "
    + " ".join(
        f"LEFT JOIN contributions c_{modality} "
        f"ON c_{modality}.seq = e.seq AND c_{modality}.modality = '{modality}'"
        for modality in MODALITIES
    )
    + " ORDER BY e.seq",
)  # fmt: skip

_SPAN = (
    _since("start_s", "h.start_s", "beginning, seconds from the recording's start"),
    _since("end_s", "h.end_s", "end"),
)
_HYPOTHESIS = (
    *_SPAN,
    _plain("text", "string", "what was understood", "h.text"),
    _plain("segment_id", "int64", "number of the speech segment", "h.segment_id"),
    _since("available_s", "h.available_s", "when it could first be used"),
    _plain("session_start_s", "float64", "start_s on the session clock, exactly", "h.start_s"),
    _plain("session_end_s", "float64", "end_s on the session clock, exactly", "h.end_s"),
)
TRANSCRIPT = Table(
    "transcript",
    "Final transcripts with text, one row per utterance.",
    _HYPOTHESIS,
    "FROM hypotheses h WHERE h.is_final AND h.text != '' ORDER BY h.start_s, h.seq",
)
HYPOTHESES = Table(
    "hypotheses",
    "All transcripts, partial and final, in the order in which they came.",
    (
        *_HYPOTHESIS,
        _plain("revision", "int64", "counts the transcripts of one segment", "h.revision"),
        _plain("is_final", "bool", "whether it was the last of its segment", "h.is_final"),
        _plain("committed", "string", "the part that will not change", "h.committed"),
        _plain("refused", "string", "which guard refused it, empty for none", "h.refused"),
    ),
    "FROM hypotheses h ORDER BY h.seq",
)
WORDS = Table(
    "words",
    "Words of the final transcripts.",
    (
        _since("start_s", "w.start_s", "beginning, seconds from the recording's start"),
        _since("end_s", "w.end_s", "end"),
        _plain("text", "string", "the word", "w.text"),
        _plain("probability", "float64", "the recogniser's own, 0 to 1", "w.probability"),
        _plain("segment_id", "int64", "number of the speech segment", "h.segment_id"),
        _plain("session_start_s", "float64", "start_s on the session clock, exactly", "w.start_s"),
        _plain("session_end_s", "float64", "end_s on the session clock, exactly", "w.end_s"),
    ),
    "FROM words w JOIN hypotheses h ON h.seq = w.seq WHERE h.is_final "
    "ORDER BY w.start_s, w.seq, w.position",
)
EVENTS = Table(
    "events",
    "Device lost or back, target selected, muted, and the like.",
    (
        _since("time_s", "time_s", "seconds from the recording's start"),
        _plain("kind", "string", "what happened"),
        _plain("detail", "string", "to what"),
        _plain("session_s", "float64", "time_s on the session clock, exactly", "time_s"),
    ),
    "FROM events ORDER BY seq",
)
GAPS = Table(
    "gaps",
    "Known spans without data.",
    (
        _plain("stream", "string", "camera, microphone or text"),
        _since("start_s", "start_s", "beginning, seconds from the recording's start"),
        _since("end_s", "end_s", "end"),
        _plain("reason", "string", "why"),
        _plain("session_start_s", "float64", "start_s on the session clock, exactly", "start_s"),
        _plain("session_end_s", "float64", "end_s on the session clock, exactly", "end_s"),
    ),
    "FROM gaps ORDER BY start_s, seq",
)
HEALTH = Table(
    "health",
    "How the program was doing, once a second.",
    (
        _since("time_s", "time_s", "seconds from the recording's start"),
        _plain("score_age_s", "float64", "age of the newest score"),
        _plain("score_age_p95_s", "float64", "95th percentile over the last 30 s"),
        _plain("estimates_hz", "float64", "estimates a second"),
        _plain("video_fps", "float64", "pictures a second"),
        _plain("encoded_faces_hz", "float64", "faces read a second"),
        _plain("level_dbfs", "float64", "level of the sound, -120 for digital silence"),
        _plain("speaking", "bool", "whether somebody spoke"),
        _plain("dropped_frames", "int64", "pictures dropped since the session began"),
        _plain("dropped_samples", "int64", "samples of sound dropped since then"),
        _plain("session_s", "float64", "time_s on the session clock, exactly", "time_s"),
    ),
    "FROM health ORDER BY health.time_s",
)
FACES = Table(
    "faces",
    "Every face in every picture that was looked at.",
    (
        _since("time_s", "r.time_s", "seconds from the recording's start"),
        _plain("frame_index", "int64", "number of the picture", "r.frame_index"),
        _plain("track_id", "int64", "the same person keeps it while in the picture", "f.track_id"),
        _plain("is_target", "bool", "whether it is the face that is read",
               "coalesce(f.track_id = r.target_id, 0)"),
        _plain("left_px", "float64", "box, pixels of the picture", "f.left_px"),
        _plain("top_px", "float64", "box", "f.top_px"),
        _plain("width_px", "float64", "box", "f.width_px"),
        _plain("height_px", "float64", "box", "f.height_px"),
        _plain("score", "float64", "the detector's confidence, 0 to 1", "f.score"),
        _plain("refused", "string", "why its quality was too low; NULL when good", "f.quality"),
        _plain("session_s", "float64", "time_s on the session clock, exactly", "r.time_s"),
    ),
    "FROM faces f JOIN face_reports r ON r.seq = f.seq ORDER BY f.seq, f.track_id",
)  # fmt: skip
FRAMES = Table(
    "frames",
    "Every picture in media.mkv.",
    (
        _since("time_s", "time_s", "when it was captured, seconds from the recording's start"),
        _plain("frame_index", "int64", "its number; a jump means pictures that never came"),
        _plain("pts_ms", "int64", "its time stamp in media.mkv, milliseconds"),
        _plain("session_s", "float64", "time_s on the session clock, exactly", "time_s"),
    ),
    "FROM frames ORDER BY frame_index",
)
SPEECH = Table(
    "speech",
    "Decisions of the voice activity detector.",
    (
        _since("start_s", "start_s", "beginning, seconds from the recording's start"),
        _since("end_s", "end_s", "end"),
        _plain("speaking", "bool", "whether somebody spoke"),
        _plain("probability", "float64", "of speech, 0 to 1"),
        _plain("level_dbfs", "float64", "level of the sound, -120 for digital silence"),
        _plain("session_start_s", "float64", "start_s on the session clock, exactly", "start_s"),
        _plain("session_end_s", "float64", "end_s on the session clock, exactly", "end_s"),
    ),
    "FROM speech ORDER BY seq",
)
EMBEDDINGS = Table(
    "embeddings",
    "What the encoders made of the evidence.",
    (
        _since("start_s", "start_s", "beginning, seconds from the recording's start"),
        _since("end_s", "end_s", "end"),
        _plain("modality", "string", "face, audio or text"),
        _plain("source_id", "int64", "face track or speech segment"),
        _plain("encoder_id", "string", "which encoder"),
        _plain("vector", "blob", "float32, as many as the encoder has dimensions"),
        _since("available_s", "available_s", "when it could first be used"),
        _plain("session_start_s", "float64", "start_s on the session clock, exactly", "start_s"),
        _plain("session_end_s", "float64", "end_s on the session clock, exactly", "end_s"),
    ),
    "FROM embeddings ORDER BY seq",
)
ANNOTATIONS = Table(
    "annotations",
    "Marks that stand, of all raters.",
    (
        _plain("rater", "string", "who marked it"),
        _plain("tier", "string", "which tier it belongs to"),
        _plain("label", "string", "what was marked"),
        _plain("kind", "string", "point, interval or note"),
        _plain("start_s", "float64", "seconds from the recording's start, reaction subtracted"),
        _plain("end_s", "float64", "equal to start_s for points and notes; NULL if left open"),
        _plain("shown_start_s", "float64", "time of the picture shown at key down, uncorrected"),
        _plain("shown_end_s", "float64", "time of the picture shown at the end"),
        _plain("frame_index", "int64", "that picture; NULL without one"),
        _plain("reaction_s", "float64", "what was subtracted"),
        _plain("text", "string", "of a note"),
        _plain("made_at", "string", "wall clock, UTC"),
        _plain("session_start_s", "float64", "start_s on the session clock, exactly"),
        _plain("session_end_s", "float64", "end_s on the session clock, exactly"),
    ),
)

TABLES = {
    table.name: table
    for table in (
        ESTIMATES,
        TRANSCRIPT,
        WORDS,
        ANNOTATIONS,
        EVENTS,
        GAPS,
        HEALTH,
        FACES,
        FRAMES,
        SPEECH,
        HYPOTHESES,
        EMBEDDINGS,
    )
}
"""All tables by name."""
