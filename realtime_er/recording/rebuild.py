"""Windows and estimates again, from the evidence that was recorded: the very same ones.

The rows of ``session.sqlite`` are handed to a ``WindowBuilder`` in the order in which the fusion
thread had them, and a tick is closed wherever it closed one. Clocks and threads play no part, so what
was recorded under load, with drops and late words, comes out as it was. With other settings (horizons,
smoothing, margins) the same evidence gives other estimates at the same ticks.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from realtime_er.checkpoint import Checkpoint
from realtime_er.config import Config, load_config
from realtime_er.decision import DecisionMaker
from realtime_er.errors import ConfigError, RecordingError
from realtime_er.fusion.head import FusionHead
from realtime_er.messages import Estimate, Timing
from realtime_er.recording.manifest import Manifest
from realtime_er.recording.store import Checkpoint as HasState
from realtime_er.recording.store import messages_in_order, read_estimates
from realtime_er.stages import add_evidence, make_estimate
from realtime_er.windows import WindowBuilder

_SAME_TICK_S = 1e-6

Pair = tuple[Estimate, Estimate]
"""An estimate as it was recorded, and the same tick computed again."""


def recorded_config(manifest: Manifest, changes: Mapping[str, Any] | None = None) -> Config:
    """The configuration that a session was recorded with.

    Args:
        manifest: The session's.
        changes: Dotted names to values, such as ``{"decision.smoothing_s": 1.0}``; they win.

    Raises:
        RecordingError: the manifest's is not one that this program knows.
        ConfigError: a change is not possible.
    """
    recorded: dict[str, Any] = {}
    for table, keys in manifest.config.items():
        if not isinstance(keys, Mapping):
            raise RecordingError(f"the manifest's configuration has no table {table!r}")
        recorded |= {f"{table}.{key}": value for key, value in keys.items()}
    try:
        config = load_config("live", recorded)
    except ConfigError as error:
        version = manifest.software.get("realtime_er", "of an unknown version")
        raise RecordingError(
            f"the session was recorded by realtime_er {version} with settings that this version does "
            f"not have (--config gives others): {error}"
        ) from error
    return load_config("live", {**recorded, **changes}) if changes else config


def encoders_used(connection: sqlite3.Connection) -> dict[str, str]:
    """Modality -> id of the encoder whose embeddings were recorded.

    Raises:
        RecordingError: there are two of a kind, or the database is damaged.
    """
    query = "SELECT DISTINCT modality, encoder_id FROM embeddings ORDER BY modality, encoder_id"
    try:
        found = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise RecordingError(f"the recorded evidence cannot be read: {error}") from error
    used: dict[str, str] = {}
    for modality, encoder_id in found:
        if modality in used:
            raise RecordingError(
                f"the recorded {modality} embeddings come from {used[modality]} and {encoder_id}"
            )
        used[modality] = encoder_id
    return used


def rebuild(connection: sqlite3.Connection, config: Config, head: FusionHead) -> Iterator[Pair]:
    """Recorded and recomputed estimates, tick by tick. Reads as it goes; the connection's thread.

    Args:
        connection: A session's database.
        config: The recorded one for the same estimates; other horizons, smoothing and margins for
            others. A horizon longer than the recorded one is not full before it has passed.
        head: Trained on the encoders that were recorded.

    Raises:
        RecordingError: the evidence is incomplete or damaged.
        ConfigError: ``tick.hop_s`` differs; the ticks of recorded evidence are fixed.
    """
    builder: WindowBuilder | None = None
    decider = DecisionMaker(config.decision, head, config.tick.hop_s)
    try:
        for _seq, message in messages_in_order(connection):
            if isinstance(message, HasState):
                checkpoint = _checkpoint(message)
                builder = WindowBuilder.from_state(config, checkpoint.builder)
                decider.restore(checkpoint.decision)
            elif builder is None:
                if isinstance(message, Estimate):
                    raise RecordingError(
                        "the database lacks the state in which the recording began, so its "
                        "estimates cannot be computed again"
                    )
            elif isinstance(message, Estimate):
                yield message, _close(message, builder, decider)
            else:
                add_evidence(message, builder)
    except sqlite3.Error as error:
        raise RecordingError(f"the recorded evidence cannot be read: {error}") from error
    except (ValueError, TypeError) as error:  # TypeError: a text where a number belongs
        raise RecordingError(f"the recorded evidence is not whole: {error}") from error


def _checkpoint(stored: HasState) -> Checkpoint:
    try:
        return Checkpoint.from_json(stored.to_json())
    except ValueError as error:
        raise RecordingError(
            "the state in which the recording began cannot be read, perhaps because another version "
            "of this program wrote it (manifest.json names the version): estimates cannot be "
            f"computed again from the evidence, but --recompute does it from the media ({error})"
        ) from error


def _close(recorded: Estimate, builder: WindowBuilder, decider: DecisionMaker) -> Estimate:
    if recorded.index != builder.next_index:
        raise RecordingError(
            f"estimate {builder.next_index} is missing before {recorded.index}: from there on "
            "nothing can be computed again"
        )
    if abs(recorded.time_s - builder.next_time_s) > _SAME_TICK_S:
        raise ConfigError(
            "tick.hop_s differs from the recorded one; recorded evidence keeps its ticks "
            "(replay --recompute runs the recorded media with other ticks)"
        )
    window = builder.build()
    timing = Timing(
        age_s=None,
        fuse_s=0.0,
        evidence_age_s=window.evidence_age_s,
        closed_by=recorded.timing.closed_by,
    )
    return make_estimate(window, decider.decide(window), timing)


# --- comparing --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two runs over the same ticks agree.

    Attributes:
        n_equal: Ticks whose canonical records are equal, byte for byte.
        n_different: The others.
        n_alone: Ticks that only one of the two has.
        first: The first different tick's number, its time and the fields that differ; None without.
        max_difference: Largest difference of any score that both have, 0 to 1.
        median_difference: Median over those ticks of each tick's largest difference of a score.
        n_labels: Ticks with another label.
        n_states: Ticks in which a modality takes part in only one of the two, or is absent for
            another reason.
    """

    n_equal: int = 0
    n_different: int = 0
    n_alone: int = 0
    first: tuple[int, float, tuple[str, ...]] | None = None
    max_difference: float = 0.0
    median_difference: float = 0.0
    n_labels: int = 0
    n_states: int = 0

    @property
    def n_both(self) -> int:
        """Ticks that both have."""
        return self.n_equal + self.n_different

    @property
    def equal(self) -> bool:
        """Whether all ticks are there and equal, byte for byte."""
        return self.n_different == 0 and self.n_alone == 0

    def line(self) -> str:
        """One line for people."""
        if self.equal:
            return f"{self.n_equal:,} estimates, all equal byte for byte"
        parts = [f"{self.n_equal:,} of {self.n_both:,} estimates equal byte for byte"]
        if self.n_alone:
            parts.append(f"{self.n_alone:,} without a counterpart")
        parts.append(
            f"scores differ by {self.median_difference:.4f} in the median and "
            f"{self.max_difference:.4f} at most"
        )
        parts.append(f"{self.n_labels:,} other labels, {self.n_states:,} other states")
        if self.first is not None:
            index, time_s, names = self.first
            parts.append(f"first at {time_s:.1f} s (tick {index}: {', '.join(names)})")
        return "; ".join(parts)


def compare(pairs: Iterable[Pair], n_alone: int = 0) -> Comparison:
    """Count what is equal. Memory: eight bytes a tick.

    Args:
        pairs: Estimates of the same tick.
        n_alone: Ticks that are not in ``pairs`` because only one side has them.
    """
    largest = array("d")
    n_equal = n_different = n_labels = n_states = 0
    first: tuple[int, float, tuple[str, ...]] | None = None
    for one, other in pairs:
        known = ~(np.isnan(one.probabilities) | np.isnan(other.probabilities))
        if known.any():
            apart = np.abs(one.probabilities[known] - other.probabilities[known])
            largest.append(float(apart.max()))
        if canonical(one) == canonical(other):
            n_equal += 1
            continue
        n_different += 1
        if first is None:
            first = (one.index, one.time_s, _different(one, other))
        n_labels += one.label != other.label
        n_states += one.absent != other.absent
    return Comparison(
        n_equal=n_equal,
        n_different=n_different,
        n_alone=n_alone,
        first=first,
        max_difference=max(largest, default=0.0),
        median_difference=median(largest) if largest else 0.0,
        n_labels=n_labels,
        n_states=n_states,
    )


def compare_recordings(one: sqlite3.Connection, other: sqlite3.Connection) -> Comparison:
    """Compare the estimates of two sessions tick by tick; the connections' thread.

    Ticks from before the beginning or after the end of the other are left out.

    Raises:
        RecordingError: a database is damaged.
    """
    alone = 0

    def pairs() -> Iterator[Pair]:
        nonlocal alone
        waiting: int = 0
        left, right = read_estimates(one), read_estimates(other)
        a, b = next(left, None), next(right, None)
        met = False
        while a is not None and b is not None:
            if a[1].index == b[1].index:
                # Alone is what is missing in between, not what lies before or after.
                alone += waiting
                waiting, met = 0, True
                yield a[1], b[1]
                a, b = next(left, None), next(right, None)
            elif a[1].index < b[1].index:
                waiting += met
                a = next(left, None)
            else:
                waiting += met
                b = next(right, None)

    try:
        compared = compare(pairs())
    except sqlite3.Error as error:
        raise RecordingError(f"the recorded estimates cannot be read: {error}") from error
    return Comparison(
        **{name: getattr(compared, name) for name in Comparison.__slots__ if name != "n_alone"},
        n_alone=alone,
    )


def canonical(estimate: Estimate) -> bytes:
    """The record that must be equal, as bytes. SQLite knows no negative zero, so neither does this."""
    return json.dumps(_unsigned(estimate.to_record()), sort_keys=True).encode()


def _unsigned(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [_unsigned(item) for item in value]
    if isinstance(value, dict):
        return {key: _unsigned(item) for key, item in value.items()}
    return value


def _different(one: Estimate, other: Estimate) -> tuple[str, ...]:
    first, second = _unsigned(one.to_record()), _unsigned(other.to_record())
    return tuple(name for name in first if first[name] != second[name])
