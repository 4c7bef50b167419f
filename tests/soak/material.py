"""What a soak hears and sees, and when: made from a seed, the same every time."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.messages import ImageArray
from realtime_er.resources import resource_dir
from tests.conftest import SHARED
from tests.perception.sounds import RATE_HZ, Sound, clicks, music, pink, silence, white

BASE_S = 60.0
"""A sound is made for this long and then comes again."""

SIZE_PX = (320, 240)
FPS = 5

FLASH_EVERY_S, FLASH_AT_S = 60.0, 30.0
"""White pictures and a beep, at once, every minute: what is recorded of them tells the A/V error."""
FLASH_S, BEEP_S = 0.3, 0.03
LOUD, BEEP = 0.6, 0.95
"""Nothing but the beep is louder than the first."""

# Shares of the time. Speech costs most: Whisper.
SOUNDS = {"silence": 28, "room": 25, "speech": 5, "music": 16, "white": 8, "pink": 8,
          "keyboard": 9, "babble": 1}  # fmt: skip
REAL_TIME_SOUNDS = {"silence": 18, "room": 14, "speech": 30, "music": 15, "white": 6, "pink": 6,
                    "keyboard": 8, "babble": 3}  # fmt: skip
PICTURES = {"one face": 34, "several faces": 14, "no face": 34, "covered": 18}


# --- sounds ---------------------------------------------------------------------------------------


def decoded_sound(path: Path) -> Sound:
    """The sound of a file, float32 mono at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float32)


def levelled(sound: Sound, rms: float = 0.05) -> Sound:
    """At a usual level, and nowhere louder than ``LOUD``."""
    sound = sound * np.float32(rms / max(1e-9, float(np.sqrt(np.mean(sound**2)))))
    return np.clip(sound, -LOUD, LOUD).astype(np.float32)


def voices() -> list[Sound]:
    """One sound per voice: the bundled clip's, and where they lie beside the checkout others."""
    found = [levelled(decoded_sound(resource_dir("assets") / "demo.mp4"))]
    actors = sorted((SHARED / "data" / "ravdess_speech").glob("*"))
    for actor in (actor for actor in actors[::6] if actor.is_dir()):
        clips = [levelled(decoded_sound(path)) for path in sorted(actor.glob("*.flac"))[::15]]
        found.append(np.concatenate([part for clip in clips for part in (clip, silence(0.8))]))
    jfk = SHARED / "clips" / "speech_jfk.flac"
    return [*found, levelled(decoded_sound(jfk))] if jfk.is_file() else found


def babble(seconds: float, of: Sequence[Sound]) -> Sound:
    """Voices at once, each from elsewhere."""
    n = int(seconds * RATE_HZ)
    tracks = [np.resize(np.roll(voice, 7919 * (k + 1)), n) for k, voice in enumerate(of)]
    return levelled(np.sum(tracks, axis=0).astype(np.float32))


@cache
def sounds() -> dict[str, Sound]:
    """By name, float32 at 16 kHz. No babble of a single voice."""
    speakers = voices()
    made = {
        "silence": silence(BASE_S),
        "room": white(BASE_S, 0.0005),
        "white": white(BASE_S),
        "pink": pink(BASE_S),
        "music": music(BASE_S),
        "keyboard": clicks(BASE_S),
        "speech": np.concatenate(speakers),
    }
    if len(speakers) > 2:
        made["babble"] = babble(BASE_S, speakers)
    return {name: np.clip(sound, -LOUD, LOUD) for name, sound in made.items()}


# --- pictures -------------------------------------------------------------------------------------


def decoded_pictures(path: Path, from_s: float, to_s: float) -> list[ImageArray]:
    """``FPS`` pictures a second of a file."""
    taken: list[ImageArray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time >= to_s:
                break
            if frame.time >= from_s + len(taken) / FPS:
                image = np.asarray(frame.to_ndarray(format="bgr24"))
                taken.append(cv2.resize(image, SIZE_PX, interpolation=cv2.INTER_AREA))
    return taken


@cache
def pictures() -> dict[str, list[ImageArray]]:
    """By name; no two that follow each other are equal, as from a camera."""
    demo = resource_dir("assets") / "demo.mp4"
    faces = [decoded_pictures(demo, 0.0, 8.0)]
    others = [
        SHARED / "clips" / f"{name}.mp4" for name in ("pexels_face_640x360", "talk_en_portrait")
    ]
    faces += [decoded_pictures(path, 0.0, 3.0) for path in others if path.is_file()]
    empty = decoded_pictures(demo, 10.5, 14.5)
    several = [_tiled([strip[k % len(strip)] for strip in (faces * 4)[:4]]) for k in range(30)]
    dark = [np.full((SIZE_PX[1], SIZE_PX[0], 3), 6, np.uint8) for _ in range(10)]
    rng = np.random.default_rng(5)
    made = {
        "one face": [image for strip in faces for image in strip],
        "several faces": several,
        "no face": empty,
        "covered": dark,
    }
    return {name: [_noisy(image, rng) for image in images] for name, images in made.items()}


def _tiled(images: list[ImageArray]) -> ImageArray:
    half = (SIZE_PX[0] // 2, SIZE_PX[1] // 2)
    small = [cv2.resize(image, half, interpolation=cv2.INTER_AREA) for image in images]
    return np.vstack([np.hstack(small[:2]), np.hstack(small[2:])])


def _noisy(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    noise = rng.integers(-1, 2, image.shape, np.int16)
    image = np.clip(image.astype(np.int16) + noise, 0, 254).astype(np.uint8)
    image.setflags(write=False)
    return image


# --- when -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """From when to when there is what."""

    start_s: float
    end_s: float
    what: str


class Track:
    """Spans one after another, found by time."""

    def __init__(self, spans: list[Span]) -> None:
        self.spans = spans
        self._starts_s = [span.start_s for span in spans]

    def at(self, time_s: float) -> Span | None:
        place = bisect.bisect_right(self._starts_s, time_s) - 1
        span = self.spans[place] if place >= 0 else None
        return span if span is not None and time_s < span.end_s else None


TROUBLES = {
    "camera": {"stall": 4.0, "vanish": 6.0, "frozen": 5.0, "burst": 0.8, "backwards": 1.0},
    "microphone": {"stall": 0.5, "vanish": 7.0, "burst": 0.8, "damaged": 0.3, "muted": 6.0,
                   "silent": 4.0},
    "machine": {"overload": 40.0},
}  # fmt: skip
"""How long each lasts. Stall: nothing comes, and what was to come is lost; burst: it comes at once."""

_EVERY_S = {"camera": 200.0, "microphone": 170.0, "machine": 1500.0}


class Plan:
    """Scenes and troubles of so many seconds."""

    def __init__(
        self,
        seconds: float,
        seed: int,
        known: Sequence[str],
        shares: dict[str, int] = SOUNDS,
    ) -> None:
        rng = np.random.default_rng(seed)
        heard = {name: share for name, share in shares.items() if name in known}
        self.sounds = Track(list(_scenes(rng, heard, seconds)))
        self.pictures = Track(list(_scenes(rng, PICTURES, seconds)))
        self.troubles = {name: Track(list(_troubles(rng, name, seconds))) for name in TROUBLES}
        self._offsets = rng.integers(0, int(BASE_S * RATE_HZ), 4096)

    def load(self, time_s: float) -> float:
        """How many times the usual processor time models take."""
        return 6.0 if self.troubles["machine"].at(time_s) else 1.0

    def troubled(self, time_s: float, near_s: float = 2.0) -> bool:
        """Whether the camera or the microphone has trouble about then."""
        return any(
            span.start_s - near_s < time_s < span.end_s + near_s
            for device in ("camera", "microphone")
            for span in self.troubles[device].spans
        )

    def offset(self, span: Span) -> int:
        """Where in its base sound a scene begins, in samples."""
        return int(self._offsets[int(span.start_s) % len(self._offsets)])

    def counts(self) -> dict[str, int]:
        """How often there is each trouble."""
        counted: dict[str, int] = {}
        for device, track in self.troubles.items():
            for span in track.spans:
                name = f"{device} {span.what}"
                counted[name] = counted.get(name, 0) + 1
        return counted


def _scenes(rng: np.random.Generator, shares: dict[str, int], seconds: float) -> Iterator[Span]:
    """One of each at first, so that what is made only once is made in the warm-up."""
    names = list(shares)
    weights = np.array([shares[name] for name in names], float)
    first = iter(names)
    now_s = 0.0
    while now_s < seconds:
        end_s = now_s + float(rng.uniform(8.0, 50.0))
        drawn = str(rng.choice(names, p=weights / weights.sum()))
        yield Span(now_s, end_s, next(first, drawn))
        now_s = end_s


def _troubles(rng: np.random.Generator, device: str, seconds: float) -> Iterator[Span]:
    every_s = min(_EVERY_S[device], seconds / 3)
    lasts = TROUBLES[device]
    now_s, n = every_s * 0.6, 0
    while now_s + 15.0 < seconds:
        what = list(lasts)[n % len(lasts)]
        yield Span(now_s, now_s + lasts[what], what)
        now_s += max(every_s * float(rng.uniform(0.7, 1.3)), lasts[what] + 5.0)
        n += 1


def flash_before(time_s: float) -> float:
    """When the newest flash began (may lie before the session)."""
    return (time_s - FLASH_AT_S) // FLASH_EVERY_S * FLASH_EVERY_S + FLASH_AT_S


class Material:
    """What is heard and seen at each moment of a plan."""

    def __init__(self, plan: Plan, heard: dict[str, Sound]) -> None:
        self.plan = plan
        self._sounds = heard
        self._pictures = pictures()
        self._flashes = [
            np.full((SIZE_PX[1], SIZE_PX[0], 3), value, np.uint8) for value in (254, 255)
        ]
        for image in self._flashes:
            image.setflags(write=False)

    def picture(self, index: int) -> ImageArray:
        """The one with this number, ``index / FPS`` seconds after the beginning."""
        time_s = index / FPS
        if time_s - flash_before(time_s) < FLASH_S:
            return self._flashes[index % 2]
        scene = self.plan.pictures.at(time_s)
        strip = self._pictures[scene.what if scene else "no face"]
        return strip[index % len(strip)]

    def sound(self, start_s: float, n_samples: int) -> npt.NDArray[np.float32]:
        """A block of samples at 16 kHz from a moment on, of the scene that there is then."""
        first = round(start_s * RATE_HZ)
        scene = self.plan.sounds.at(start_s)
        base = self._sounds[scene.what if scene else "silence"]
        begin = first - round(scene.start_s * RATE_HZ) + self.plan.offset(scene) if scene else 0
        samples = base[np.arange(begin, begin + n_samples) % len(base)]
        since = first - round(flash_before(start_s + n_samples / RATE_HZ) * RATE_HZ)
        places = np.arange(since, since + n_samples)
        beep = (places >= 0) & (places < BEEP_S * RATE_HZ)
        samples[beep] = BEEP * np.sign(np.sin(places[beep] * 0.8 + 0.4))
        return samples
