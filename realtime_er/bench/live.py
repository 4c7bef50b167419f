"""A session paced in real time from a clip, watched from outside: what ``demo`` and ``live`` do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime_er.bench.ages import PARTS, parts_of
from realtime_er.bench.machine import rss_mb
from realtime_er.bench.notes import Notes, ObservedSource
from realtime_er.bench.processor import LIBRARIES, MAIN, Reading, read_clocks, spent
from realtime_er.bench.tables import Row, Section, absent, quantile_rows
from realtime_er.config import Config
from realtime_er.errors import SourceError
from realtime_er.ladder import DOWN
from realtime_er.messages import Estimate
from realtime_er.models import Models
from realtime_er.session import Session
from realtime_er.sources.base import Source

WARM_S = 3.0
"""The beginning of a session is not counted: models run for the first time."""

TAIL_S = 0.2
"""Of a final segment: what it keeps after the last voiced step."""

_STAGES = {
    "camera": "camera: decode and hand over",
    "microphone": "microphone: decode, resample",
    "face": "face: detect, track, cut, encode",
    "speech": "speech: voice activity",
    "audio": "audio: encode the voice",
    "asr": "asr: words to text, encode the text",
    "fuse": "fuse: windows, head, attribution",
    MAIN: "main: reads the estimates",
    LIBRARIES: "threads of libraries (Whisper)",
}


@dataclass(frozen=True)
class LiveRun:
    """What one paced session left.

    Attributes:
        stream_s: seconds that were measured, without the warm-up.
        cpu_s: processor seconds by thread; sums to the process's.
        process_s: processor seconds of the process.
        forward_s: processor seconds within models, by model, on the calling threads.
        calls: forward passes, by model.
        estimates: those of the measured time.
        rss: (session second, megabytes) once a second.
        accounting: of the whole session.
        notices: what the session had to say.
        steps_down: how often it gave something up because the machine was too slow.
    """

    stream_s: float
    cpu_s: dict[str, float]
    process_s: float
    forward_s: dict[str, float]
    calls: dict[str, int]
    estimates: tuple[Estimate, ...]
    parts: dict[str, list[float]]
    rss: tuple[tuple[float, float], ...]
    accounting: dict[str, Any]
    notices: tuple[str, ...]
    steps_down: int


@dataclass(frozen=True)
class _Used:
    forward_s: dict[str, float]
    calls: dict[str, int]

    @classmethod
    def of(cls, notes: Notes) -> _Used:
        # Copied at once: the threads go on counting.
        return cls(dict(notes.forward_s), dict(notes.calls))


def run_live(
    config: Config,
    source: Source,
    models: Models,
    notes: Notes,
    seconds: float,
    *,
    warm_s: float = WARM_S,
    progress: Callable[[float], None] = lambda _share: None,
) -> LiveRun:
    """Run a session for the warm-up and ``seconds``, or until the source ends. Main thread.

    Args:
        config: its settings.
        source: paced.
        models: that write into ``notes``.
        notes: empty.
        seconds: to measure.
        warm_s: before that.
        progress: called about once a second with the share that is done.

    Raises:
        SourceError: the source ended before anything was measured.
    """
    estimates: list[Estimate] = []
    rss: list[tuple[float, float]] = []
    first: Reading | None = None
    last: Reading | None = None
    began, ended = _Used({}, {}), _Used({}, {})
    with Session(config, source=ObservedSource(source, notes), models=models) as session:
        notices = session.notices
        from_s = notes.now_s() + warm_s
        next_look_s = 0.0
        for estimate in session.estimates():
            now_s = notes.now_s()
            if first is None:
                if now_s >= from_s:
                    first, began, from_s = read_clocks(), _Used.of(notes), now_s
                continue
            estimates.append(estimate)
            if now_s >= next_look_s:
                next_look_s = now_s + 1.0
                rss.append((now_s, rss_mb()))
                progress(min(1.0, (now_s - from_s) / seconds))
                # Before the threads end, or their clocks are gone; not oftener, since it costs.
                last, ended = read_clocks(), _Used.of(notes)
            if now_s - from_s >= seconds:
                last, ended = read_clocks(), _Used.of(notes)
                break
        session.stop()
        for _estimate in session.estimates():
            pass  # what was on its way is counted, not measured
        events = session.snapshot().events
        accounting = session.accounting().to_record()
    if first is None or last is None:
        raise SourceError(f"the source ended within {warm_s:g} s; nothing could be measured")
    return LiveRun(
        stream_s=last.at_s - first.at_s,
        cpu_s=spent(first, last),
        process_s=last.process_s - first.process_s,
        forward_s={k: v - began.forward_s.get(k, 0.0) for k, v in ended.forward_s.items()},
        calls={k: v - began.calls.get(k, 0) for k, v in ended.calls.items()},
        estimates=tuple(estimates),
        parts=parts_of(estimates, notes.tracks),
        rss=tuple(rss),
        accounting=accounting,
        notices=notices,
        steps_down=sum(event.kind == DOWN for event in events),
    )


def compute_section(run: LiveRun) -> Section:
    """Processor seconds per second of stream, stage by stage; the stages sum to the total."""
    rows = []
    for name, seconds in run.cpu_s.items():
        rows.append(Row(name, _STAGES.get(name, name), seconds / run.stream_s, "cores"))
    rows.append(Row("total", "total", run.process_s / run.stream_s, "cores"))
    for name, seconds in sorted(run.forward_s.items()):
        key = f"forward {name}"
        rows.append(Row(key, f"  of which {name}", seconds / run.stream_s, "cores"))
    cpu = run.cpu_s
    models = sum(cpu.get(name, 0.0) for name in _MODEL_STAGES)
    rows.append(
        Row(
            "capture_and_models",
            "capture and models, without words and display",
            models / run.stream_s,
            "cores",
            note="camera, microphone, face, speech, audio, fuse",
        )
    )
    rows.append(Row("stream_s", "measured", run.stream_s, "s"))
    return Section("compute", "Live: processor time per second of stream", tuple(rows))


_MODEL_STAGES = ("camera", "microphone", "face", "speech", "audio", "fuse")


def age_section(run: LiveRun) -> Section:
    """How old scores are, and where the time went."""
    parts = run.parts
    rows = quantile_rows("age", "score age", parts["age"])
    for part in PARTS:
        rows += quantile_rows(part, f"  {part}", parts[part])
    n = max(1, len(parts["late"]))
    rows.append(Row("late", "ticks closed by the deadline", 100 * sum(parts["late"]) / n, "%"))
    span_s = run.estimates[-1].time_s - run.estimates[0].time_s if len(run.estimates) > 1 else 0.0
    rate_hz = (len(run.estimates) - 1) / span_s if span_s > 0 else None
    rows.append(Row("estimates_hz", "fused estimates", rate_hz, "Hz"))
    faces = run.calls.get("detector", 0) / run.stream_s
    rows.append(Row("faces_hz", "pictures searched for faces", faces, "Hz"))
    heard = run.accounting["edges"].get("microphone>audio")
    if heard is not None:
        whole = max(1, heard["captured"] - heard["tail"])
        described = 100 * heard["processed"] / whole
        rows.append(Row("voice", "sound that was described by its encoder", described, "%"))
    rows.append(Row("ladder", "steps down the quality ladder", run.steps_down, "times"))
    minutes = _first_and_last(run)
    if minutes is not None:
        rows.append(
            Row("age_drift", "score age p95, last fifth over first", minutes, "x", note=_DRIFT_NOTE)
        )
    return Section("age", "Live: score age and its parts", tuple(rows))


_DRIFT_NOTE = "above 1: it falls behind"


def _first_and_last(run: LiveRun) -> float | None:
    ages = run.parts["age"]
    fifth = len(ages) // 5
    if fifth < 10:
        return None
    first, last = (float(np.quantile(part, 0.95)) for part in (ages[:fifth], ages[-fifth:]))
    return last / max(first, 1e-6)


def words_section(notes: Notes, preroll_s: float) -> Section:
    """How soon there are words: from the onset to the first ones, from the end to the last.

    Args:
        notes: of the session.
        preroll_s: sound that a segment has before its onset.
    """
    finals = {heard.segment_id: heard for heard in notes.heard if heard.is_final}
    first: dict[int, float] = {}
    for heard in notes.heard:
        first.setdefault(heard.segment_id, heard.done_s - heard.start_s - preroll_s)
    # A segment holds a little of the silence after it.
    last = [heard.done_s - heard.end_s + TAIL_S for heard in finals.values()]
    rows = quantile_rows("partial", "first words, after the onset of speech", [*first.values()])
    rows += quantile_rows("final", "final words, after the end of speech", last)
    return Section("words", "Live: how soon there are words", tuple(rows))


def overload_notes(ages: Section, face_hz: float) -> list[str]:
    """One line where the machine could not carry the session: its other figures are of what was left.

    Args:
        ages: what ``age_section`` gave.
        face_hz: pictures a second that were to be searched.
    """
    values = {row.key: row.value for row in ages.rows}
    missed = []
    if values.get("ladder"):
        missed.append(f"{values['ladder']:.0f} steps down the quality ladder")
    faces, voice = values.get("faces_hz"), values.get("voice")
    if faces is not None and faces < 0.9 * face_hz:
        missed.append(f"{faces:.1f} of {face_hz:g} pictures a second searched")
    if voice is not None and voice < 95:
        missed.append(f"{voice:.0f} % of the sound described")
    if not missed:
        return []
    return [f"the machine could not carry it all live ({'; '.join(missed)}): costs are of the rest"]


_FATES = {
    "captured": "captured",
    "processed": "processed",
    "skipped": "skipped by rate",
    "stale": "too old to begin with",
    "superseded": "given up for a newer one",
    "tail": "in unfilled steps",
    "dropped": "dropped",
}
_ALWAYS = ("captured", "processed", "dropped")


def loss_section(run: LiveRun) -> Section:
    """What was captured and what was dropped, edge by edge."""
    rows = []
    for name, edge in run.accounting["edges"].items():
        unit = edge["unit"]
        for fate, what in _FATES.items():
            count = edge.get(fate, 0)
            if count or fate in _ALWAYS:
                title = f"{name}, {what}" if fate == "captured" else f"  {what}"
                rows.append(Row(f"{name} {fate}", title, count, unit))
    balanced = bool(run.accounting["balanced"])
    rows.append(Row("balanced", "everything accounted for", float(balanced), "1 = yes"))
    return Section("losses", "Live: what was dropped, by edge", tuple(rows))


def memory_section(run: LiveRun) -> Section:
    """Memory and how fast it grows."""
    if not run.rss:
        return Section("memory", "Memory", (absent("rss", "resident", "MB", "run too short"),))
    times_s, values = (np.array(column) for column in zip(*run.rss, strict=True))
    rows = [Row("rss", "resident at the end", float(values[-1]), "MB")]
    if len(values) >= 10:
        slope = float(np.polyfit(times_s, values, 1)[0]) * 60
        note = "" if times_s[-1] - times_s[0] >= 300 else "short run: caches still fill"
        rows.append(Row("slope", "growth", slope, "MB/min", note=note))
    else:
        rows.append(absent("slope", "growth", "MB/min", "needs 10 s or more"))
    return Section("memory", "Memory", tuple(rows))
