"""Runs the parts of the bench one after another and puts their figures together. Main thread."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realtime_er.bench.analysis import analysis_section
from realtime_er.bench.backends import backends_section
from realtime_er.bench.clip import loop_clip, write_clip
from realtime_er.bench.drawing import drawing_section
from realtime_er.bench.goals import Verdict, judge
from realtime_er.bench.live import (
    WARM_S,
    age_section,
    compute_section,
    loss_section,
    memory_section,
    overload_notes,
    run_live,
    words_section,
)
from realtime_er.bench.machine import describe_machine, need_psutil
from realtime_er.bench.notes import Notes
from realtime_er.bench.observed import ObservedModels
from realtime_er.bench.overhead import overhead_section, run_overhead
from realtime_er.bench.reencoding import reencoding_section
from realtime_er.bench.starting import starting_section
from realtime_er.bench.tables import Section
from realtime_er.bench.weights import (
    exports,
    missing_weights,
    random_weights,
    remove_exports,
)
from realtime_er.config import Config, load_config
from realtime_er.errors import ConfigError, SourceError
from realtime_er.messages import MODALITIES
from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model
from realtime_er.resources import resource_dir
from realtime_er.sources.media_file import MediaFile

PARTS = ("live", "start", "analyze", "reencoding", "backends", "overhead", "display")
_CLIP_S = 26.0
_TUNED = {"live", "start", "analyze", "reencoding"}
"""Parts in which the large encoders run as this machine runs them best."""


@dataclass(frozen=True)
class Wish:
    """What to measure.

    Attributes:
        bundle: "compact" or "paper".
        seconds: of each paced session.
        source: a recording with a face and speech; None for the bundled clip, scaled to 720p.
        only: parts to measure; empty for all.
        weights: where random weights of the large encoders are kept; None makes and removes them.
        settings: of the configuration, name to value.
        repeats: of comparisons.
    """

    bundle: str
    seconds: float = 30.0
    source: Path | None = None
    only: tuple[str, ...] = ()
    weights: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    repeats: int = 3


@dataclass(frozen=True)
class Results:
    """All figures of one run."""

    bundle: str
    machine: dict[str, Any]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    verdicts: tuple[Verdict, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "bundle": self.bundle,
            "machine": self.machine,
            "notes": list(self.notes),
            "sections": {section.key: section.to_record() for section in self.sections},
            "goals": [verdict.to_record() for verdict in self.verdicts],
        }


def measure(wish: Wish, say: Callable[[str], None] = lambda _text: None) -> Results:
    """Measure what is wished for. Takes minutes; files go to a temporary folder.

    Args:
        wish: what.
        say: told what comes next, in a few words.

    Raises:
        ConfigError: an unknown part, or a bad setting.
        ModelError: a package or model is missing.
        SourceError: the recording cannot be used.
    """
    unknown = sorted(set(wish.only) - set(PARTS))
    if unknown:
        raise ConfigError(f"--only {unknown[0]}: no such part; there are {', '.join(PARTS)}")
    need_psutil()
    machine = describe_machine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rter-bench-")))
        stack.enter_context(_no_exports_left(wish, folder))
        bench = _Bench(wish, folder, say)
        sections = tuple(bench.sections())
    return Results(
        wish.bundle, machine, tuple(bench.notes), sections, tuple(judge(wish.bundle, sections))
    )


@contextmanager
def _no_exports_left(wish: Wish, folder: Path) -> Iterator[None]:
    """Afterwards remove from the user's cache what was exported of weights that go as well."""
    before = exports() if wish.bundle == "paper" else frozenset()
    try:
        yield
    finally:
        made = folder / "weights"
        if wish.bundle == "paper" and made.is_dir():
            remove_exports(made, before)


class _Bench:
    def __init__(self, wish: Wish, folder: Path, say: Callable[[str], None]) -> None:
        self._wish = wish
        self._folder = folder
        self._say = say
        self.notes: list[str] = []
        self._settings = dict(wish.settings)
        if wish.bundle == "paper":
            self._find_weights()
            if not wish.only or _TUNED & set(wish.only):
                self._tune()
        self._live = self._config("demo")
        if self._live.asr.enabled and find_model(self._live.asr.model) is None:
            self.notes.append(f"without words: {HOW_TO_INSTALL}")
        if wish.source is not None:
            self._clip = wish.source
            missing = {"video", "audio"} - set(MediaFile(wish.source).kinds)
            if missing:
                raise SourceError(f"{wish.source}: has no {missing.pop()}; the bench needs both")
        else:
            say("making a clip of 720p")
            self._clip = folder / "clip.mp4"
            write_clip(resource_dir("assets") / "demo.mp4", self._clip, _CLIP_S)
            self.notes.append("read: the bundled clip, scaled to 1280x720, played over and over")

    def _config(self, preset: str, **changed: Any) -> Config:  # noqa: ANN401 - any setting
        preset = "paper" if self._wish.bundle == "paper" else preset
        settings = {name.replace("__", "."): value for name, value in changed.items()}
        return load_config(preset, {**self._settings, **settings})

    def _find_weights(self) -> None:
        paper = load_config("paper", self._settings).paper
        sources = {"face": paper.face, "audio": paper.audio, "text": paper.text}
        missing = missing_weights(sources)
        if not missing:
            return
        folder = self._wish.weights or self._folder / "weights"
        self._say(f"random weights of the published encoders' size in {folder} (770 MB)")
        made = random_weights(folder)
        self._settings |= {f"paper.{name}": made[f"paper.{name}"] for name in missing}
        self.notes.append(
            f"random weights at full size for {', '.join(missing)} (the published ones are not on "
            "this machine): they cost the same, and what they say means nothing"
        )

    def _tune(self) -> None:
        """Let this machine choose what runs the encoders, as ``models tune`` does."""
        from realtime_er.bundles.paper import PaperBundle

        settled = load_config("paper", self._settings)
        self._say("finding what runs the encoders fastest here (minutes, once for their weights)")
        bundle = PaperBundle(settled)
        bundle.load(MODALITIES)
        for name, choice in bundle.tune(redo=False, tell=self._say).items():
            agreement = f" ({choice.agreement})" if choice.agreement else ""
            self.notes.append(f"{name} encoder runs as {choice.form}{agreement}")

    def sections(self) -> Iterator[Section]:
        """Every part that is wanted, in order."""
        for part in PARTS:
            if not self._wish.only or part in self._wish.only:
                yield from getattr(self, f"_part_{part}")()

    def _paced(self, seconds: float) -> MediaFile:
        """The clip as a device would deliver it, long enough."""
        if self._wish.source is not None:
            return MediaFile(self._clip, paced=True)
        looped = self._folder / "looped.mp4"
        loop_clip(self._clip, looped, seconds + WARM_S + 1.0)
        return MediaFile(looped, paced=True)

    def _part_live(self) -> Iterator[Section]:
        seconds = self._wish.seconds
        self._say(f"live: {seconds:g} s in real time")
        notes = Notes()
        models = ObservedModels(self._live, notes)
        run = run_live(self._live, self._paced(seconds), models, notes, seconds)
        self.notes += [notice for notice in run.notices if notice not in self.notes]
        ages = age_section(run)
        self.notes += overload_notes(ages, self._live.face.rate_hz)
        yield compute_section(run)
        yield ages
        if notes.heard:
            yield words_section(notes, self._live.vad.preroll_s)
        yield loss_section(run)
        yield memory_section(run)

    def _part_start(self) -> Iterator[Section]:
        self._say("start: fresh processes")
        preset = "paper" if self._wish.bundle == "paper" else "analyze"
        settings = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self._settings.items()
        ]
        yield starting_section(preset, settings, self._clip, self._wish.repeats)

    def _part_analyze(self) -> Iterator[Section]:
        self._say("analyze: as fast as possible, with and without words")
        repeats = self._wish.repeats if self._wish.bundle == "compact" else 1
        yield analysis_section(self._config("analyze"), self._clip, repeats)

    def _part_reencoding(self) -> Iterator[Section]:
        self._say("encoding once against encoding each window again")
        config = self._config("demo", asr__enabled=False)
        yield reencoding_section(config, self._clip, self._wish.repeats)

    def _part_backends(self) -> Iterator[Section]:
        self._say("one runtime against another")
        yield backends_section(self._config("demo"), self._wish.repeats)

    def _part_overhead(self) -> Iterator[Section]:
        self._say("our own share: constants for models")
        seconds = min(self._wish.seconds, 20.0)
        yield overhead_section(run_overhead(self._live, seconds, warm_s=WARM_S))

    def _part_display(self) -> Iterator[Section]:
        self._say("the window, offscreen")
        seconds = min(self._wish.seconds, 20.0)
        yield drawing_section(self._live, self._paced(seconds + WARM_S), seconds)
