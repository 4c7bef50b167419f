"""What the published encoders read in use: to calibrate their fast forms, and to compare them.

Users have no corpus, so it comes from the bundled clip: its detected faces, its sound, and its
words. One portrait, one voice and four sentences are not two hundred inputs, so each is varied as
a camera, a microphone and a speaker would vary it. Everything follows from a seed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from realtime_er.config import FaceConfig
from realtime_er.encoders.paper.faces import cut_face, prepare_face
from realtime_er.errors import MediaError
from realtime_er.fusion.aggregation import WINDOW_S
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, ImageArray
from realtime_er.perception.detectors import make_detector
from realtime_er.resources import resource_dir

if TYPE_CHECKING:
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.runtimes.protocol import Example

_WINDOW = round(WINDOW_S * SAMPLE_RATE_HZ)
_EVERY_FRAMES = 10
SENTENCES = (
    "This is a wonderful day! I am so happy to see you all.",
    "I love my new job, it is great fun.",
    "I am so sad today. I miss my old friend very much.",
    "This is terrible. I am so angry about it! Stop it, right now.",
)
"""What is said in the clip."""


def faces(count: int, seed: int) -> list[Example]:
    """Faces of the clip with boxes that shake, other light, mirrored, blurred and noisy.

    Returns:
        ``count`` times float32 [1, 3, 224, 224], see ``prepare_face``.
    """
    rng = np.random.default_rng(seed)
    found = _boxes()
    made: list[Example] = []
    while len(made) < count:
        frame, (left, top, width, height) = found[int(rng.integers(len(found)))]
        shift = rng.uniform(-0.1, 0.1, 2) * (width, height)
        wide, high = rng.uniform(0.85, 1.2, 2) * (width, height)
        cut = cut_face(frame, (left + shift[0], top + shift[1], wide, high))
        if cut is not None:
            made.append((prepare_face(_varied_face(cut, rng))[None],))
    return made


def _varied_face(cut: ImageArray, rng: np.random.Generator) -> ImageArray:
    face = cut[:, ::-1] if rng.random() < 0.5 else cut
    if rng.random() < 0.3:
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), rng.uniform(0.5, 2.0)), np.uint8)
    light = rng.uniform(0.5, 1.4) * face + rng.uniform(-20.0, 20.0)
    noisy = light + rng.normal(0.0, rng.uniform(0.0, 6.0), face.shape)
    return np.clip(noisy, 0.0, 255.0).astype(np.uint8)


def windows(count: int, seed: int) -> list[Example]:
    """Four seconds of the clip's sound from anywhere in it, in noise, faster, slower, or begun.

    Returns:
        ``count`` times float32 [1, 64000], normalised.
    """
    from realtime_er.encoders.paper.wav2vec2 import normalise_windows

    rng = np.random.default_rng(seed)
    sound = _sound()
    made: list[Example] = []
    for _ in range(count):
        speed = rng.uniform(0.85, 1.15)
        length = int(_WINDOW * speed)
        start = int(rng.integers(len(sound) - length))
        places = np.linspace(0, length - 1, _WINDOW)
        window = np.interp(places, np.arange(length), sound[start : start + length])
        if rng.random() < 0.2:  # the beginning of a stream, which is repeated to fill a window
            window = np.resize(window[: int(rng.integers(_WINDOW // 4, _WINDOW))], _WINDOW)
        window += rng.normal(0.0, 10.0 ** rng.uniform(-4.0, -1.7), _WINDOW)
        made.append((normalise_windows(window[None].astype(np.float32)),))
    return made


def texts(count: int, seed: int) -> list[str]:
    """Pieces of the clip's sentences, 1 to 24 words, with and without case and punctuation."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        order = rng.permutation(len(SENTENCES))
        words = " ".join(SENTENCES[place] for place in order).split()
        start = int(rng.integers(len(words) - 24))
        text = " ".join(words[start : start + int(rng.integers(1, 25))])
        bare = text.lower().translate(str.maketrans("", "", ".,!"))
        made.append(bare if rng.random() < 0.3 else text)
    return made


def tokens(encoder: DistilRobertaEncoder, count: int, seed: int) -> list[Example]:
    """``texts`` as the text encoder reads them: ids and mask, int64 [1, T]."""
    return [encoder.example(text) for text in texts(count, seed)]


@cache
def _boxes() -> list[tuple[ImageArray, tuple[float, float, float, float]]]:
    """Frames of the clip with a face, and where it is."""
    detector = make_detector(FaceConfig())
    found = []
    with av.open(str(resource_dir("assets") / "demo.mp4")) as clip:
        for index, frame in enumerate(clip.decode(video=0)):
            if index % _EVERY_FRAMES:
                continue
            image = frame.to_ndarray(format="bgr24")
            seen = detector.detect(image)
            if seen:
                found.append((image, seen[0].box_px))
    if not found:
        raise MediaError("no face is found in the bundled clip; reinstall realtime_er")
    return found


@cache
def _sound() -> FloatArray:
    """All of the clip's sound, mono."""
    to_mono = av.AudioResampler("fltp", "mono", SAMPLE_RATE_HZ)
    with av.open(str(resource_dir("assets") / "demo.mp4")) as clip:
        pieces = [
            piece.to_ndarray()[0]
            for frame in clip.decode(audio=0)
            for piece in to_mono.resample(frame)
        ]
    return np.concatenate(pieces).astype(np.float32)
