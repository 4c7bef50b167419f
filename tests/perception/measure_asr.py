"""How soon and how well words are read; run by hand: python -m tests.perception.measure_asr DATA.

DATA is the folder with ``ravdess_speech``. Live session, real detector and recogniser; each pass
takes as long on the clock of a simulated computer as it took of this one's processor, so that what
else runs here changes little. Prints rows of the tables of docs/performance.md; further arguments
are how many times slower the simulated computer is (1 by default).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile as sf

from realtime_er.config import Config, load_config
from realtime_er.messages import AudioBlock, Hypothesis
from realtime_er.perception.asr import Recognizer, normalised
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.voices import make_voice_model
from realtime_er.perception.whisper import ShortWhisper, find_model
from realtime_er.session import Session
from tests.fakes import FakeSource
from tests.perception.measure_vad import say
from tests.perception.sounds import RATE_HZ, Sound, silence
from tests.test_session import FakeModels
from tests.virtual_machine import VirtualMachine

SAID = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
BEFORE_S, AFTER_S = 0.7, 1.3
HOP = RATE_HZ // 100


class Played:
    """Sound in blocks of 20 ms as they come."""

    kind, name = "audio", "microphone"

    def __init__(self, sound: Sound, machine: VirtualMachine) -> None:
        self.sound, self.machine = sound, machine

    def open(self) -> None:
        pass

    def run(self, emit: Any, pacer: Any, stop: Any) -> None:
        for first in range(0, len(self.sound), 320):
            samples = self.sound[first : first + 320]
            self.machine.wait_until((first + len(samples)) / RATE_HZ)
            emit(AudioBlock(first, first / RATE_HZ, samples))

    def close(self) -> None:
        pass

    def info(self) -> dict[str, Any]:
        return {}


class Timed:
    """The real recogniser; what a pass takes passes on the simulated clock."""

    has_smaller = False

    def __init__(self, config: Config, whisper: Any, machine: VirtualMachine, slower: float):
        self.machine, self.slower = machine, slower
        self.passes, self.busy_s = 0, 0.0
        self.heard: list[tuple[Hypothesis, float]] = []
        self.real = Recognizer(config.asr, whisper)

    def transcribe(self, segment: Any, *more: Any) -> Hypothesis:
        started_s = time.process_time()
        try:
            hypothesis = self.real.transcribe(segment, *more)
        finally:
            took_s = self.slower * (time.process_time() - started_s)
            self.passes += took_s > 0.05  # what is known already takes less
            self.busy_s += took_s
            self.machine.compute(took_s)
        self.heard.append((hypothesis, self.machine.now_s()))
        return hypothesis


class NoVoice:
    """A voice encoder that costs nothing and says nothing."""

    encoder_id = "none"
    step_samples = window_samples = RATE_HZ
    next_end_sample = None

    def push(self, first_sample: int, samples: Sound) -> list[Any]:
        return []

    def skip(self) -> None:
        pass

    def finish(self) -> None:
        return None


class RealVoices(FakeModels):
    """Fakes but for what hears."""

    def load(self, **wanted: bool) -> None:
        self.audio = NoVoice()

    def speech_detector(self) -> SpeechDetector:
        asr, vad = self.config.asr, self.config.vad
        return SpeechDetector(vad, asr.partial_every_s, make_voice_model(vad.engine))


def spoken(clip: Sound) -> tuple[float, float]:
    """Where a clip's speech begins and ends, in seconds.

    Within 20 dB of its loud parts, and 10 dB above its soft ones, which are noise.
    """
    whole = clip[: len(clip) // HOP * HOP]
    level = 10 * np.log10(np.mean(whole.reshape(-1, HOP) ** 2, axis=1) + 1e-12)
    bar = max(np.quantile(level, 0.95) - 20, np.quantile(level, 0.1) + 10)
    loud = np.flatnonzero(level > bar)
    return loud[0] / 100, (loud[-1] + 1) / 100


def run(
    track: Sound, whisper: Any, slower: float, **changes: Any
) -> tuple[Timed, float, tuple[str, ...]]:
    """Hypotheses and when they were ready; recogniser's seconds per second; the accounts."""
    machine = VirtualMachine(processors=2)
    settings = {"camera.enabled": False, **changes}
    config = load_config("live", settings)
    models: Any = RealVoices(config)
    models.recognizer = timed = Timed(config, whisper, machine, slower)
    with pytest.MonkeyPatch.context() as patch:
        machine.install(patch)
        source = FakeSource(Played(track, machine), realtime=True)
        with Session(config, source=source, models=models) as session:
            for _estimate in session.estimates():
                pass
        lines = tuple(line for line in session.accounting().lines() if "asr" in line)
    return timed, timed.busy_s / (len(track) / RATE_HZ), lines


def quantiles(values: list[float]) -> str:
    """Median and 95 % in seconds."""
    return f"{np.median(values):.2f} / {np.quantile(values, 0.95):.2f}" if values else "none"


def main() -> None:
    """One row for each slowness."""
    files = sorted((Path(sys.argv[1]) / "ravdess_speech").glob("*/*.flac"))[12::25]
    folder = find_model()
    if folder is None:
        raise SystemExit("no speech recognition model")
    whisper = ShortWhisper(folder)
    parts: list[Sound] = []
    spans: list[tuple[float, float]] = []
    at = 0
    for path in files:
        clip = sf.read(path, dtype="float32")[0]
        clip = clip * np.float32(0.05 / np.sqrt(np.mean(clip**2)))
        onset_s, end_s = spoken(clip)
        at += round(BEFORE_S * RATE_HZ)
        spans.append((at / RATE_HZ + onset_s, at / RATE_HZ + end_s))
        at += len(clip) + round(AFTER_S * RATE_HZ)
        parts += [silence(BEFORE_S), clip, silence(AFTER_S)]
    track = np.concatenate(parts)
    truth = [SAID[path.stem.split("-")[4]] for path in files]
    say(f"{len(files)} clips, {len(track) / RATE_HZ:.0f} s")
    say(
        "| slower | first words p50 / p95 s | final p50 / p95 s | WER | passes | busy |\n|-|-|-|-|-|-|"
    )
    for slower in [float(word) for word in sys.argv[2:]] or [1.0]:
        timed, busy, lines = run(track, whisper, slower)
        first: list[float] = []
        final: list[float] = []
        texts = []
        for onset_s, end_s in spans:
            here = [h for h in timed.heard if onset_s - 0.7 < h[0].end_s < end_s + 1.4]
            words = [ready_s for heard, ready_s in here if heard.text]
            finals = [(heard, ready_s) for heard, ready_s in here if heard.is_final]
            if words:
                first.append(words[0] - onset_s)
            if finals:
                final.append(finals[-1][1] - end_s)
            text = " ".join(heard.text for heard, _ in finals)
            texts.append(" ".join(filter(None, map(normalised, text.split()))))
        say(
            f"| {slower:g} | {quantiles(first)} | {quantiles(final)} | {jiwer.wer(truth, texts):.3f} "
            f"| {timed.passes} | {busy:.2f} | {len(first)} {len(final)} {lines}"
        )


if __name__ == "__main__":
    main()
