"""Windows: what is known at each tick.

A tick closes at ``index * hop_s``. Its window holds, per modality, the evidence whose time lies in
that modality's horizon before the tick; nothing depends on when messages happened to arrive, except
that what came too late for its own tick counts from the next open one on (``available_s``).

No threads and no clocks here: the fusion thread owns everything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from realtime_er.aggregators import aggregation_of, stacked
from realtime_er.config import Config
from realtime_er.device_states import DeviceChange, DeviceStates
from realtime_er.feature_cache import EPSILON_S, FeatureCache
from realtime_er.fusion.head import FusionInput, statistics
from realtime_er.messages import (
    MODALITIES,
    Absence,
    Embedding,
    FaceReport,
    FloatArray,
    Hypothesis,
    SpeechActivity,
)

_MUTED_AFTER_S = 1.0
_HEARD_LATELY_S = 0.1
_BREAK_S = 0.05
# Below the quantisation noise of 16 bits.
_DIGITAL_SILENCE_DBFS = -100.0


@dataclass(frozen=True, slots=True)
class Watermark:
    """All evidence of ``track`` ("face", "audio", "speech") up to ``time_s`` has been handed over."""

    track: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Announced:
    """A segment was handed to speech recognition; its hypothesis will follow."""

    segment_id: int
    revision: int
    trigger_s: float


@dataclass(frozen=True, slots=True)
class Transcribed:
    """A hypothesis and the embedding of its committed text, None when there is none yet."""

    hypothesis: Hypothesis
    embedding: Embedding | None


@dataclass(frozen=True, slots=True)
class Window:
    """What one tick knows.

    Attributes:
        index: Tick number.
        end_s: Its time.
        fusion_input: One vector per present modality.
        absent: Modality -> reason, for the others.
        text_weight: 1 for words just spoken, falling to 0 as they expire.
        evidence_age_s: Modality -> ``end_s`` minus the newest evidence used, None when absent.
        transcript: Committed text of the current utterance.
        partial: Its uncommitted rest.
        newly_spoken: Voice embeddings that this tick is the first to count as speech.
    """

    index: int
    end_s: float
    fusion_input: FusionInput
    absent: dict[str, Absence]
    text_weight: float
    evidence_age_s: dict[str, float | None]
    transcript: str
    partial: str
    newly_spoken: tuple[Embedding, ...] = ()


@dataclass(frozen=True, slots=True)
class BuilderState:
    """All that a ``WindowBuilder`` holds between two ticks; the fields are named as there."""

    enabled: frozenset[str]
    reasons: dict[str, Absence]
    live: bool
    next_index: int
    watermarks: dict[str, float]
    changes: tuple[DeviceChange, ...]
    counted_s: float
    reports: tuple[FaceReport, ...]
    faces: tuple[Embedding, ...]
    voice: tuple[Embedding, ...]
    speech: tuple[SpeechActivity, ...]
    texts: tuple[Transcribed, ...]


class WindowBuilder:
    """Collects evidence and says what each tick knows.

    Args:
        config: Horizons and ages.
        enabled: Modalities that take part at all.
        reasons: Why the others do not (``Absence.OFF``, ``Absence.UNAVAILABLE``).
        live: Ticks do not wait for hypotheses, and digital silence means a muted microphone. Offline
            every hypothesis due by a tick is waited for, and silence is just silence.
    """

    def __init__(
        self,
        config: Config,
        enabled: frozenset[str],
        reasons: dict[str, Absence],
        *,
        live: bool,
    ) -> None:
        self._config = config
        self._enabled = enabled
        self._reasons = dict(reasons)
        self._live = live
        self._wait_for_text = not live and "text" in enabled
        self.next_index = 1
        self._aggregation = aggregation_of(config)
        self._faces = FeatureCache(self._aggregation.face.horizon_s)
        self._voice = FeatureCache(self._aggregation.voice.horizon_s)
        self._reports: deque[FaceReport] = deque()
        self._speech: deque[SpeechActivity] = deque()
        self._texts: deque[Transcribed] = deque()
        self._pending: dict[tuple[int, int], float] = {}
        self._watermarks: dict[str, float] = {}
        if "face" in enabled:
            self._watermarks["face"] = -np.inf
        if "audio" in enabled:
            self._watermarks["audio"] = -np.inf
        if "audio" in enabled or "text" in enabled:
            self._watermarks["speech"] = -np.inf
        self._devices = DeviceStates()
        self._counted_s = -np.inf
        self._newly_spoken: tuple[Embedding, ...] = ()

    def state(self) -> BuilderState:
        """Everything that the next windows depend on."""
        return BuilderState(
            enabled=self._enabled,
            reasons=dict(self._reasons),
            live=self._live,
            next_index=self.next_index,
            watermarks=dict(self._watermarks),
            changes=self._devices.changes(),
            counted_s=self._counted_s,
            reports=tuple(self._reports),
            faces=tuple(self._faces),
            voice=tuple(self._voice),
            speech=tuple(self._speech),
            texts=tuple(self._texts),
        )

    @classmethod
    def from_state(cls, config: Config, state: BuilderState) -> WindowBuilder:
        """A builder that goes on from there."""
        builder = cls(config, state.enabled, state.reasons, live=state.live)
        builder.next_index = state.next_index
        builder._watermarks = dict(state.watermarks)
        builder._devices = DeviceStates(state.changes)
        builder._counted_s = state.counted_s
        builder._reports.extend(state.reports)
        for embedding in state.faces:
            builder._faces.add(embedding)
        for embedding in state.voice:
            builder._voice.add(embedding)
        builder._speech.extend(state.speech)
        builder._texts.extend(state.texts)
        return builder

    # --- evidence in -------------------------------------------------------------------------

    @property
    def next_time_s(self) -> float:
        """Time of the next open tick."""
        return self.next_index * self._config.tick.hop_s

    def start_at(self, time_s: float) -> None:
        """Live: begin with the first tick after ``time_s``; opening devices took until then."""
        self.next_index = max(self.next_index, int(time_s / self._config.tick.hop_s) + 1)

    def _usable_from(self, time_s: float) -> float:
        """``time_s``, or the next open tick when its own has closed already."""
        closed_s = (self.next_index - 1) * self._config.tick.hop_s
        return time_s if time_s > closed_s + EPSILON_S else self.next_time_s

    def add_face(self, report: FaceReport) -> FaceReport:
        """Add what was seen in one frame; returns it with the availability it was given."""
        if report.embedding is not None:
            available_s = self._usable_from(report.time_s)
            report = replace(report, embedding=replace(report.embedding, available_s=available_s))
            assert report.embedding is not None
            self._faces.add(report.embedding)
        self._reports.append(report)
        return report

    def add_voice(self, embedding: Embedding) -> Embedding:
        """Add one step of the speech encoder; returns it with its availability."""
        embedding = replace(embedding, available_s=self._usable_from(embedding.end_s))
        self._voice.add(embedding)
        return embedding

    def add_speech(self, activity: SpeechActivity) -> None:
        """Add one decision of the voice activity detector."""
        self._speech.append(activity)

    def announce(self, announced: Announced) -> None:
        """Note that a hypothesis will come."""
        if self._wait_for_text:
            self._pending[announced.segment_id, announced.revision] = announced.trigger_s

    def add_text(self, transcribed: Transcribed) -> Transcribed:
        """Add a hypothesis; returns it with the availability it was given."""
        hypothesis = transcribed.hypothesis
        self._pending.pop((hypothesis.segment_id, hypothesis.revision), None)
        available_s = self._usable_from(hypothesis.available_s)
        hypothesis = replace(hypothesis, available_s=available_s)
        embedding = transcribed.embedding
        if embedding is not None:
            embedding = replace(embedding, available_s=available_s)
        transcribed = Transcribed(hypothesis, embedding)
        self._texts.append(transcribed)
        return transcribed

    def advance(self, watermark: Watermark) -> None:
        """Note that a track has been handed over up to a time (infinity: it has ended)."""
        if watermark.track in self._watermarks:
            newest = max(self._watermarks[watermark.track], watermark.time_s)
            self._watermarks[watermark.track] = newest

    def set_lost(self, modality: str, reason: Absence | None, time_s: float) -> None:
        """A device went (reason) or came back (None): ticks do not wait for what is lost."""
        self._devices.set_lost(modality, reason, time_s)

    def set_blind(self, modality: str, reason: Absence | None, time_s: float) -> None:
        """A device delivers nothing that could be read (reason), or does again (None)."""
        self._devices.set_blind(modality, reason, time_s)

    def set_muted(self, muted: bool, time_s: float) -> None:
        """The microphone was muted here, or is no longer."""
        self._devices.set_muted("audio", muted, time_s)

    # --- ticks out ---------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether everything that the next tick may use has been handed over."""
        time_s = self.next_time_s - EPSILON_S
        for track, watermark_s in self._watermarks.items():
            owner = "audio" if track == "speech" else track
            if watermark_s < time_s and self._devices.away(owner, self.next_time_s) is None:
                return False
        if self._wait_for_text:
            # A pending hypothesis may become available at this very tick, so it must be here.
            pending_s = min(self._pending.values(), default=np.inf) - 2 * EPSILON_S
            known_s = min(self._watermarks.get("speech", np.inf), pending_s)
            return known_s + self._config.asr.delay_s >= time_s
        return True

    @property
    def horizon_s(self) -> float:
        """Earliest time that some track may still add evidence to a tick; infinity when none may.

        An encoder of sound that reads long windows may still work when all has been seen and heard:
        there are no more ticks for what it adds.
        """
        sources = [time_s for track, time_s in self._watermarks.items() if track != "audio"]
        over = min(sources, default=np.inf) == np.inf
        if over and self.next_time_s > self.evidence_end_s() + EPSILON_S:
            return np.inf
        return min(self._watermarks.values(), default=np.inf)

    def evidence_end_s(self) -> float:
        """Latest time that any track has reached; where ticks end when the source does."""
        times = [report.time_s for report in list(self._reports)[-1:]]
        times += [activity.end_s for activity in list(self._speech)[-1:]]
        return max(times, default=0.0)

    def build(self) -> Window:
        """Close the next tick and return its window."""
        index, end_s = self.next_index, self.next_time_s
        absent = dict(self._reasons)
        ages: dict[str, float | None] = dict.fromkeys(MODALITIES)
        vectors: dict[str, FloatArray | None] = dict.fromkeys(MODALITIES)
        weight = 0.0
        self._newly_spoken = ()
        if "face" in self._enabled:
            vectors["face"] = self._face(end_s, absent, ages)
        if "audio" in self._enabled:
            vectors["audio"] = self._audio(end_s, absent, ages)
        transcript = partial = ""
        if "text" in self._enabled:
            heard = [t for t in self._texts if t.hypothesis.available_s <= end_s + EPSILON_S]
            vectors["text"], weight = self._text(heard, end_s, absent, ages)
            transcript, partial = self._utterance(heard, end_s)
        self._forget(end_s)
        self.next_index += 1
        return Window(
            index=index,
            end_s=end_s,
            fusion_input=FusionInput(**vectors),
            absent=absent,
            text_weight=weight,
            evidence_age_s=ages,
            transcript=transcript,
            partial=partial,
            newly_spoken=self._newly_spoken,
        )

    def _face(
        self, end_s: float, absent: dict[str, Absence], ages: dict[str, float | None]
    ) -> FloatArray | None:
        known = [r for r in self._reports if r.time_s <= end_s + EPSILON_S]
        max_age_s = self._config.face.max_age_s
        if self._devices.away("face", end_s) is Absence.FROZEN:
            absent["face"] = Absence.FROZEN  # what was seen last is as old as the picture
            return None
        if not known:
            absent["face"] = self._devices.away("face", end_s) or Absence.WAITING
            return None
        newest = known[-1]
        if end_s - newest.time_s > max_age_s:
            ended = self._watermarks["face"] == np.inf
            silent = Absence.ENDED if ended else Absence.BEHIND
            absent["face"] = self._devices.away("face", end_s) or silent
            return None
        usable = [e for e in self._faces.within(end_s) if e.source_id == newest.target_id]
        # A detector misses a frame now and then: a face seen within max_age_s is still there.
        if not usable or end_s - usable[-1].end_s > max_age_s:
            blind = self._devices.blind("face", end_s)
            absent["face"] = blind or newest.absence or Absence.BEHIND
            return None
        ages["face"] = end_s - usable[-1].end_s
        return self._aggregation.face.vector(usable, end_s)

    def _audio(
        self, end_s: float, absent: dict[str, Absence], ages: dict[str, float | None]
    ) -> FloatArray | None:
        if self._devices.muted("audio", end_s):
            # At once: nobody who mutes wants to be read for another four seconds.
            absent["audio"] = self._devices.away("audio", end_s) or Absence.MUTED
            return None
        steps = self._voice.within(end_s)
        if not steps:
            reached_s = self._watermarks["audio"]
            if reached_s == np.inf and not self._heard_lately(end_s):
                reason = Absence.ENDED
            else:
                reason = self._aggregation.voice.nothing_yet(reached_s, self._sounding_s(end_s))
            absent["audio"] = self._devices.away("audio", end_s) or reason
            return None
        heard = self._aggregation.voice.listen(steps, self._speech)
        self._newly_spoken = tuple(step for step in heard.spoken if step.end_s > self._counted_s)
        self._counted_s = steps[-1].end_s
        if not heard.used:
            reason = Absence.TOO_LITTLE_SPEECH if heard.some_speech else self._silence(end_s)
            blind = self._devices.blind("audio", end_s)
            absent["audio"] = self._devices.away("audio", end_s) or blind or reason
            return None
        ages["audio"] = end_s - heard.used[-1].end_s
        return statistics(stacked(heard.used))

    def spoken_at_end(self, last: Embedding) -> list[Embedding]:
        """What no tick has counted of the voice, and ``last``, as far as they hold speech.

        For the score of a whole recording: its last window comes after its last tick.
        """
        uncounted = [step for step in self._voice if step.end_s > self._counted_s]
        return list(self._aggregation.voice.listen([*uncounted, last], self._speech).spoken)

    def _sounding_s(self, end_s: float) -> float:
        """How long the sound has gone on unbroken at a tick; 0 without any."""
        start_s = end_s
        for activity in reversed(self._speech):
            if activity.end_s < start_s - _BREAK_S and activity is not self._speech[-1]:
                break
            start_s = activity.start_s
        return end_s - start_s

    def _heard_lately(self, end_s: float) -> bool:
        """A file's sound may be encoded to its end long before the tick that is made."""
        return bool(self._speech) and self._speech[-1].end_s > end_s - _HEARD_LATELY_S

    def _silence(self, end_s: float) -> Absence:
        """A microphone that is open has noise; one that is muted delivers zeros."""
        recent = [a.level_dbfs for a in self._speech if a.end_s > end_s - _MUTED_AFTER_S]
        muted = self._live and bool(recent) and max(recent) <= _DIGITAL_SILENCE_DBFS
        return Absence.MUTED if muted else Absence.NO_SPEECH

    def _text(
        self,
        heard: list[Transcribed],
        end_s: float,
        absent: dict[str, Absence],
        ages: dict[str, float | None],
    ) -> tuple[FloatArray | None, float]:
        # A final without words takes back what its own partials said.
        refuted = {
            t.hypothesis.segment_id for t in heard if t.hypothesis.is_final and t.embedding is None
        }
        known = [
            t for t in heard if t.embedding is not None and t.embedding.source_id not in refuted
        ]
        if not known:
            blind = self._devices.blind("audio", end_s)
            absent["text"] = self._devices.away("audio", end_s) or blind or Absence.NO_WORDS
            return None, 0.0
        embedding = known[-1].embedding
        assert embedding is not None
        age_s = max(0.0, end_s - embedding.end_s)
        weight = 1.0 - age_s / self._config.text.fade_s
        if weight <= 0.0:
            absent["text"] = Absence.EXPIRED
            return None, 0.0
        ages["text"] = age_s
        return embedding.vector, weight

    def _utterance(self, heard: list[Transcribed], end_s: float) -> tuple[str, str]:
        if not heard or end_s - heard[-1].hypothesis.end_s > self._config.text.fade_s:
            return "", ""
        newest = heard[-1].hypothesis
        return newest.committed, newest.text[len(newest.committed) :].strip()

    def _forget(self, end_s: float) -> None:
        self._devices.forget_before(end_s)
        self._faces.forget_before(end_s)
        self._voice.forget_before(end_s)
        while len(self._reports) > 1 and self._reports[1].time_s <= end_s - 1.0:
            self._reports.popleft()
        speech_s = self._aggregation.voice.speech_horizon_s
        while self._speech and self._speech[0].end_s <= end_s - speech_s:
            self._speech.popleft()
        oldest_s = end_s - self._config.text.fade_s - self._config.vad.max_segment_s
        while self._texts and self._texts[0].hypothesis.available_s < oldest_s:
            self._texts.popleft()
