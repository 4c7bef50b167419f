"""Where a recording begins: all that the next estimate depends on, as it is at that moment."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime_er.decision import DecisionState
from realtime_er.device_states import DeviceChange
from realtime_er.messages import (
    Absence,
    Embedding,
    FaceReport,
    FloatArray,
    Hypothesis,
    SpeechActivity,
    TrackedFace,
    Word,
)
from realtime_er.windows import BuilderState, Transcribed


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of the window builder and of the decision maker between two ticks."""

    builder: BuilderState
    decision: DecisionState

    def to_json(self) -> str:
        """As text; ``from_json`` gives an equal checkpoint, to the last bit."""
        return json.dumps(dataclasses.asdict(self), default=_plain)

    @classmethod
    def from_json(cls, text: str) -> Checkpoint:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: it is not that.
        """
        try:
            record = json.loads(text)
            return cls(_builder(record["builder"]), _decision(record["decision"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a checkpoint: {error!r}") from error


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a checkpoint")


def _vector(values: list[Any] | None) -> FloatArray | None:
    if values is None:
        return None
    array = np.array(values, np.float32)
    array.setflags(write=False)
    return array


def _absence(value: str | None) -> Absence | None:
    return None if value is None else Absence(value)


def _embedding(record: dict[str, Any] | None) -> Embedding | None:
    return None if record is None else _some_embedding(record)


def _some_embedding(record: dict[str, Any]) -> Embedding:
    return Embedding(**{**record, "vector": _vector(record["vector"])})


def _report(record: dict[str, Any]) -> FaceReport:
    faces = tuple(
        TrackedFace(
            **{
                **face,
                "box_px": tuple(face["box_px"]),
                "landmarks_px": _vector(face["landmarks_px"]),
                "quality": _absence(face["quality"]),
            }
        )
        for face in record["faces"]
    )
    embedding = _embedding(record["embedding"])
    absence = _absence(record["absence"])
    return FaceReport(**{**record, "faces": faces, "embedding": embedding, "absence": absence})


def _transcribed(record: dict[str, Any]) -> Transcribed:
    words = tuple(Word(**word) for word in record["hypothesis"]["words"])
    hypothesis = Hypothesis(**{**record["hypothesis"], "words": words})
    return Transcribed(hypothesis, _embedding(record["embedding"]))


def _builder(record: dict[str, Any]) -> BuilderState:
    return BuilderState(
        enabled=frozenset(record["enabled"]),
        reasons={name: Absence(reason) for name, reason in record["reasons"].items()},
        live=record["live"],
        next_index=record["next_index"],
        watermarks=dict(record["watermarks"]),
        changes=tuple(_change(change) for change in record["changes"]),
        counted_s=record["counted_s"],
        reports=tuple(_report(report) for report in record["reports"]),
        faces=tuple(_some_embedding(embedding) for embedding in record["faces"]),
        voice=tuple(_some_embedding(embedding) for embedding in record["voice"]),
        speech=tuple(SpeechActivity(**activity) for activity in record["speech"]),
        texts=tuple(_transcribed(transcribed) for transcribed in record["texts"]),
    )


def _change(record: dict[str, Any]) -> DeviceChange:
    return DeviceChange(**{**record, "reason": _absence(record["reason"])})


def _decision(record: dict[str, Any]) -> DecisionState:
    contributions = {}
    for modality, values in record["contributions"].items():
        contributions[modality] = np.array(values, np.float32)
    return DecisionState(_vector(record["scores"]), contributions, record["label"])
