"""Plays a recorded session for a window: a snapshot of it at any position, and what moves it."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from types import TracebackType
from typing import Self

import numpy as np

from realtime_er.clock import Clock
from realtime_er.errors import MediaError, RecordingError
from realtime_er.messages import (
    MODALITIES,
    Absence,
    Estimate,
    Event,
    FaceReport,
    Health,
    Hypothesis,
    Snapshot,
    SpeechActivity,
    VideoFrame,
)
from realtime_er.recording import rows
from realtime_er.recording.media_stream import Kind, MediaStream
from realtime_er.recording.picture_track import PictureTrack
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.sound_track import Outline, SoundTrack
from realtime_er.recording.speaker import Speaker
from realtime_er.recording.timeline_rows import TimeIndex, Trail

SLOWEST, FASTEST = 0.25, 16.0

_HISTORY_S = 30.0
_PICTURE_BUDGET_S = 0.025
_SOUND_BUDGET_S = 0.008
# Faster than this, key frames will do: nobody sees sixteen seconds of pictures in one.
_HURRY_SPEED = 4.0
# As in a live session: spans of speech closer than this are one.
_JOIN_S = 0.05
_N_FINALS = 20
_N_EVENTS = 100


class Player:
    """A recorded session that plays; a ``Transport``, and its ``snapshot`` for the window.

    Everything is shown at its own time: estimates at the end of their windows, words when they could
    first be used. One thread; a snapshot takes some 50 ms at most.

    Args:
        session: Open; the caller closes it after the player.
        clock: What moves it; real time for people.
        speaker: Plays the sound at normal speed; None for silence.

    Raises:
        RecordingError: the session is damaged.
    """

    def __init__(
        self, session: RecordedSession, *, clock: Clock, speaker: Speaker | None = None
    ) -> None:
        self._session = session
        self._clock = clock
        self._span_s = session.span_s
        self._speed = 1.0
        self._playing = False
        self._position_s = self._span_s[0]
        self._moved_at_s = clock.now_s()
        self._notices: list[str] = []
        try:
            self._open_rows(session.connection)
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise RecordingError(
                f"{session.path}: cannot be read ({error}); try: realtime-er repair {session.path}"
            ) from error
        self._pictures: PictureTrack | None = None
        self._sound: SoundTrack | None = None
        self._speaker = speaker
        self._voice: SoundTrack | None = None
        self._open_media()

    def _open_rows(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._estimates = Trail(
            TimeIndex(connection, "estimates", "seq", "time_s"), _HISTORY_S, self._load_estimates
        )
        self._speech = Trail(
            TimeIndex(connection, "speech", "seq", "end_s"), _HISTORY_S, self._load_speech
        )
        self._reports = TimeIndex(connection, "face_reports", "seq", "time_s")
        self._hypotheses = TimeIndex(connection, "hypotheses", "seq", "available_s")
        events = _rows(connection, "SELECT * FROM events ORDER BY time_s, seq")
        self._events = [rows.row_to_event(row) for row in events]
        self._report: tuple[int, FaceReport] | None = None
        self._words: tuple[int, tuple[Hypothesis, ...], Hypothesis | None] = (-1, (), None)

    def _open_media(self) -> None:
        manifest, path = self._session.manifest, self._session.media_path
        if manifest.media is None:
            self._notices.append("recorded without pictures and sound")
        elif path is None:
            self._notices.append(f"{manifest.media} is missing")
        else:
            pictures = self._open_stream("video", "frames")
            sound = self._open_stream("audio", "sound")
            if pictures is not None:
                self._pictures = PictureTrack(pictures, self._connection)
            if sound is not None:
                self._sound = SoundTrack(sound, self._connection)
                if self._speaker is not None:
                    self._voice = SoundTrack(MediaStream(path, "audio"), self._connection)
        if not manifest.complete:
            self._notices.append(manifest.failure or "the recording was cut off")

    def _open_stream(self, kind: Kind, table: str) -> MediaStream | None:
        path = self._session.media_path
        if path is None or not _rows(self._connection, f"SELECT 1 FROM {table} LIMIT 1"):
            return None
        try:
            return MediaStream(path, kind)
        except MediaError as error:
            self._notices.append(str(error))
            return None

    # --- transport --------------------------------------------------------------------------------

    @property
    def position_s(self) -> float:
        """Session time that is shown."""
        self._move()
        return self._position_s

    @property
    def span_s(self) -> tuple[float, float]:
        """Session times of the beginning and the end."""
        return self._span_s

    @property
    def speed(self) -> float:
        """1.0 is real time."""
        return self._speed

    @property
    def playing(self) -> bool:
        """Whether it moves."""
        self._move()
        return self._playing

    def play(self, playing: bool) -> None:
        """Move or stand still; at the end it begins again."""
        self._move()
        if playing and not self._playing and self._position_s >= self._span_s[1]:
            self._position_s = self._span_s[0]
        self._playing = playing
        self._silence()

    def seek(self, time_s: float) -> None:
        """Show this session time; outside the span it is the nearest end."""
        self._move()
        start_s, end_s = self._span_s
        self._position_s = min(max(time_s, start_s), end_s)
        self._silence()

    def set_speed(self, speed: float) -> None:
        """0.25 to 16; what lies outside becomes the nearest of them."""
        self._move()
        self._speed = min(max(speed, SLOWEST), FASTEST)
        self._silence()

    def _move(self) -> None:
        now_s = self._clock.now_s()
        if self._playing:
            self._position_s += (now_s - self._moved_at_s) * self._speed
            if self._position_s >= self._span_s[1]:
                self._position_s = self._span_s[1]
                self._playing = False
                self._silence()
        self._moved_at_s = now_s

    # --- sound ------------------------------------------------------------------------------------

    def _silence(self) -> None:
        if self._speaker is not None:
            self._speaker.clear()

    def _speak(self, position_s: float) -> None:
        speaker, voice = self._speaker, self._voice
        if speaker is None or voice is None or not self._playing or self._speed != 1.0:
            return
        for start_s, end_s in speaker.wants(position_s, self._span_s[1]):
            speaker.add(start_s, voice.samples(start_s, end_s))

    # --- snapshots --------------------------------------------------------------------------------

    @property
    def notices(self) -> tuple[str, ...]:
        """What is missing in this recording, in one line each."""
        return tuple(self._notices)

    def snapshot(self) -> Snapshot:
        """Everything a display shows at the position.

        Raises:
            RecordingError: the session is damaged.
        """
        self._move()
        now_s = self._position_s
        try:
            return self._snapshot(now_s)
        except (sqlite3.Error, ValueError, TypeError) as error:  # a text where a number belongs
            path = self._session.path
            raise RecordingError(
                f"{path}: cannot be read at {now_s:.1f} s ({error}); try: realtime-er repair {path}"
            ) from error

    def _snapshot(self, now_s: float) -> Snapshot:
        history = self._estimates.upto(now_s)
        newest = history[-1] if history else None
        finals, current = self._words_at(now_s)
        events = self._events[: bisect_right(self._events, now_s, key=lambda event: event.time_s)]
        return Snapshot(
            now_s=now_s,
            estimate=newest,
            history=history,
            states={m: newest.absent.get(m) if newest else Absence.WAITING for m in MODALITIES},
            finals=finals,
            current=current,
            faces=self._report_at(now_s),
            frame=self._picture_at(now_s),
            health=self._health_at(now_s),
            notices=self.notices,
            events=tuple(events[-_N_EVENTS:]),
            waveform=self._sound_until(now_s),
            speech=_spans(self._speech.upto(now_s)),
            muted=_muted(events),
        )

    def _picture_at(self, now_s: float) -> VideoFrame | None:
        if self._pictures is None:
            return None
        hurry = self._playing and self._speed > _HURRY_SPEED
        try:
            return self._pictures.at(now_s, _PICTURE_BUDGET_S, hurry=hurry)
        except MediaError as error:
            self._notices.append(str(error))
            self._pictures.close()
            self._pictures = None
            return None

    def _sound_until(self, now_s: float) -> Outline:
        if self._sound is None:
            return np.zeros((0, 3))
        try:
            self._speak(now_s)
            return self._sound.outline(now_s - _HISTORY_S, now_s, _SOUND_BUDGET_S)
        except MediaError as error:
            self._notices.append(str(error))
            self._sound.close()
            self._sound = None
            self._silence()
            return np.zeros((0, 3))

    def _load_estimates(self, after: int, until: int) -> Iterator[tuple[int, Estimate]]:
        span = " WHERE seq > ? AND seq <= ? ORDER BY seq"
        keys = (after, until)
        parts = _rows(self._connection, f"SELECT * FROM contributions{span}, rowid", keys)
        grouped = {seq: list(group) for seq, group in groupby(parts, lambda row: row["seq"])}
        windows = _rows(self._connection, f"SELECT * FROM windows{span}", keys)
        by_seq = {row["seq"]: row for row in windows}
        for row in _rows(self._connection, f"SELECT * FROM estimates{span}", keys):
            seq = row["seq"]
            yield seq, rows.row_to_estimate(row, grouped.get(seq, ()), by_seq.get(seq))

    def _load_speech(self, after: int, until: int) -> Iterator[tuple[int, SpeechActivity]]:
        query = "SELECT * FROM speech WHERE seq > ? AND seq <= ? ORDER BY seq"
        for row in _rows(self._connection, query, (after, until)):
            yield row["seq"], rows.row_to_speech(row)

    def _report_at(self, now_s: float) -> FaceReport | None:
        seq = self._reports.last(now_s)
        if seq is None:
            return None
        if self._report is None or self._report[0] != seq:
            head = _rows(self._connection, "SELECT * FROM face_reports WHERE seq = ?", (seq,))
            faces = _rows(
                self._connection, "SELECT * FROM faces WHERE seq = ? ORDER BY rowid", (seq,)
            )
            self._report = (seq, rows.row_to_report(head[0], faces))
        return self._report[1]

    def _words_at(self, now_s: float) -> tuple[tuple[Hypothesis, ...], Hypothesis | None]:
        seq = self._hypotheses.last(now_s)
        if seq is None:
            return (), None
        if self._words[0] != seq:
            newest = self._hypothesis(seq)
            query = (
                "SELECT seq FROM hypotheses WHERE seq <= ? AND is_final AND text != '' "
                f"ORDER BY seq DESC LIMIT {_N_FINALS}"
            )
            known = _rows(self._connection, query, (seq,))
            finals = tuple(self._hypothesis(row["seq"]) for row in reversed(known))
            self._words = (seq, finals, None if newest.is_final else newest)
        return self._words[1], self._words[2]

    def _hypothesis(self, seq: int) -> Hypothesis:
        words = "SELECT * FROM words WHERE seq = ? ORDER BY position"
        head = _rows(self._connection, "SELECT * FROM hypotheses WHERE seq = ?", (seq,))
        return rows.row_to_hypothesis(head[0], _rows(self._connection, words, (seq,)))

    def _health_at(self, now_s: float) -> Health:
        query = "SELECT * FROM health WHERE time_s <= ? ORDER BY time_s DESC LIMIT 1"
        known = _rows(self._connection, query, (now_s,))
        return rows.row_to_health(known[0])[1] if known else Health()

    # --- life -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close media and loudspeaker; a second call does nothing."""
        for part in (self._speaker, self._pictures, self._sound, self._voice):
            if part is not None:
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _rows(
    connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()
) -> list[sqlite3.Row]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(query, values).fetchall()


def _spans(activities: tuple[SpeechActivity, ...]) -> tuple[tuple[float, float], ...]:
    spans: list[tuple[float, float]] = []
    for activity in activities:
        if not activity.speaking:
            continue
        start_s = activity.start_s
        if spans and start_s - spans[-1][1] < _JOIN_S:
            start_s = spans.pop()[0]
        spans.append((start_s, activity.end_s))
    return tuple(spans)


def _muted(events: list[Event]) -> bool:
    for event in reversed(events):
        if event.kind in ("microphone muted", "microphone unmuted"):
            return event.kind == "microphone muted"
    return False
