"""A session made up by the test: pictures that carry their number, sound, estimates; and a process
that records one in real time, to be killed.

    python -m tests.recording.synthetic FOLDER SECONDS

It writes the session times of the newest picture, sound and estimate that were offered to standard
output, a line for each.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from realtime_er.clock import SessionClock, VirtualClock
from realtime_er.messages import (
    LABELS,
    MODALITIES,
    SAMPLE_RATE_HZ,
    Absence,
    AudioBlock,
    Embedding,
    Estimate,
    FaceReport,
    Health,
    Hypothesis,
    SpeechActivity,
    Timing,
    TrackedFace,
    VideoFrame,
    Word,
)
from realtime_er.recording.options import RecordHeader, RecordingReport, RecordOptions
from realtime_er.recording.recorder import Recorder
from realtime_er.recording.store import StoredCheckpoint
from realtime_er.windows import Transcribed

BLOCK = 320


def picture(index: int, size_px: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A gradient that moves with its number."""
    width, height = size_px
    rows = np.arange(height, dtype=np.uint16)[:, None]
    columns = np.arange(width, dtype=np.uint16)[None, :]
    image = np.stack(
        [rows + columns + index, 2 * rows + index + 0 * columns, columns + 0 * rows], axis=2
    )
    image = image.astype(np.uint8)
    image.setflags(write=False)
    return image


def frame(index: int, time_s: float, size_px: tuple[int, int] = (64, 48)) -> VideoFrame:
    return VideoFrame(index, time_s, picture(index, size_px))


def block(number: int, start_s: float | None = None, n_samples: int = BLOCK) -> AudioBlock:
    """Samples on the grid of 16 bits, each block another tone."""
    first = number * n_samples
    index = np.arange(first, first + n_samples)
    samples = (np.rint(9000 * np.sin(index * 0.02)) / 32768).astype(np.float32)
    samples.setflags(write=False)
    return AudioBlock(first, first / SAMPLE_RATE_HZ if start_s is None else start_s, samples)


def estimate(index: int, time_s: float | None = None, *, seed: int = 0) -> Estimate:
    """All kinds of values: missing scores, an absent modality, odd text, awkward floats."""
    rng = np.random.default_rng((seed, index))
    scores = rng.dirichlet(np.ones(7)).astype(np.float32)
    scores[rng.random(7) < 0.2] = np.nan
    contributions = {m: rng.normal(size=7).astype(np.float32) for m in MODALITIES}
    contributions["text"][2] = np.nan
    if index % 3 == 0:
        del contributions["audio"]
    return Estimate(
        index=index,
        time_s=index * 0.1 if time_s is None else time_s,
        label=None if index % 4 == 0 else LABELS[index % 7],
        confidence=float(np.float32(rng.random())),
        probabilities=scores,
        contributions=contributions,
        absent={"face": Absence.NO_FACE} if index % 2 else {},
        transcript='quo"tes, \u05e9\u05dc\u05d5\u05dd and \N{GRINNING FACE}',
        partial="" if index % 5 else "half a\nword",
        timing=Timing(
            age_s=None if index % 6 == 0 else rng.random(),
            fuse_s=rng.random() / 100,
            evidence_age_s={"face": None, "audio": rng.random(), "text": 0.1 + 0.2},
            closed_by="watermark",
        ),
    )


def embedding(modality: str, end_s: float, n: int = 8) -> Embedding:
    rng = np.random.default_rng(round(end_s * 1000))
    vector = rng.normal(size=n).astype(np.float32)
    start_s = end_s if modality == "face" else end_s - 0.25
    return Embedding(modality, start_s, end_s, vector, f"{modality}-encoder", 3, end_s + 1 / 3)


def report(index: int, time_s: float, boxes=((10.5, 8.25, 20.0, 22.0),)) -> FaceReport:
    landmarks = np.arange(10, dtype=np.float32).reshape(5, 2) / 3
    faces = tuple(
        TrackedFace(7 - number, box, 0.9, landmarks, Absence.FACE_TOO_SMALL if number else None)
        for number, box in enumerate(boxes)
    )
    vector = embedding("face", time_s) if faces else None
    return FaceReport(index, time_s, faces, 7 if faces else None, None, vector)


def transcribed(revision: int, end_s: float, *, text: str = "hello there") -> Transcribed:
    words = tuple(Word(w, end_s - 0.3, end_s - 0.1, 0.7) for w in text.split())
    hypothesis = Hypothesis(
        2, revision, text, text, revision > 1, end_s - 1, end_s, end_s, end_s + 0.1, words, ""
    )
    return Transcribed(hypothesis, embedding("text", end_s) if text else None)


def speech(start_s: float) -> SpeechActivity:
    return SpeechActivity(start_s, start_s + 0.03, True, 0.8, -23.4)


def offer_second(recorder: Recorder, second: int) -> None:
    """30 pictures, 50 blocks of sound, 10 reports and estimates, in order of time."""
    messages: list[tuple[float, VideoFrame | AudioBlock | FaceReport | Estimate]] = []
    messages += [(n / 30, frame(n, n / 30)) for n in range(30 * second, 30 * second + 30)]
    messages += [(n / 50, block(n)) for n in range(50 * second, 50 * second + 50)]
    for n in range(10 * second, 10 * second + 10):
        messages += [(n / 10, report(n, n / 10)), (n / 10, estimate(n))]
    for _, message in sorted(messages, key=lambda item: item[0]):
        recorder.offer(message)


def make_recorder(folder: Path) -> Recorder:
    header = RecordHeader(0.0, video=True, sound=True)
    recorder = Recorder(folder, header, clock=VirtualClock(), health=Health)
    recorder.open()
    return recorder


def record(folder: Path, seconds: float) -> RecordingReport:
    """A whole recording; at most two seconds, for nobody takes pictures away meanwhile."""
    recorder = make_recorder(folder)
    for second in range(round(seconds)):
        offer_second(recorder, second)
    recorder.finish()
    recorder.run()
    return recorder.report()


@contextlib.contextmanager
def record_until(folder: Path, seconds: float) -> Iterator[Recorder]:
    """A recording that is still running in the body, with everything taken and committed."""
    recorder = make_recorder(folder)
    thread = threading.Thread(target=recorder.run)
    thread.start()
    waiting = threading.Event()
    try:
        for second in range(round(seconds)):
            offer_second(recorder, second)
            for _ in range(1000):
                counts = recorder._intake.counts()
                if not (counts.frames_waiting or counts.samples_waiting):
                    break
                waiting.wait(0.005)
        reader = sqlite3.connect(folder / "session.sqlite")
        for _ in range(1000):
            (n_estimates,) = reader.execute("SELECT count(*) FROM estimates").fetchone()
            if n_estimates == round(10 * seconds):
                break
            waiting.wait(0.005)
        reader.close()
        yield recorder
    finally:
        recorder.finish()
        thread.join()


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    options = RecordOptions(lossless="--lossless" in sys.argv)
    size_px = (1280, 720) if "--720p" in sys.argv else (640, 480)
    pictures = [picture(index, size_px) for index in range(30)]
    clock = SessionClock()
    recorder = Recorder(
        folder, RecordHeader(0.0, video=True, sound=True), options, clock=clock, health=Health
    )
    recorder.open()
    thread = threading.Thread(target=recorder.run)
    thread.start()
    recorder.offer(StoredCheckpoint("{}"))
    never = threading.Event()
    n_frames = n_blocks = n_estimates = 0
    while (now_s := clock.now_s()) < seconds:
        while n_frames / 30 <= now_s:
            recorder.offer(VideoFrame(n_frames, n_frames / 30, pictures[n_frames % 30]))
            n_frames += 1
        while (n_blocks + 1) * BLOCK / SAMPLE_RATE_HZ <= now_s:
            recorder.offer(block(n_blocks))
            n_blocks += 1
        while n_estimates * 0.1 <= now_s:
            recorder.offer(embedding("audio", n_estimates * 0.1))
            recorder.offer(estimate(n_estimates))
            n_estimates += 1
        newest = (n_frames - 1) / 30, n_blocks * BLOCK / SAMPLE_RATE_HZ, (n_estimates - 1) * 0.1
        sys.stdout.write(f"{newest[0]:.3f} {newest[1]:.3f} {newest[2]:.3f}\n")
        sys.stdout.flush()
        never.wait(0.005)
    recorder.finish()
    thread.join()
    sys.stdout.write(recorder.report().line() + "\n")


if __name__ == "__main__":
    main()
