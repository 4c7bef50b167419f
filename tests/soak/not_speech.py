"""What is no speech, through voice activity and Whisper as a session uses them: words that nobody said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from realtime_er.clock import Clock
from realtime_er.config import Config, load_config
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock
from realtime_er.models import Models
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from realtime_er.sources.base import Emit, Pacer, Stream
from realtime_er.sources.resample import to_16_bit
from tests.perception.sounds import Sound, clicks, pink, silence, white
from tests.soak.material import babble, voices
from tests.soak.tunes import song

NONE_ALLOWED = ("digital silence", "room", "white noise", "pink noise", "music")
"""Words are invented if there are any. Keyboard and babble are told, not judged."""

_BLOCK = 1600


class Played:
    """A source of nothing but this sound, as fast as the stages take it."""

    realtime = False

    def __init__(self, sound: Sound) -> None:
        self._sound = sound

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        return [_Player(self._sound)]


class _Player:
    kind: Literal["audio"] = "audio"
    name = "microphone"

    def __init__(self, sound: Sound) -> None:
        self._sound = sound

    def open(self) -> None:
        pass

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        for first in range(0, len(self._sound), _BLOCK):
            start_s = first / SAMPLE_RATE_HZ
            if not pacer.wait(start_s, stop):
                return
            samples = to_16_bit(self._sound[first : first + _BLOCK])
            samples.setflags(write=False)
            emit(AudioBlock(first, start_s, samples))

    def close(self) -> None:
        pass

    def info(self) -> dict[str, Any]:
        return {}


def made(seconds: float) -> dict[str, Sound]:
    """Each kind, for so long; no babble where there are not several voices."""
    found = {
        "digital silence": silence(seconds),
        "room": white(seconds, 0.0005),
        "white noise": white(seconds),
        "pink noise": pink(seconds),
        "music": song(seconds),
        "keyboard": clicks(seconds),
    }
    speakers = voices()
    if len(speakers) > 2:
        found["babble"] = babble(seconds, speakers)
    return found


def words_in(sound: Sound, folder: Path, models: Models | None = None) -> dict[str, Any]:
    """What a session writes of a sound, and how often it was asked for words.

    Args:
        sound: float32 mono at 16 kHz.
        folder: Where the session is recorded, without its media.
        models: Loaded ones, to use again.
    """
    config = load_config("live", {"camera.enabled": False})
    options = RecordOptions(media=False, verify=False)
    session = Session(config, source=Played(sound), models=models, record=(folder, options))
    began_s, partials = perf_counter(), 0
    with session:
        if session.notices:
            raise RuntimeError(f"words cannot be counted: {'; '.join(session.notices)}")
        shown: set[str] = set()
        for estimate in session.estimates():
            if estimate.partial:
                shown.add(estimate.partial)
        partials = len(shown)
    accounting = session.accounting()
    segments = next(e for e in accounting.edges if e.counts.name == "speech>asr")
    texts = [hypothesis.text for hypothesis in session.finals]
    refused = [] if not segments.captured else _refused(folder)
    return {
        "seconds": len(sound) / SAMPLE_RATE_HZ,
        "segments": segments.captured,
        "words": sum(len(text.split()) for text in texts),
        "finals": texts[:20],
        "partials_shown": partials,
        "refused": refused,
        "balanced": accounting.balanced,
        "wall_s": round(perf_counter() - began_s, 1),
    }


def _refused(folder: Path) -> list[str]:
    """Why final hypotheses without words have none, as recorded."""
    recorded = Session.open(folder)
    try:
        table = recorded.hypotheses()
    finally:
        recorded.close()
    finals = table[table["is_final"].astype(bool)]
    return sorted({str(why) for why in finals["refused"] if why})


def not_speech(
    seconds: float, out: Path, *, say: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """Each kind of sound for so long; what came of it, written as it goes."""
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {"sounds": {}, "verdicts": {}}
    sounds = made(seconds)
    if "babble" not in sounds:
        say("babble: skipped, needs ../shared/data/ravdess_speech for several voices")
    for name, sound in sounds.items():
        told = words_in(sound, out / name.replace(" ", "-"))
        summary["sounds"][name] = told
        if name in NONE_ALLOWED:
            summary["verdicts"][f"no words in {name}"] = told["words"] == 0
        (out / "summary.json").write_text(json.dumps(summary, indent=1))
        say(
            f"{name}: {told['words']} words in {told['seconds'] / 60:.0f} min, "
            f"{told['segments']} segments, {told['partials_shown']} partials shown, "
            f"{told['wall_s']} s; {told['finals'][:5]} {told['refused']}"
        )
    return summary
