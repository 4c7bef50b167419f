"""Made-up snapshots that look like a live session's, for tests and pictures of the window.

``SAMPLES`` maps the name of a state to a function of the session time (seconds) that makes its
``Snapshot``; times must be later than 1 s. Everything is deterministic.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    Estimate,
    Event,
    FaceReport,
    Health,
    Hypothesis,
    RecordingStatus,
    Snapshot,
    Timing,
    TrackedFace,
    VideoFrame,
)

HOP_S = 0.1
HISTORY_S = 30.0
BLOCK_S = 0.1
PRIOR = np.array([0.24, 0.16, 0.13, 0.12, 0.11, 0.11, 0.13])
SENTENCES = (
    "well I did not expect that",
    "we went down to the lake early in the morning",
    "and nobody was there just the two of us",
    "it was really a wonderful day",
    "I would do it again tomorrow",
)
CYCLE_S = 7.0
SPEECH_S = 4.6


def logits(time_s):
    """Seven smooth curves; Happy leads most of the time, Surprise at the start of a cycle."""
    phase = (time_s % CYCLE_S) / CYCLE_S
    return np.array(
        [
            0.9 + 0.5 * np.sin(time_s / 3.1),
            1.6 + 1.3 * np.sin(time_s / 4.3 + 0.8),
            -0.9 + 0.5 * np.sin(time_s / 5.1),
            -0.4 + 2.2 * np.exp(-(((phase - 0.2) / 0.09) ** 2)),
            -1.5 + 0.4 * np.sin(time_s / 2.7),
            -1.8 + 0.3 * np.sin(time_s / 6.1),
            -1.1 + 0.5 * np.sin(time_s / 7.7 + 2.0),
        ]
    )


def make_estimate(index, absent=None, *, sure=True, missing=()):
    """The estimate of one tick; all modalities absent: nothing to read."""
    time_s = index * HOP_S
    absent = dict(absent or {})
    present = [name for name in MODALITIES if name not in absent]
    raw = logits(time_s) * (1.0 if sure else 0.35)
    raw = raw - (0 if sure else 0.2) + 0.08 * np.sin(np.arange(7) * 2.1 + time_s * 3.0)
    probabilities = np.exp(raw) / np.exp(raw).sum()
    weights = {"face": 0.55, "audio": 0.3, "text": 0.15}
    gap = probabilities - PRIOR
    wobble = 0.12 * np.sin(time_s / 1.9) * PRIOR
    total = sum(weights[name] for name in present) or 1.0
    contributions = {name: (weights[name] / total) * gap for name in present}
    if len(present) > 1:
        contributions[present[0]] = contributions[present[0]] + wobble
        contributions[present[1]] = contributions[present[1]] - wobble
    for name in missing:
        probabilities[LABELS.index(name)] = np.nan
    if not present:
        probabilities = np.full(7, np.nan)
    lead = None if not present else LABELS[int(np.nanargmax(probabilities))]
    return Estimate(
        index=index,
        time_s=time_s,
        label=lead if sure else None,
        confidence=0.0 if lead is None else float(np.nanmax(probabilities)),
        probabilities=probabilities.astype(np.float32),
        contributions={k: v.astype(np.float32) for k, v in contributions.items()},
        absent=absent,
        transcript="",
        partial="",
        timing=Timing(
            0.043,
            0.001,
            {name: (0.12 if name in present else None) for name in MODALITIES},
            "watermark",
        ),
    )


@cache
def _room(width, height):
    ramp = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :, None]
    fall = np.linspace(1.0, 0.7, height, dtype=np.float32)[:, None, None]
    room = (np.array([92, 84, 74]) * (1 - ramp) + np.array([150, 136, 118]) * ramp) * fall
    room = room.astype(np.uint8)
    s = height / 720
    cv2.rectangle(
        room, (int(900 * s), int(60 * s)), (int(1180 * s), int(380 * s)), (196, 190, 176), -1
    )
    cv2.rectangle(room, (int(900 * s), int(60 * s)), (int(1180 * s), int(380 * s)), (60, 52, 44), 6)
    cv2.line(room, (int(1040 * s), int(60 * s)), (int(1040 * s), int(380 * s)), (60, 52, 44), 6)
    return room


def _person(image, centre, size, skin, shirt, smile, mouth):
    x, y = centre
    cv2.ellipse(
        image,
        (x, y + int(1.75 * size)),
        (int(1.35 * size), int(0.9 * size)),
        0,
        180,
        360,
        shirt,
        -1,
        cv2.LINE_AA,
    )
    cv2.rectangle(
        image, (x - int(0.26 * size), y), (x + int(0.26 * size), y + int(1.0 * size)), skin, -1
    )
    cv2.ellipse(
        image, (x, y), (int(0.6 * size), int(0.78 * size)), 0, 0, 360, skin, -1, cv2.LINE_AA
    )
    cv2.ellipse(
        image,
        (x, y - int(0.3 * size)),
        (int(0.64 * size), int(0.55 * size)),
        0,
        180,
        360,
        (36, 40, 52),
        -1,
        cv2.LINE_AA,
    )
    for side in (-1, 1):
        eye = (x + side * int(0.24 * size), y - int(0.1 * size))
        cv2.ellipse(
            image,
            eye,
            (int(0.1 * size), int(0.06 * size)),
            0,
            0,
            360,
            (245, 245, 245),
            -1,
            cv2.LINE_AA,
        )
        cv2.circle(image, eye, max(2, int(0.045 * size)), (40, 36, 30), -1, cv2.LINE_AA)
    cv2.ellipse(
        image,
        (x, y + int(0.3 * size)),
        (int(0.24 * size), int((0.05 + 0.12 * mouth) * size)),
        0,
        0,
        180 if smile else 360,
        (70, 60, 150),
        -1,
        cv2.LINE_AA,
    )


@cache
def _picture(width, height, kind, step):
    image = _room(width, height).copy()
    if kind != "empty":
        s = height / 720
        sway = 8 * np.sin(step / 4)
        if kind == "two":
            _person(
                image,
                (int(300 * s), int(360 * s)),
                int(95 * s),
                (150, 180, 214),
                (120, 90, 60),
                False,
                0.1,
            )
        centre = (int((660 + sway) * s), int(330 * s))
        _person(
            image,
            centre,
            int(180 * s),
            (158, 188, 228),
            (88, 72, 150),
            True,
            0.5 + 0.5 * np.sin(step),
        )
    image.flags.writeable = False
    return image


def make_frame(now_s, kind="two", width=1280, height=720, fps=25.0):
    """``kind`` is "two", "one" or "empty" (nobody)."""
    index = int(now_s * fps)
    return VideoFrame(index, index / fps, _picture(width, height, kind, index % 24))


def make_faces(frame, *, kind="two", target_id=1, quality=None, absence=None):
    s = frame.image.shape[0] / 720
    sway = 8 * float(np.sin((frame.index % 24) / 4))
    faces = []
    if kind != "empty":
        box = ((550 + sway) * s, 175 * s, 220 * s, 300 * s)
        faces.append(TrackedFace(1, box, 0.98, None, quality))
    if kind == "two":
        faces.append(TrackedFace(2, (243 * s, 280 * s, 114 * s, 156 * s), 0.91, None, None))
    return FaceReport(
        frame_index=frame.index,
        time_s=frame.time_s,
        faces=tuple(faces),
        target_id=target_id if faces else None,
        absence=absence if faces else Absence.NO_FACE,
        embedding=None,
    )


def speech_spans(now_s, first_s=0.0):
    """Somebody speaks for the first ``SPEECH_S`` of each cycle."""
    spans = []
    for cycle in range(int(max(first_s, now_s - HISTORY_S) // CYCLE_S), int(now_s // CYCLE_S) + 1):
        start_s, end_s = cycle * CYCLE_S + 0.3, min(cycle * CYCLE_S + 0.3 + SPEECH_S, now_s)
        if end_s > max(start_s, now_s - HISTORY_S, first_s):
            spans.append((max(start_s, first_s), end_s))
    return tuple(spans)


def make_waveform(now_s, *, speaking=True, first_s=0.0):
    times = np.arange(max(first_s, now_s - HISTORY_S), now_s, BLOCK_S)
    times = np.round(times / BLOCK_S) * BLOCK_S
    noise = np.abs(np.sin(times * 91.7) * np.cos(times * 13.3))
    level = 0.008 + 0.004 * noise
    if speaking:
        loud = (times % CYCLE_S > 0.3) & (times % CYCLE_S < 0.3 + SPEECH_S)
        level = level + loud * (0.08 + 0.4 * noise * (0.6 + 0.4 * np.sin(times * 2.3)))
    return np.stack([times, -level * 0.9, level], axis=1)


def make_hypothesis(cycle, *, shown=None):
    """The sentence of a cycle; ``shown`` words of it while it is being spoken."""
    words = SENTENCES[cycle % len(SENTENCES)].split()
    start_s = cycle * CYCLE_S + 0.3
    committed = words if shown is None else words[: max(0, shown - 3)]
    words = words if shown is None else words[:shown]
    return Hypothesis(
        segment_id=cycle,
        revision=1,
        text=" ".join(words),
        committed=" ".join(committed),
        is_final=shown is None,
        start_s=start_s,
        end_s=start_s + SPEECH_S,
        trigger_s=start_s + SPEECH_S,
        available_s=start_s + SPEECH_S + 0.4,
    )


def history_of(now_s, absent=None, **options):
    """Estimates of the last 30 s."""
    newest = int(now_s / HOP_S)
    first = max(1, newest - int(HISTORY_S / HOP_S) + 1)
    return tuple(
        _estimate(index, tuple(sorted((absent or {}).items())), **options)
        for index in range(first, newest + 1)
    )


@cache
def _estimate(index, absent, **options):
    return make_estimate(index, dict(absent), **options)


def happy(now_s=59.2, *, kind="two", target_id=1):
    """A person who smiles and speaks, somebody else behind them, everything well."""
    cycle, into_s = int(now_s // CYCLE_S), now_s % CYCLE_S - 0.3
    speaking = 0 <= into_s < SPEECH_S
    n_words = len(SENTENCES[cycle % len(SENTENCES)].split())
    shown = max(1, round(min(into_s / SPEECH_S, 1.0) * n_words)) if into_s > 0.5 else None
    frame = make_frame(now_s, kind)
    history = history_of(now_s)
    current = make_hypothesis(cycle, shown=shown) if speaking and shown else None
    last_final = cycle if into_s >= SPEECH_S else cycle - 1
    return Snapshot(
        now_s=now_s,
        estimate=history[-1],
        history=history,
        states={"face": None, "audio": None, "text": None},
        finals=tuple(make_hypothesis(c) for c in range(max(0, last_final - 5), last_final + 1)),
        current=current,
        faces=make_faces(frame, kind=kind, target_id=target_id),
        frame=frame,
        health=Health(
            score_age_s=0.043,
            score_age_p95_s=0.081,
            estimates_hz=10.0,
            video_fps=24.9,
            encoded_faces_hz=9.8,
            level_dbfs=-23.0 if speaking else -58.0,
            speaking=speaking,
        ),
        waveform=make_waveform(now_s),
        speech=speech_spans(now_s),
    )


def _with_absent(snapshot, absent, since_s):
    """``absent`` from ``since_s`` before now on."""
    history = tuple(
        make_estimate(e.index, absent) if e.time_s > snapshot.now_s - since_s else e
        for e in snapshot.history
    )
    states = {name: absent.get(name) for name in MODALITIES}
    return replace(snapshot, history=history, estimate=history[-1], states=states)


def nobody(now_s=59.2):
    """The person left 8 s ago; nothing to read now."""
    absent = {"face": Absence.NO_FACE, "audio": Absence.NO_SPEECH, "text": Absence.EXPIRED}
    frame = make_frame(now_s, "empty")
    return replace(
        _with_absent(happy(now_s), absent, 8.0),
        frame=frame,
        faces=make_faces(frame, kind="empty"),
        current=None,
        waveform=np.where(
            make_waveform(now_s)[:, :1] < now_s - 8.0,
            make_waveform(now_s),
            make_waveform(now_s, speaking=False),
        ),
        speech=tuple(
            (start_s, min(end_s, now_s - 8.0))
            for start_s, end_s in speech_spans(now_s)
            if start_s < now_s - 8.0
        ),
        health=replace(happy(now_s).health, speaking=False, level_dbfs=-61.0),
    )


def no_speech(now_s=59.2):
    """A face, and silence from the start."""
    absent = {"audio": Absence.NO_SPEECH, "text": Absence.NO_WORDS}
    snapshot = _with_absent(happy(now_s, kind="one"), absent, HISTORY_S)
    return replace(
        snapshot,
        finals=(),
        current=None,
        speech=(),
        waveform=make_waveform(now_s, speaking=False),
        health=replace(snapshot.health, speaking=False, level_dbfs=-60.0),
    )


def camera_lost(now_s=59.2):
    """The camera went away 6 s ago; the last picture stands, two seconds of nothing before."""
    snapshot = _with_absent(happy(now_s), {"face": Absence.LOST}, 6.0)
    frame = make_frame(now_s - 6.0, "one")
    hole = {m: Absence.LOST if m == "face" else Absence.NO_SPEECH for m in MODALITIES}
    history = tuple(
        make_estimate(e.index, hole) if 6.0 < now_s - e.time_s < 8.0 else e
        for e in snapshot.history
    )
    return replace(
        snapshot,
        history=history,
        frame=frame,
        faces=replace(make_faces(frame, kind="one"), absence=Absence.LOST),
        health=replace(snapshot.health, video_fps=0.0, encoded_faces_hz=0.0, dropped_frames=3),
        notices=("camera lost: no picture for 1.5 s; it comes back by itself when it is there",),
        events=(Event(now_s - 6.0, "camera lost", "no picture for 1.5 s"),),
    )


def muted(now_s=59.2):
    """The microphone is muted here; the sound stops 5 s ago."""
    absent = {"audio": Absence.MUTED, "text": Absence.MUTED}
    snapshot = _with_absent(happy(now_s), absent, 5.0)
    waveform = make_waveform(now_s)
    return replace(
        snapshot,
        muted=True,
        current=None,
        waveform=waveform[waveform[:, 0] < now_s - 5.0],
        speech=tuple((a, min(b, now_s - 5.0)) for a, b in snapshot.speech if a < now_s - 5.0),
        health=replace(snapshot.health, speaking=False, level_dbfs=-120.0),
    )


def starting(now_s=1.5):
    """Before the first estimate; the camera already delivers."""
    frame = make_frame(now_s, "one")
    return Snapshot(
        now_s=now_s,
        estimate=None,
        history=(),
        states=dict.fromkeys(MODALITIES, Absence.WAITING),
        finals=(),
        current=None,
        faces=None,
        frame=frame,
        health=Health(video_fps=25.0),
    )


def not_sure(now_s=59.2):
    """It abstains: nothing leads clearly."""
    history = tuple(make_estimate(e.index, sure=False) for e in happy(now_s).history)
    return replace(happy(now_s, kind="one"), history=history, estimate=history[-1])


def broken_words(now_s=59.2):
    """Words cannot be had: the model is missing; one label is not in the head."""
    absent = {"text": Absence.UNAVAILABLE}
    missing = ("Disgust",)
    history = tuple(make_estimate(e.index, absent, missing=missing) for e in happy(now_s).history)
    return replace(
        happy(now_s, kind="one"),
        history=history,
        estimate=history[-1],
        states={"face": None, "audio": None, "text": Absence.UNAVAILABLE},
        finals=(),
        current=None,
        notices=(
            "text is unavailable: no speech model; `realtime-er models get words` fetches it",
        ),
    )


def recording(now_s=59.2):
    """A recording runs since 31 s; 47 minutes of space are left."""
    status = RecordingStatus("sessions/2026-11-21_07-34", now_s - 31.0, 21_400_000, 47 * 60.0)
    return replace(happy(now_s), recording=status)


def recording_low(now_s=59.2):
    """A recording runs and the disk is nearly full."""
    status = RecordingStatus("sessions/2026-11-21_07-34", now_s - 31.0, 21_400_000, 4 * 60.0)
    return replace(happy(now_s), recording=status)


def recording_failed(now_s=59.2):
    """The recording ended before its time."""
    status = RecordingStatus(
        "sessions/2026-11-21_07-34", now_s - 31.0, 21_400_000, 0.0, "the disk is full"
    )
    return replace(
        happy(now_s),
        recording=status,
        notices=("recording ended: the disk is full; what was written until then plays",),
    )


def no_camera(now_s=59.2):
    """Sound only: there never was a camera."""
    absent = {"face": Absence.OFF}
    snapshot = _with_absent(happy(now_s), absent, HISTORY_S + 1)
    return replace(snapshot, frame=None, faces=None)


SAMPLES = {
    "happy": happy,
    "nobody": nobody,
    "no_speech": no_speech,
    "camera_lost": camera_lost,
    "muted": muted,
    "starting": starting,
    "not_sure": not_sure,
    "broken_words": broken_words,
    "recording": recording,
    "recording_low": recording_low,
    "recording_failed": recording_failed,
    "no_camera": no_camera,
}
