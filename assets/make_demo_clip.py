"""Make ``assets/demo.mp4``: a NASA portrait that moves like a webcam subject, and spoken sentences.

Needs ``pip install scikit-image`` (for the portrait) and the system package ``espeak-ng`` (for the
voice); nothing else of the project needs either. Run it from anywhere:

    python assets/make_demo_clip.py
"""

from __future__ import annotations

import io
import math
import subprocess
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

WIDTH_PX, HEIGHT_PX, FPS = 640, 480, 25
RATE_HZ = 22_050
DURATION_S = 26.0
LEAVES_S, RETURNS_S, SLIDE_S = 9.0, 15.0, 0.6
"""The portrait starts to slide out, starts to slide back in, and takes this long for either."""

SENTENCES = (
    (0.6, "This is a wonderful day! I am so happy to see you all."),
    (5.2, "I love my new job, it is great fun."),
    (9.8, "I am so sad today. I miss my old friend very much."),
    (19.2, "This is terrible. I am so angry about it! Stop it, right now."),
)
"""Start in seconds and what is said; 14 s to 19 s stay silent."""

FACE_CENTRE_PX = (224.0, 113.0)
"""Where the face is in the 512 x 512 portrait."""

ByteImage = npt.NDArray[np.uint8]


def speech() -> npt.NDArray[np.int16]:
    """All sentences on a bed of faint room noise (a muted microphone would be something else)."""
    total = int(DURATION_S * RATE_HZ)
    mix = np.random.default_rng(1).normal(0.0, 10 ** (-62 / 20), total)
    for start_s, sentence in SENTENCES:
        spoken = _say(sentence)
        first = int(start_s * RATE_HZ)
        if first + len(spoken) > total:
            raise SystemExit(f"does not fit into the clip: {sentence!r}")
        mix[first : first + len(spoken)] += spoken
    return (np.clip(mix, -1.0, 1.0) * 32767).astype(np.int16)


def _say(sentence: str) -> npt.NDArray[np.float64]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "say.wav"
        subprocess.run(
            ["espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), sentence], check=True
        )
        with wave.open(io.BytesIO(path.read_bytes())) as file:
            if file.getframerate() != RATE_HZ:
                raise SystemExit(f"espeak-ng speaks at {file.getframerate()} Hz, not {RATE_HZ}")
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    louder: npt.NDArray[np.float64] = 0.7 * samples / np.abs(samples).max()
    return louder


def portrait() -> ByteImage:
    """The astronaut, BGR."""
    from skimage import data  # the only place that needs scikit-image

    image: ByteImage = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    return image


def room() -> ByteImage:
    """A neutral wall with soft light from the left: nothing that could be taken for a face."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    light = 1.0 - 0.35 * x / WIDTH_PX - 0.15 * y / HEIGHT_PX
    wall = light[..., None] * np.array([176, 186, 192], np.float32)
    painted: ByteImage = np.clip(wall, 0, 255).astype(np.uint8)
    return painted


def slide(time_s: float) -> float:
    """How far the portrait is out of the picture: 0 in place, 1 gone."""

    def ease(start_s: float) -> float:
        part = min(max((time_s - start_s) / SLIDE_S, 0.0), 1.0)
        return part * part * (3.0 - 2.0 * part)

    return ease(LEAVES_S) - ease(RETURNS_S)


def frame(time_s: float, picture: ByteImage, wall: ByteImage) -> ByteImage:
    """The picture at ``time_s``: sway, breathing zoom, a slight tilt, and the slide."""
    zoom = 1.70 + 0.06 * math.sin(2 * math.pi * time_s / 5.3)
    sway_x_px = 22 * math.sin(2 * math.pi * time_s / 7.1) + 6 * math.sin(2 * math.pi * time_s / 2.3)
    top_px = -12 + 5 * math.sin(2 * math.pi * time_s / 3.7)
    tilt_deg = 1.2 * math.sin(2 * math.pi * time_s / 6.1)
    matrix = cv2.getRotationMatrix2D(FACE_CENTRE_PX, tilt_deg, zoom)
    matrix[0, 2] += WIDTH_PX / 2 + sway_x_px - FACE_CENTRE_PX[0] + slide(time_s) * 1.6 * WIDTH_PX
    matrix[1, 2] += zoom * FACE_CENTRE_PX[1] + top_px - FACE_CENTRE_PX[1]
    size = (WIDTH_PX, HEIGHT_PX)
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)
    # A soft edge, so that the slide looks like somebody leaving rather than like a card.
    card = np.full(picture.shape[:2], 255, np.uint8)
    card[:, :4] = 0
    card[:, -4:] = 0
    mask = cv2.GaussianBlur(card, (0, 0), 3)
    alpha = cv2.warpAffine(mask, matrix, size)[..., None].astype(np.float32) / 255
    blended = alpha * moved + (1 - alpha) * wall
    return np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def main() -> None:
    """Write the clip beside this file."""
    path = Path(__file__).with_name("demo.mp4")
    sound, picture, wall = speech(), portrait(), room()
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream(
            "libx264", rate=FPS, options={"crf": "24", "preset": "slow", "threads": "1"}
        )
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        audio.bit_rate = 64_000
        done = 0
        for index in range(int(DURATION_S * FPS)):
            image = av.VideoFrame.from_ndarray(frame(index / FPS, picture, wall), format="bgr24")
            image.pts, image.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(image))
            until = int((index + 1) / FPS * RATE_HZ)
            block = av.AudioFrame.from_ndarray(sound[None, done:until], "s16", "mono")
            block.sample_rate, block.pts, block.time_base = RATE_HZ, done, Fraction(1, RATE_HZ)
            container.mux(audio.encode(block))
            done = until
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


if __name__ == "__main__":
    main()
