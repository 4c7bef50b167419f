"""How fast ``analyze`` is on a 720p recording with speech; words are counted apart."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

from realtime_er.analyze import Batch, config_hash, model_ids
from realtime_er.bench.tables import Row, Section, absent, alternate, median_row
from realtime_er.clock import SessionClock
from realtime_er.config import Config
from realtime_er.errors import SourceError
from realtime_er.models import Models
from realtime_er.perception.whisper import find_model
from realtime_er.session import Session
from realtime_er.sources.media_file import MediaFile


def analysis_section(config: Config, clip: Path, repeats: int) -> Section:
    """Analyse the clip with and without words, in turn. Models are loaded before, as for a folder.

    Args:
        config: of ``analyze``; its bundle and settings are kept.
        clip: the recording.
        repeats: measured runs of each.

    Raises:
        SourceError: the clip could not be analysed.
    """
    duration_s = MediaFile(clip).duration_s
    with tempfile.TemporaryDirectory() as folder:
        spoken = find_model(config.asr.model) if config.asr.enabled else None
        silent = _Analyzer(_without_words(config), clip, Path(folder) / "silent")
        runs = {"silent": silent.run}
        worded: _Analyzer | None = None
        if spoken is not None:
            worded = _Analyzer(config, clip, Path(folder) / "worded")
            runs["worded"] = worded.run
        measured = alternate(runs, repeats)
    speeds = [duration_s / seconds for seconds in measured["silent"]]
    busy = [seconds / duration_s for seconds in silent.cpu_s[1:]]
    rows = [
        median_row("speed", "without words", speeds, "x", "times real time, tables and picture"),
        median_row("cores", "  processor time per second of recording", busy, "s"),
    ]
    if worded is not None:
        speeds = [duration_s / seconds for seconds in measured["worded"]]
        busy = [seconds / duration_s for seconds in worded.cpu_s[1:]]
        rows.append(median_row("speed_words", "with words", speeds, "x", "times real time"))
        rows.append(
            median_row("cores_words", "  processor time per second of recording", busy, "s")
        )
    else:
        rows.append(absent("speed_words", "with words", "x", "no speech recognition model"))
    rows.append(Row("duration", "recording", duration_s, "s"))
    return Section("analyze", "analyze: 720p with speech, as fast as possible", tuple(rows))


class _Analyzer:
    """What ``realtime-er analyze`` does with one file, its models loaded once."""

    def __init__(self, config: Config, clip: Path, out: Path) -> None:
        models = Models(config)
        whisper = find_model(config.asr.model) if config.asr.enabled else None
        self._batch = Batch(
            out,
            lambda path: Session(config, source=MediaFile(path), models=models),
            config=config_hash(config),
            models=model_ids(config, whisper),
            clock=SessionClock(),
            overwrite=True,
        )
        self._clip = clip
        self.cpu_s: list[float] = []

    def run(self) -> float:
        """Seconds it took."""
        started_s, cpu_s = time.perf_counter(), time.process_time()
        outcome = self._batch.run(self._clip)
        if outcome.status != "done":
            raise SourceError(f"{self._clip}: not analysed: {outcome.reason}")
        self.cpu_s.append(time.process_time() - cpu_s)
        return time.perf_counter() - started_s


def _without_words(config: Config) -> Config:
    return dataclasses.replace(config, asr=dataclasses.replace(config.asr, enabled=False))
