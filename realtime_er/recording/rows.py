"""Messages to rows of ``session.sqlite`` and back, exactly.

A float64 is stored as it is; a float32 as the float64 that equals it; NaN as NULL; a vector as
little-endian float32. Going there and back gives equal messages, bit for bit.

Every ``row_to_*`` function takes rows of ``sqlite3.Row`` (columns by name).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    Embedding,
    Estimate,
    Event,
    FaceReport,
    FloatArray,
    Gap,
    Health,
    Hypothesis,
    SpeechActivity,
    Timing,
    TrackedFace,
    Word,
)
from realtime_er.windows import Transcribed, Watermark


class Row(Protocol):
    """What ``sqlite3.Row`` offers: columns by name."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - as SQLite stores it
        """The value of a column."""
        ...


Insert = tuple[str, tuple[Any, ...]]
"""A table and the values of one row of it, in the order of its columns."""

SCORE_COLUMNS = tuple(label.lower() for label in LABELS)
PRESENT = "present"


# --- to rows ----------------------------------------------------------------------------------


def _text(value: str) -> str:
    # Half a surrogate pair cannot be stored as UTF-8; a transcript must not end a recording.
    return value.encode("utf-8", "replace").decode("utf-8")


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _scores(vector: FloatArray) -> tuple[float | None, ...]:
    return tuple(_number(float(value)) for value in vector)


def _blob(vector: FloatArray) -> bytes:
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def embedding_row(seq: int, embedding: Embedding) -> Insert:
    """Row of ``embeddings``."""
    return "embeddings", (
        seq,
        embedding.modality,
        float(embedding.start_s),
        float(embedding.end_s),
        float(embedding.available_s),
        _text(embedding.encoder_id),
        int(embedding.source_id),
        _blob(embedding.vector),
    )


def report_rows(seq: int, report: FaceReport) -> list[Insert]:
    """Rows of ``face_reports``, ``faces`` and, when it has one, ``embeddings``."""
    target = None if report.target_id is None else int(report.target_id)
    absence = None if report.absence is None else str(report.absence)
    head = (seq, int(report.frame_index), float(report.time_s), target, absence)
    rows: list[Insert] = [("face_reports", head)]
    for face in report.faces:
        box = tuple(float(value) for value in face.box_px)
        quality = None if face.quality is None else str(face.quality)
        landmarks = None if face.landmarks_px is None else _blob(face.landmarks_px)
        row = (seq, int(face.track_id), *box, float(face.score), quality, landmarks)
        rows.append(("faces", row))
    if report.embedding is not None:
        rows.append(embedding_row(seq, report.embedding))
    return rows


def speech_row(seq: int, activity: SpeechActivity) -> Insert:
    """Row of ``speech``."""
    return "speech", (
        seq,
        float(activity.start_s),
        float(activity.end_s),
        int(activity.speaking),
        float(activity.probability),
        float(activity.level_dbfs),
    )


def transcribed_rows(seq: int, transcribed: Transcribed) -> list[Insert]:
    """Rows of ``hypotheses``, ``words`` and, when it has one, ``embeddings``."""
    hypothesis = transcribed.hypothesis
    head = (
        seq,
        int(hypothesis.segment_id),
        int(hypothesis.revision),
        _text(hypothesis.text),
        _text(hypothesis.committed),
        int(hypothesis.is_final),
        float(hypothesis.start_s),
        float(hypothesis.end_s),
        float(hypothesis.trigger_s),
        float(hypothesis.available_s),
        _text(hypothesis.refused),
    )
    rows: list[Insert] = [("hypotheses", head)]
    for position, word in enumerate(hypothesis.words):
        times = (float(word.start_s), float(word.end_s), float(word.probability))
        rows.append(("words", (seq, position, _text(word.text), *times)))
    if transcribed.embedding is not None:
        rows.append(embedding_row(seq, transcribed.embedding))
    return rows


def watermark_row(seq: int, watermark: Watermark) -> Insert:
    """Row of ``watermarks``; NULL for the end of a track."""
    time_s = None if math.isinf(watermark.time_s) else float(watermark.time_s)
    return "watermarks", (seq, watermark.track, time_s)


def event_row(seq: int, event: Event) -> Insert:
    """Row of ``events``."""
    return "events", (seq, float(event.time_s), _text(event.kind), _text(event.detail))


def gap_row(seq: int, gap: Gap) -> Insert:
    """Row of ``gaps``."""
    return "gaps", (seq, gap.stream, float(gap.start_s), float(gap.end_s), _text(gap.reason))


def estimate_rows(seq: int, estimate: Estimate) -> list[Insert]:
    """Rows of ``estimates``, ``contributions`` and ``windows``."""
    states = [str(estimate.absent.get(modality, PRESENT)) for modality in MODALITIES]
    head = (
        seq,
        int(estimate.index),
        float(estimate.time_s),
        estimate.label,
        float(estimate.confidence),
        *_scores(estimate.probabilities),
        *states,
        _text(estimate.transcript),
        _text(estimate.partial),
    )
    rows: list[Insert] = [("estimates", head)]
    for modality, vector in estimate.contributions.items():
        rows.append(("contributions", (seq, modality, *_scores(vector))))
    timing = estimate.timing
    ages = [_number(timing.evidence_age_s.get(modality)) for modality in MODALITIES]
    window = (seq, timing.closed_by, _number(timing.age_s), float(timing.fuse_s), *ages)
    rows.append(("windows", window))
    return rows


def health_row(time_s: float, health: Health) -> Insert:
    """Row of ``health``."""
    return "health", (
        float(time_s),
        _number(health.score_age_s),
        _number(health.score_age_p95_s),
        float(health.estimates_hz),
        float(health.video_fps),
        float(health.encoded_faces_hz),
        float(health.level_dbfs),
        int(health.speaking),
        int(health.dropped_frames),
        int(health.dropped_samples),
    )


# --- from rows --------------------------------------------------------------------------------


def _vector(blob: bytes) -> FloatArray:
    vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
    vector.setflags(write=False)
    return vector


def _score_vector(row: Row) -> FloatArray:
    values = [row[name] for name in SCORE_COLUMNS]
    with np.errstate(over="ignore"):  # a damaged score may not fit; then it is infinite
        vector = np.asarray([math.nan if v is None else v for v in values], dtype=np.float32)
    vector.setflags(write=False)
    return vector


def row_to_embedding(row: Row) -> Embedding:
    """From a row of ``embeddings``."""
    return Embedding(
        modality=row["modality"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        vector=_vector(row["vector"]),
        encoder_id=row["encoder_id"],
        source_id=row["source_id"],
        available_s=row["available_s"],
    )


def row_to_face(row: Row) -> TrackedFace:
    """From a row of ``faces``."""
    landmarks = row["landmarks_px"]
    return TrackedFace(
        track_id=row["track_id"],
        box_px=(row["left_px"], row["top_px"], row["width_px"], row["height_px"]),
        score=row["score"],
        landmarks_px=None if landmarks is None else _vector(landmarks).reshape(-1, 2),
        quality=None if row["quality"] is None else Absence(row["quality"]),
    )


def row_to_report(row: Row, faces: Sequence[Row] = (), embedding: Row | None = None) -> FaceReport:
    """From a row of ``face_reports``, those of ``faces`` in insertion order, and an embedding."""
    return FaceReport(
        frame_index=row["frame_index"],
        time_s=row["time_s"],
        faces=tuple(row_to_face(face) for face in faces),
        target_id=row["target_id"],
        absence=None if row["absence"] is None else Absence(row["absence"]),
        embedding=None if embedding is None else row_to_embedding(embedding),
    )


def row_to_speech(row: Row) -> SpeechActivity:
    """From a row of ``speech``."""
    return SpeechActivity(
        start_s=row["start_s"],
        end_s=row["end_s"],
        speaking=bool(row["speaking"]),
        probability=row["probability"],
        level_dbfs=row["level_dbfs"],
    )


def row_to_hypothesis(row: Row, words: Sequence[Row] = ()) -> Hypothesis:
    """From a row of ``hypotheses`` and those of ``words`` in order of position."""
    return Hypothesis(
        segment_id=row["segment_id"],
        revision=row["revision"],
        text=row["text"],
        committed=row["committed"],
        words=tuple(
            Word(word["text"], word["start_s"], word["end_s"], word["probability"])
            for word in words
        ),
        is_final=bool(row["is_final"]),
        start_s=row["start_s"],
        end_s=row["end_s"],
        trigger_s=row["trigger_s"],
        available_s=row["available_s"],
        refused=row["refused"],
    )


def row_to_transcribed(
    row: Row, words: Sequence[Row] = (), embedding: Row | None = None
) -> Transcribed:
    """A hypothesis with its embedding (the row of ``embeddings`` with the same seq)."""
    vector = None if embedding is None else row_to_embedding(embedding)
    return Transcribed(row_to_hypothesis(row, words), vector)


def row_to_watermark(row: Row) -> Watermark:
    """From a row of ``watermarks``; infinity for the end of a track."""
    return Watermark(row["track"], math.inf if row["time_s"] is None else row["time_s"])


def row_to_event(row: Row) -> Event:
    """From a row of ``events``."""
    return Event(row["time_s"], row["kind"], row["detail"])


def row_to_gap(row: Row) -> Gap:
    """From a row of ``gaps``."""
    return Gap(row["stream"], row["start_s"], row["end_s"], row["reason"])


def row_to_estimate(
    row: Row, contributions: Sequence[Row] = (), window: Row | None = None
) -> Estimate:
    """From a row of ``estimates``, those of ``contributions`` in insertion order, and of ``windows``.

    Without the latter the timing says that nothing is known.
    """
    states = {modality: row[f"state_{modality}"] for modality in MODALITIES}
    if window is None:
        timing = Timing(None, 0.0, dict.fromkeys(MODALITIES), "")
    else:
        ages = {modality: window[f"{modality}_age_s"] for modality in MODALITIES}
        timing = Timing(window["age_s"], window["fuse_s"], ages, window["closed_by"])
    return Estimate(
        index=row["tick"],
        time_s=row["time_s"],
        label=row["label"],
        confidence=row["confidence"],
        probabilities=_score_vector(row),
        contributions={item["modality"]: _score_vector(item) for item in contributions},
        absent={m: Absence(state) for m, state in states.items() if state != PRESENT},
        transcript=row["transcript"],
        partial=row["partial"],
        timing=timing,
    )


def row_to_health(row: Row) -> tuple[float, Health]:
    """Session time and health figures from a row of ``health``."""
    return row["time_s"], Health(
        score_age_s=row["score_age_s"],
        score_age_p95_s=row["score_age_p95_s"],
        estimates_hz=row["estimates_hz"],
        video_fps=row["video_fps"],
        encoded_faces_hz=row["encoded_faces_hz"],
        level_dbfs=row["level_dbfs"],
        speaking=bool(row["speaking"]),
        dropped_frames=row["dropped_frames"],
        dropped_samples=row["dropped_samples"],
    )
