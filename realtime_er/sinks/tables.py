"""Estimates as tables: CSV for people, Parquet for programs, the same columns in both.

    time_s                                   end of the windows, seconds of the recording
    Neutral ... Angry                        scores; empty (CSV) or null (Parquet) where there is none
    label, confidence                        label is empty / null when the estimate abstains
    contribution_{face,audio,text}_{LABEL}   Shapley values; they sum to score minus prior
    state_{face,audio,text}                  "present" or why it is absent
    utterance                                committed words of the utterance being spoken
    transcript                               final words of all utterances known by then

Equal estimates give equal bytes: no timings and no dates are written.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realtime_er.messages import LABELS, MODALITIES, Estimate, Hypothesis

SCORE_COLUMNS = LABELS
CONTRIBUTION_COLUMNS = tuple(
    f"contribution_{modality}_{label}" for modality in MODALITIES for label in LABELS
)
COLUMNS = (
    "time_s",
    *SCORE_COLUMNS,
    "label",
    "confidence",
    *CONTRIBUTION_COLUMNS,
    *(f"state_{modality}" for modality in MODALITIES),
    "utterance",
    "transcript",
)
_TEXTS = {"label", "utterance", "transcript", *(f"state_{modality}" for modality in MODALITIES)}


def transcript_at(finals: Sequence[Hypothesis], time_s: float) -> str:
    """Final words that were known at ``time_s``, utterances joined by a space."""
    known = [final.text.strip() for final in finals if final.available_s <= time_s + 1e-9]
    return " ".join(text for text in known if text)


def row_of(estimate: Estimate, transcript: str) -> dict[str, Any]:
    """One row; missing values are None."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    row: dict[str, Any] = {"time_s": round(estimate.time_s, 6)}
    for label, value in zip(LABELS, estimate.probabilities, strict=True):
        row[label] = number(value)
    row["label"] = estimate.label
    row["confidence"] = number(estimate.confidence)
    for modality in MODALITIES:
        vector = estimate.contributions.get(modality)
        for index, label in enumerate(LABELS):
            value = None if vector is None else number(vector[index])
            row[f"contribution_{modality}_{label}"] = value
        row[f"state_{modality}"] = str(estimate.absent.get(modality, "present"))
    row["utterance"] = estimate.transcript
    row["transcript"] = transcript
    return {name: row[name] for name in COLUMNS}


def rows_of(estimates: Sequence[Estimate], finals: Sequence[Hypothesis]) -> list[dict[str, Any]]:
    """All rows, in the order of the estimates."""
    return [row_of(estimate, transcript_at(finals, estimate.time_s)) for estimate in estimates]


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """UTF-8, comma, header row, LF line ends, six decimals, empty for missing."""

    def cell(value: object) -> object:
        if value is None:
            return ""
        return f"{value:.6f}" if isinstance(value, float) else value

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([cell(row[name]) for name in COLUMNS])


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """``time_s`` as double, scores and contributions as float, the rest as strings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def kind(name: str) -> Any:  # noqa: ANN401 - pyarrow is untyped
        if name in _TEXTS:
            return pa.string()
        return pa.float64() if name == "time_s" else pa.float32()

    schema = pa.schema([(name, kind(name)) for name in COLUMNS])
    table = pa.table({name: [row[name] for row in rows] for name in COLUMNS}, schema=schema)
    # Fixed options: the defaults have changed between versions of pyarrow.
    pq.write_table(table, path, compression="snappy", version="2.6", data_page_version="1.0")
