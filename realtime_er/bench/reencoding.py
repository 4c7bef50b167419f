"""Encoding once against encoding each window again, which is the usual way.

Streaming: every new face and every new stretch of sound goes through its encoder once; a tick reads
what is known. Again: at every hop all faces and all sound of the window go through the same detector
and the same encoders. Media are decoded before, and words are left out, on both sides. All costs
are processor time, per hop of 0.25 s.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from realtime_er.bench.tables import Section, alternate, median_row, ratios
from realtime_er.config import Config
from realtime_er.decision import DecisionMaker
from realtime_er.errors import SourceError
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    Absence,
    Embedding,
    FaceReport,
    FloatArray,
    SpeechActivity,
    VideoFrame,
)
from realtime_er.models import Models
from realtime_er.perception.face import FacePerception
from realtime_er.sources.media_decode import samples_of, upright
from realtime_er.sources.resample import StreamingResampler
from realtime_er.windows import Watermark, WindowBuilder

HOP_S = 0.25
LENGTHS_S = (2, 4, 8, 16)
_CYCLE_HOPS = 8
"""2 s: in it every encoder has come round, also one of 4 s of sound every 2 s."""
_KEPT_FRAMES = 40
_TICKS = 40


def reencoding_section(config: Config, clip: Path, repeats: int) -> Section:
    """Measure both ways in turn.

    Args:
        config: of a bundle, without words.
        clip: where faces and sound come from; 16 s of sound or more.
        repeats: rounds for windows of 2 and 4 s; longer ones are measured once for large models.
    """
    models = Models(config)
    models.load(video=True, audio=True, text=False)
    media = _Media(clip, config.face.rate_hz)
    streaming, again = _Streaming(config, models, media), _Again(config, models, media)
    vectors = _vectors(models, media)
    ticks = {length: _Tick(config, models, length, vectors) for length in LENGTHS_S}
    runs: dict[str, Callable[[], float]] = {"streaming": streaming.run}
    runs |= {f"tick {length}": tick.run for length, tick in ticks.items()}
    runs |= {f"again {length}": again.at(length) for length in LENGTHS_S[:2]}
    measured = alternate(runs, repeats)
    rounds = repeats if config.models.bundle == "compact" else 1
    measured |= alternate(
        {f"again {length}": again.at(length) for length in LENGTHS_S[2:]}, rounds, warm=False
    )
    rows = [
        median_row("streaming", "encoders, each new piece once", _ms(measured["streaming"]), "ms")
    ]
    whole: dict[int, list[float]] = {}
    for length in LENGTHS_S:
        tick = measured[f"tick {length}"]
        whole[length] = [a + b for a, b in zip(measured["streaming"], tick, strict=True)]
        rows.append(median_row(f"tick_{length}", f"tick, window of {length} s", _ms(tick), "ms"))
    for length in LENGTHS_S:
        cost = [value + measured[f"tick {length}"][0] for value in measured[f"again {length}"]]
        rows.append(
            median_row(f"again_{length}", f"all again, window of {length} s", _ms(cost), "ms")
        )
        rows.append(
            median_row(
                f"ratio_{length}",
                f"  times what streaming costs (window of {length} s)",
                ratios(cost, whole[length][: len(cost)]),
                "x",
            )
        )
    flat = ratios(whole[16], whole[2])
    note = "encoders and tick"
    rows.append(median_row("flat", "streaming, window of 16 s over 2 s", flat, "x", note))
    flat = ratios(measured["tick 16"], measured["tick 2"])
    rows.append(median_row("flat_tick", "  the tick alone", flat, "x"))
    title = f"Encoding once against encoding each window again, per hop of {HOP_S:g} s"
    return Section("reencoding", title, tuple(rows))


def _ms(values: list[float]) -> list[float]:
    return [1e3 * value for value in values]


class _Media:
    """Faces and sound of a clip, decoded; a few frames that are used over and over."""

    def __init__(self, clip: Path, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.images = []
        with av.open(str(clip)) as container:
            step, next_s = 1 / rate_hz, 0.0
            for frame in container.decode(container.streams.video[0]):
                if (frame.time or 0.0) >= next_s - 1e-6:
                    next_s += step
                    self.images.append(upright(frame))
                if len(self.images) == _KEPT_FRAMES:
                    break
        parts = []
        with av.open(str(clip)) as container:
            resampler: StreamingResampler | None = None
            for sound in container.decode(container.streams.audio[0]):
                resampler = resampler or StreamingResampler(
                    sound.sample_rate, sound.layout.nb_channels
                )
                parts.append(resampler.push(samples_of(sound)))
        if not self.images or not parts:
            raise SourceError(f"{clip}: needs a picture and sound")
        sound = np.concatenate(parts)
        self.sound: FloatArray = np.resize(sound, max(len(sound), 40 * SAMPLE_RATE_HZ))

    def frame(self, index: int) -> VideoFrame:
        """The ``index``-th frame at the rate that faces are read."""
        return VideoFrame(index, index / self.rate_hz, self.images[index % len(self.images)])


class _Streaming:
    """Every new face and every new sample once, for as many hops as a cycle has."""

    def __init__(self, config: Config, models: Models, media: _Media) -> None:
        self._models, self._media = models, media
        self._perception = models.face_perception()
        self._audio = models.audio
        self._rate_hz = config.face.rate_hz
        self._frame = 0
        self._sample = 0

    def run(self) -> float:
        """Processor seconds per hop."""
        hop = round(HOP_S * SAMPLE_RATE_HZ)
        since_s = time.process_time()
        for _ in range(_CYCLE_HOPS):
            place = self._sample % (len(self._media.sound) - hop)
            self._audio.push(self._sample, self._media.sound[place : place + hop])
            self._sample += hop
            while self._frame / self._rate_hz < self._sample / SAMPLE_RATE_HZ:
                _see(self._models, self._perception, self._media.frame(self._frame))
                self._frame += 1
        return (time.process_time() - since_s) / _CYCLE_HOPS


class _Again:
    """All of a window, at one hop."""

    def __init__(self, config: Config, models: Models, media: _Media) -> None:
        self._models, self._media = models, media
        models.load(video=True, audio=True, text=False)  # a speech encoder of its own
        self._audio = models.audio
        self._rate_hz = config.face.rate_hz
        self._first = 0

    def at(self, length_s: int) -> Callable[[], float]:
        """Processor seconds of one hop with a window of this length."""
        return lambda: self._hop(length_s)

    def _hop(self, length_s: int) -> float:
        sound = self._media.sound[: length_s * SAMPLE_RATE_HZ]
        self._first += 2 * len(sound) + 1  # a jump of the index: the encoder begins anew
        since_s = time.process_time()
        perception = self._models.face_perception()
        for index in range(round(length_s * self._rate_hz)):
            _see(self._models, perception, self._media.frame(index))
        self._audio.push(self._first, sound[:1])
        if len(sound) >= self._audio.window_samples:
            # An encoder of long windows fills its first one by repeating: not where there is enough.
            self._audio.skip()
        self._audio.push(self._first + 1, sound[1:])
        return time.process_time() - since_s


class _Tick:
    """Windows and decisions alone, over evidence that is there already."""

    def __init__(
        self, config: Config, models: Models, length_s: int, vectors: tuple[FloatArray, FloatArray]
    ) -> None:
        config = dataclasses.replace(
            config,
            tick=dataclasses.replace(config.tick, hop_s=HOP_S),
            face=dataclasses.replace(config.face, horizon_s=float(length_s)),
            audio=dataclasses.replace(config.audio, horizon_s=float(length_s)),
            # Windows of 4 s, one every 2 s, as far as they fit.
            paper=dataclasses.replace(config.paper, keep_windows=max(1, length_s // 2 - 1)),
        )
        self._rate_hz = config.face.rate_hz
        self._builder = WindowBuilder(config, frozenset({"face", "audio"}), {}, live=False)
        self._decider = DecisionMaker(config.decision, models.head, HOP_S)
        self._step_s = models.audio.step_samples / SAMPLE_RATE_HZ
        self._window_s = models.audio.window_samples / SAMPLE_RATE_HZ
        self._ids = models.head.encoder_ids
        self._face, self._voice = vectors
        self._faces = self._steps = 0
        self._absent: dict[str, Absence] = {}
        for _ in range(round(length_s / HOP_S)):
            self._advance()

    def _advance(self) -> float:
        end_s = self._builder.next_time_s
        while self._faces / self._rate_hz <= end_s:
            time_s = self._faces / self._rate_hz
            seen = Embedding("face", time_s, time_s, self._face, self._ids["face"], 1)
            self._builder.add_face(FaceReport(self._faces, time_s, (), 1, None, seen))
            self._faces += 1
        while (self._steps + 1) * self._step_s <= end_s:
            self._steps += 1
            till_s = self._steps * self._step_s
            from_s = max(0.0, till_s - self._window_s)
            heard = Embedding("audio", from_s, till_s, self._voice, self._ids["audio"])
            self._builder.add_voice(heard)
        self._builder.add_speech(SpeechActivity(end_s - HOP_S, end_s, True, 0.9, -30.0))
        for track in ("face", "audio", "speech"):
            self._builder.advance(Watermark(track, end_s))
        since_s = time.thread_time()
        window = self._builder.build()
        self._decider.decide(window)
        spent_s = time.thread_time() - since_s
        self._absent = window.absent
        return spent_s

    def run(self) -> float:
        """Processor seconds per tick."""
        spent_s = float(np.median([self._advance() for _ in range(_TICKS)]))
        if {"face", "audio"} & set(self._absent):
            raise SourceError(f"a tick that should know a face and a voice says {self._absent}")
        return spent_s


def _vectors(models: Models, media: _Media) -> tuple[FloatArray, FloatArray]:
    """A face's and a voice's embedding of this clip.

    Raises:
        SourceError: no face was found in its beginning.
    """
    models.load(video=True, audio=True, text=False)
    voice = models.audio.push(0, media.sound[: 5 * SAMPLE_RATE_HZ])[-1][1]
    perception = models.face_perception()
    for index in range(_KEPT_FRAMES):
        _report, picture = perception.observe(media.frame(index))
        if picture is not None:
            return models.face.encode(picture)[0], voice
    raise SourceError("no usable face in the first seconds of the clip; give another --source")


def _see(models: Models, perception: FacePerception, frame: VideoFrame) -> None:
    _report, picture = perception.observe(frame)
    if picture is not None:
        models.face.encode(picture)
