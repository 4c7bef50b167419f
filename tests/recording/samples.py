"""A small session folder with everything that can be in one, written through the real store.

What a person in front of the camera would have done is in the names of the constants.
"""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np

from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    Embedding,
    Estimate,
    Event,
    FaceReport,
    Gap,
    Health,
    Hypothesis,
    SpeechActivity,
    Timing,
    TrackedFace,
    Word,
)
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.database import create_database, finish_database
from realtime_er.recording.labels import Label, LabelSet
from realtime_er.recording.manifest import DATABASE, MEDIA, Manifest, write_manifest
from realtime_er.recording.store import Store
from realtime_er.windows import Transcribed

START_S = 2.25
DURATION_S = 12.0
END_S = START_S + DURATION_S
HOP_S = 0.1
FPS = 10
CAMERA_LOST = (8.0, 10.0)  # session seconds
HAPPY_FROM_S = 6.0

UTTERANCES = (
    (3.0, 4.5, 'I like <this> & "that" --> really'),
    (6.0, 7.5, "זה נהדר 🎉"),
    (10.0, 11.0, "fine"),
)

NASTY = "<script>alert(\"x\")</script> & 'q'"
LABEL_SET = LabelSet(
    labels=(
        Label("rater", "Neutral", "1", "toggle", "#999999"),
        Label("rater", "Happy", "2", "toggle", "#E69F00"),
        Label("rater", "Sad", "3", "toggle", "#0072B2"),
        Label("observer", NASTY, "x", "point", "#009E73"),
        Label("observer", "שמח 😀", "y", "hold", "#009E73"),
        Label("observer", 'says "hi"', "z", "toggle", "#D55E00"),
    ),
    exclusive=frozenset({"rater"}),
    reaction_s=0.25,
)


def write_session(folder: Path, *, media: bool = True, annotated: bool = True) -> Path:
    """Write the session; returns the folder."""
    folder.mkdir(parents=True)
    connection = create_database(folder / DATABASE)
    store = Store(connection)
    _write_messages(store)
    frames = [START_S + index / FPS for index in range(round(DURATION_S * FPS))]
    frames = [time_s for time_s in frames if not CAMERA_LOST[0] <= time_s < CAMERA_LOST[1]]
    for index, time_s in enumerate(frames):
        store.add_frame(index, time_s, round((time_s - START_S) * 1000))
    store.add_sound(0, 0, START_S, round(DURATION_S * 16_000), 0)
    store.commit()
    finish_database(connection)
    if media:
        _write_media(folder / MEDIA, frames)
    manifest = Manifest(
        started_at="2026-11-21T09:30:00+00:00",
        start_s=START_S,
        end_s=END_S,
        software={"realtime_er": "0.1.0"},
        models={"face": {"id": "compact-face", "sha256": "ab" * 32}},
        devices={"camera": {"requested": {"fps": 30}, "granted": {"fps": FPS, "name": "<cam>"}}},
        media=MEDIA if media else None,
        complete=True,
        verified={"ok": True, "line": "120 pictures, 192000 samples", "problems": []},
    )
    write_manifest(folder, manifest)
    if annotated:
        annotate(folder)
    return folder


def annotate(folder: Path) -> None:
    """Two raters: they agree on most of it. The second has notes and a hostile label."""
    with AnnotationStore(folder, "anna", LABEL_SET) as store:
        store.press("1", START_S + 0.75, 7)
        store.press("2", 6.25, 40)
        store.close(12.25)
    with AnnotationStore(folder, "ben", LABEL_SET) as store:
        store.press("1", START_S + 1.25, 12)
        store.press("2", 7.25, 50)
        store.press("2", 11.25, 70)
        store.press("x", 5.25, 30)
        store.press("x", 5.251, 30)
        store.press("y", 4.25, 20)
        store.press("z", 4.75, 25)
        store.release("y", 5.75, 35)
        store.press("z", 6.75, 45)
        store.note('first line\nsecond <b>"line"</b> שלום 🙂', 9.0, None)


def label_at(time_s: float) -> str | None:
    """What the estimates say; None where they abstain."""
    if time_s < START_S + 0.5:
        return None
    return "Happy" if time_s > HAPPY_FROM_S else "Neutral"


def estimate_at(tick: int) -> Estimate:
    """An estimate whose numbers follow from its tick."""
    time_s = tick * HOP_S
    label = label_at(time_s)
    lost = CAMERA_LOST[0] < time_s <= CAMERA_LOST[1]
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[LABELS.index(label or "Neutral")] = 0.7 if label else 0.3
    probabilities[LABELS.index("Fear")] = np.nan
    if label is None:
        probabilities[:] = np.nan
    contributions = {
        modality: (probabilities - np.float32(1 / 7)) / np.float32(2)
        for modality in MODALITIES
        if label is not None and not (lost and modality == "face")
    }
    absent = {"text": Absence.NO_WORDS} if time_s < 4.5 else {}
    if lost:
        absent["face"] = Absence.LOST
    return Estimate(
        index=tick,
        time_s=time_s,
        label=label,
        confidence=0.7 if label else 0.0,
        probabilities=probabilities,
        contributions=contributions,
        absent=absent,
        transcript="I like" if time_s > 4 else "",
        partial="",
        timing=Timing(
            0.08 + 0.001 * (tick % 7),
            0.002,
            {"face": 0.05, "audio": 0.1, "text": None},
            "watermark",
        ),
    )


def ticks() -> range:
    """Ticks that were recorded."""
    return range(int(START_S / HOP_S) + 1, int(END_S / HOP_S) + 1)


def _write_messages(store: Store) -> None:
    vector = np.arange(4, dtype=np.float32)
    items: list[tuple[float, int, object]] = [
        (CAMERA_LOST[0], 0, Event(CAMERA_LOST[0], "device lost", "camera: unplugged")),
        (CAMERA_LOST[1], 0, Event(CAMERA_LOST[1], "device back", "camera")),
        (CAMERA_LOST[1], 1, Gap("camera", *CAMERA_LOST, "unplugged")),
    ]
    for number in range(round(DURATION_S * 10)):
        time_s = START_S + number / 10
        speaking = any(a <= time_s < b for a, b, _ in UTTERANCES)
        items.append((time_s, 2, SpeechActivity(time_s, time_s + 0.1, speaking, 0.9, -30.0)))
        if not CAMERA_LOST[0] <= time_s < CAMERA_LOST[1]:
            face = TrackedFace(1, (10.0, 20.0, 50.0, 60.0), 0.9)
            other = TrackedFace(2, (90.0, 20.0, 20.0, 20.0), 0.8, quality=Absence.FACE_TOO_SMALL)
            embedding = Embedding("face", time_s, time_s, vector + number, "f", 1, time_s)
            faces = (face, other) if number < 20 else (face,)
            items.append((time_s, 3, FaceReport(number, time_s, faces, 1, None, embedding)))
    for segment, (start_s, end_s, text) in enumerate(UTTERANCES):
        parts = text.split()
        step_s = (end_s - start_s) / len(parts)
        words = tuple(
            Word(part, start_s + i * step_s, start_s + (i + 1) * step_s, 0.9)
            for i, part in enumerate(parts)
        )
        partial = Hypothesis(segment, 0, parts[0], "", False, start_s, end_s - 0.5, end_s - 0.5,
                             end_s - 0.2)  # fmt: skip
        final = Hypothesis(segment, 1, text, text, True, start_s, end_s, end_s, end_s + 0.4, words)
        embedding = Embedding("text", start_s, end_s, vector, "t", segment, end_s + 0.4)
        items.append((partial.available_s, 4, Transcribed(partial, None)))
        items.append((final.available_s, 4, Transcribed(final, embedding)))
    items += [(tick * HOP_S, 5, estimate_at(tick)) for tick in ticks()]
    for _, _, message in sorted(items, key=lambda item: item[:2]):
        store.add(message)  # type: ignore[arg-type]
    for second in range(1, round(DURATION_S)):
        store.add_health(
            START_S + second,
            Health(0.09, 0.12, 10.0, float(FPS), 10.0, -35.0, second % 2 == 0, second // 4, 0),
        )


def _write_media(path: Path, frames: list[float]) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.time_base = video.codec_context.time_base = _milliseconds()
        sound = container.add_stream("flac", rate=16_000, layout="mono")
        for time_s in frames:
            image = np.full((48, 64, 3), int(time_s * 10) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "bgr24")
            frame.time_base = _milliseconds()
            frame.pts = round((time_s - START_S) * 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = np.zeros((1, round(DURATION_S * 16_000)), np.int16)
        block = av.AudioFrame.from_ndarray(tone, "s16", "mono")
        block.sample_rate, block.pts = 16_000, 0
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))


def _milliseconds():
    from fractions import Fraction

    return Fraction(1, 1000)


def lie_in_manifest(folder: Path, **values: object) -> None:
    """Change what the manifest says, behind the program's back."""
    path = folder / "manifest.json"
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | values), "utf-8")
