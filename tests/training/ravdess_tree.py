"""A small RAVDESS laid out like the distributed one: videos with sound, landmarks, small networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime_er.training.ravdess.landmarks import FIRST_X, FIRST_Y, HEIGHT_PX, N_POINTS, WIDTH_PX
from tests.training.mer_media import write_clip

SENTENCES = (1, 2)


def name_of(actor: int, emotion: int, sentence: int = 1, kind: str = "01") -> str:
    return f"{kind}-01-{emotion:02d}-01-{sentence:02d}-01-{actor:02d}"


def write_ravdess(root: Path, actors, emotions=(1, 3), sentences=SENTENCES, seconds=0.8) -> Path:
    """A look and a pitch for each emotion; a silent copy and a song beside. Each is encoded once."""
    made: dict[int, bytes] = {}
    for actor in actors:
        folder = root / f"Actor_{actor:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        for emotion in emotions:
            for sentence in sentences:
                path = folder / f"{name_of(actor, emotion, sentence)}.mp4"
                if emotion not in made:
                    made[emotion] = write_clip(path, emotion, seconds, fps=10).read_bytes()
                path.write_bytes(made[emotion])
        (folder / f"{name_of(actor, 1, kind='02')}.mp4").write_bytes(b"silent copy")
        (folder / f"01-02-03-01-01-01-{actor:02d}.mp4").write_bytes(b"song")
        (folder / f"._{name_of(actor, 1)}.mp4").write_bytes(b"Mac OS X")
    return root


def landmark_row(left, top, right, bottom, *, success=1) -> list[str]:
    """One frame of OpenFace's: 711 columns, the 68 points spread over a box (shares)."""
    row = ["0.0"] * 711
    row[4] = str(success)
    x = np.linspace(left, right, N_POINTS) * WIDTH_PX
    y = np.linspace(top, bottom, N_POINTS) * HEIGHT_PX
    row[FIRST_X : FIRST_X + N_POINTS] = [f"{value:.3f}" for value in x]
    row[FIRST_Y : FIRST_Y + N_POINTS] = [f"{value:.3f}" for value in y]
    return row


def header() -> list[str]:
    names = [f"c{place}" for place in range(711)]
    names[4] = "success"
    for point in range(N_POINTS):
        names[FIRST_X + point] = f"x_{point}"
        names[FIRST_Y + point] = f"y_{point}"
    return names


def write_landmarks(path: Path, rows: list[list[str]], *, spaced: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    comma = ", " if spaced else ","
    text = "\n".join(comma.join(row) for row in [header(), *rows])
    path.write_text(text + "\n", encoding="utf-8")


def colour_of(rgb_faces: np.ndarray) -> np.ndarray:
    """Mean colour of the middle of every face."""
    side = rgb_faces.shape[1]
    quarter = side // 4
    return rgb_faces[:, quarter:-quarter, quarter:-quarter].reshape(len(rgb_faces), -1, 3).mean(1)
