"""Made-up corpora, laid out as the real ones are, parts kept elsewhere included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("torch")

from realtime_er.training.corpora.goemotions import EKMAN_GROUPS  # noqa: E402
from realtime_er.training.evaluate import report  # noqa: E402

_EMOTIONS = ("neutral", "joy", "sadness", "surprise", "fear", "disgust", "anger")
_FER_COLUMNS = (0, 1, 3, 2, 6, 5, 4)


def write_ferplus(folder: Path, part: str, per_label: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = np.zeros((7 * per_label, 10), np.uint8)
    for row in range(len(votes)):
        votes[row, _FER_COLUMNS[row % 7]] = 8
        votes[row, 0] += 2
    images = rng.integers(0, 256, (len(votes), 48, 48), dtype=np.uint8)
    (folder / "ferplus").mkdir(exist_ok=True)
    np.savez(folder / "ferplus" / f"{part}.npz", images=images, votes=votes)


def write_speech(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for actor in (21, 22):
        home = folder / "ravdess_speech" / f"Actor_{actor}"
        home.mkdir(parents=True)
        for emotion in range(1, 9):
            sound = 0.1 * rng.standard_normal(16_000).astype(np.float32)
            name = f"03-01-{emotion:02d}-01-01-01-{actor}.flac"
            soundfile.write(home / name, sound, 16_000)


def write_texts(folder: Path) -> None:
    goemotions = folder / "goemotions"
    goemotions.mkdir()
    names = [own for group in EKMAN_GROUPS.values() for own in group]
    (goemotions / "labels.txt").write_text("\n".join(names), encoding="utf-8")
    lines = [
        f"I feel very {name}, Really!\t{number}\tid{number}" for number, name in enumerate(names)
    ]
    (goemotions / "test.tsv").write_text("\n".join(lines), encoding="utf-8")
    meld = folder / "meld"
    meld.mkdir()
    rows = ["Utterance,Speaker,Emotion,Dialogue_ID,Season,Episode"]
    rows += [f"This is {one}.,Ada,{one},{index // 2},1,1" for index, one in enumerate(_EMOTIONS)]
    (meld / "test_sent_emo.csv").write_text("\n".join(rows), encoding="utf-8")


@pytest.fixture(scope="session")
def test_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    write_ferplus(folder, "test", 3, 1)
    write_speech(folder)
    write_texts(folder)
    return folder


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESAMPLES", 10)
