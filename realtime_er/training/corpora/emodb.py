"""EMO-DB (Burkhardt et al. 2005): actors speaking ten German sentences, acted emotion.

The files are ``DIR/emodb/SSTTTEv.flac`` (16 kHz mono): SS speaker, TTT text, E emotion, v version.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.clips import SpeechClip, list_clips

_LABEL_OF_CODE = {
    "N": "neutral",
    "F": "happy",
    "T": "sad",
    "W": "angry",
    "A": "fear",
    "E": "disgust",
    "L": "boredom",
}
LABELS = tuple(_LABEL_OF_CODE.values())


def parse_name(stem: str) -> tuple[str, str]:
    """Reads a clip's file name.

    Args:
        stem: ``SSTTTEv``, for instance ``03a01Fa``; the letter is the German emotion word's.

    Returns:
        Label (one of ``LABELS``) and speaker, two digits.

    Raises:
        CorpusError: the name has another form.
    """
    if len(stem) < 6 or not stem[:2].isdigit() or stem[5] not in _LABEL_OF_CODE:
        raise CorpusError(f"{stem}: not an EMO-DB name (expected SSTTTEv, for instance 03a01Fa)")
    return _LABEL_OF_CODE[stem[5]], stem[:2]


def read_emodb(data_dir: Path) -> list[SpeechClip]:
    """Lists the clips, sorted by file name.

    Args:
        data_dir: folder that holds ``emodb/``.

    Raises:
        CorpusError: the corpus is absent, empty, or a file name is not understood.
    """
    return list_clips(data_dir / "emodb", "*", "emodb", parse_name, "EMO-DB")
