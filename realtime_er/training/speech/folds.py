"""Files of what networks of the speech recipe say of clips that they never heard.

``folds.npz`` has every speaker of both corpora, left out in turn; ``without-CORPUS.npz`` a whole
corpus, of which the network knows nothing. Read without torch by ``realtime-er evaluate``, which
never trains.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError
from realtime_er.messages import FloatArray
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.recipes import SpeechRecipe

FILE = "folds.npz"
_COLUMNS = ("ids", "corpus", "speaker", "label", "logits")


def without(corpus: str) -> str:
    """Name of the file of the network that was trained without a corpus."""
    return f"without-{corpus}.npz"


def read_folds(path: Path) -> dict[str, npt.NDArray[Any]]:
    """What it holds.

    Returns:
        ``ids``, ``corpus``, ``speaker``, ``label`` (strings [N]), ``logits`` (float32 [N, C]),
        ``classes`` (strings [C]), ``recipe`` (JSON).

    Raises:
        CorpusError: the file is not there, or is something else.
    """
    if not path.is_file():
        raise CorpusError(
            f"{path}: missing; make it with: realtime-er train speech --cv --out MODELS, and pass "
            "--models MODELS"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in (*_COLUMNS, "classes", "recipe")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: not the folds of the speech recipe: {error}") from error


def speakers_done(path: Path, recipe: SpeechRecipe) -> set[str]:
    """Speakers that a run before has left out in turn.

    Raises:
        CorpusError: that run had another recipe.
    """
    if not path.is_file():
        return set()
    saved = read_folds(path)
    if json.loads(str(saved["recipe"])) != asdict(recipe):
        raise CorpusError(f"{path}: folds of another recipe; delete it, or write elsewhere (--out)")
    return set(saved["speaker"].tolist())


def add_fold(
    path: Path,
    clips: Sequence[SpeechClip],
    logits: FloatArray,
    classes: Sequence[str],
    recipe: SpeechRecipe,
) -> None:
    """Adds what a network says of the clips of speakers it never heard, float32 [N, C]."""
    new: dict[str, npt.NDArray[Any]] = {
        "ids": np.array([clip.id for clip in clips]),
        "corpus": np.array([clip.corpus for clip in clips]),
        "speaker": np.array([clip.speaker for clip in clips]),
        "label": np.array([clip.label for clip in clips]),
        "logits": logits,
    }
    if path.is_file():
        saved = read_folds(path)
        new = {name: np.concatenate([saved[name], new[name]]) for name in _COLUMNS}
    about = {"classes": np.array(classes), "recipe": np.array(json.dumps(asdict(recipe)))}
    np.savez_compressed(path, **new, **about)  # type: ignore[arg-type]
