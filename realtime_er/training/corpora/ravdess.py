"""RAVDESS speech (Livingstone & Russo 2018): actors speaking two English sentences, acted emotion.

The files are ``DIR/ravdess_speech/Actor_XX/MM-VC-EE-II-SS-RR-AA.flac`` (16 kHz mono). Odd actors
are men, even actors women, so that runs of consecutive actors stay balanced by sex.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.clips import SpeechClip, list_clips

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_LABEL_OF_CODE = {f"{index:02d}": label for index, label in enumerate(LABELS, start=1)}


def parse_name(stem: str) -> tuple[str, str]:
    """Reads a clip's file name.

    Args:
        stem: ``MM-VC-EE-II-SS-RR-AA``; EE is the emotion, AA the actor.

    Returns:
        Label (one of ``LABELS``) and actor, two digits.

    Raises:
        CorpusError: the name has another form.
    """
    parts = stem.split("-")
    if len(parts) != 7 or parts[2] not in _LABEL_OF_CODE:
        raise CorpusError(f"{stem}: not a RAVDESS name (expected MM-VC-EE-II-SS-RR-AA)")
    return _LABEL_OF_CODE[parts[2]], parts[6]


def read_ravdess(data_dir: Path) -> list[SpeechClip]:
    """Lists the spoken clips, sorted by file name.

    Args:
        data_dir: folder that holds ``ravdess_speech/``.

    Raises:
        CorpusError: the corpus is absent, empty, or a file name is not understood.
    """
    return list_clips(
        data_dir / "ravdess_speech", "Actor_*/*", "ravdess", parse_name, "RAVDESS speech"
    )
