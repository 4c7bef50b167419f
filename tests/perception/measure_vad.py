"""Compare the voice activity detectors; run by hand: python -m tests.perception.measure_vad DATA.

DATA is the folder with ``ravdess_speech`` and ``emodb``. Prints the tables of
docs/voice-activity.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile as sf
from sklearn.metrics import roc_auc_score

from realtime_er.config import VadConfig
from realtime_er.messages import AudioBlock, SpeechActivity, SpeechSegment
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.voices import make_voice_model
from tests.perception.sounds import NOT_SPEECH, RATE_HZ, Sound, pink, silence, white


def speech_track(data: Path) -> tuple[Sound, np.ndarray]:
    """Clips with 1 s of silence between; per 10 ms: 1 speech, 0 silence, -1 not counted."""
    files = sorted((data / "ravdess_speech").glob("*/*.flac"))[::40]
    files += sorted((data / "emodb").glob("*.flac"))[::14]
    hop = RATE_HZ // 100
    sounds, truths = [], []
    for path in files:
        clip = sf.read(path, dtype="float32")[0]
        clip = clip[: len(clip) // hop * hop]
        clip = clip * np.float32(0.05 / np.sqrt(np.mean(clip**2)))
        level = 10 * np.log10(np.mean(clip.reshape(-1, hop) ** 2, axis=1) + 1e-12)
        # Loud parts of a clip are speech; its soft parts (closures, breath) are not counted.
        truth = np.where(level > np.quantile(level, 0.95) - 25, 1, -1)
        # Nor is the first 0.3 s of each pause: detectors are meant to be slow to let go.
        pause = np.r_[np.full(30, -1), np.zeros(70)]
        sounds += [clip, silence(1.0)]
        truths += [truth, pause]
    return np.concatenate(sounds), np.concatenate(truths).astype(int)


def run(engine: str, sound: Sound) -> tuple[np.ndarray, np.ndarray, int]:
    """Probability and decision per 10 ms, and the number of segments."""
    detector = SpeechDetector(VadConfig(), 1e9, make_voice_model(engine))
    out = detector.push(AudioBlock(0, 0.0, sound)) + detector.flush()
    count = len(sound) // (RATE_HZ // 100)
    probability, speaking = np.zeros(count), np.zeros(count, bool)
    segments = 0
    for item in out:
        if isinstance(item, SpeechSegment):
            segments += 1
        elif isinstance(item, SpeechActivity):
            span = slice(round(item.start_s * 100), round(item.end_s * 100))
            probability[span] = item.probability
            speaking[span] = item.speaking
    return probability, speaking, segments


def say(line: str) -> None:
    """Print at once: a run takes a minute or two."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print both tables."""
    clean, truth = speech_track(Path(sys.argv[1]))
    counted = truth >= 0
    say(f"{len(clean) / RATE_HZ:.0f} s, {np.sum(truth == 1) / 100:.0f} s speech")
    say("| speech in | engine | AUC | missed speech | false speech in pauses |\n|-|-|-|-|-|")
    seconds = len(clean) / RATE_HZ
    cases = {"clean": clean}
    for name, noise in (("white", white), ("pink", pink)):
        for snr_db in (20, 10, 0):
            added = noise(seconds + 1, 0.05 * 10 ** (-snr_db / 20))[: len(clean)]
            cases[f"{name}, {snr_db} dB"] = clean + added
    for name, sound in cases.items():
        for engine in ("silero", "webrtc"):
            probability, speaking, _ = run(engine, sound)
            auc = roc_auc_score(truth[counted], probability[: len(truth)][counted])
            missed = 1 - speaking[: len(truth)][truth == 1].mean()
            false = speaking[: len(truth)][truth == 0].mean()
            say(f"| {name} | {engine} | {auc:.3f} | {missed:.3f} | {false:.3f} |")
    say("\n| 120 s of | engine | time taken for speech | segments |\n|-|-|-|-|")
    for name, make in NOT_SPEECH.items():
        for engine in ("silero", "webrtc"):
            _, speaking, segments = run(engine, make(120.0))
            say(f"| {name} | {engine} | {speaking.mean():.3f} | {segments} |")


if __name__ == "__main__":
    main()
