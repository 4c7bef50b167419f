"""One labelled recording of one speaker, as every speech corpus here is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.layout import visible

_SOUNDS = (".flac", ".wav")


@dataclass(frozen=True)
class SpeechClip:
    """A clip of trimmed speech.

    Attributes:
        path: the sound file.
        speaker: unique over corpora, "ravdess-07" for instance.
        label: the corpus' own class under its joint name.
        corpus: "ravdess" or "emodb".
    """

    path: Path
    speaker: str
    label: str
    corpus: str

    @property
    def id(self) -> str:
        """Unique over corpora, "ravdess/03-01-01-01-01-01-01" for instance."""
        return f"{self.corpus}/{self.path.stem}"

    def samples(self, sample_rate_hz: int = 16_000) -> npt.NDArray[np.float32]:
        """The sound, float32 [samples], mono in [-1, 1].

        Raises:
            CorpusError: the file cannot be decoded, or has another rate or several channels.
        """
        try:
            sound, rate_hz = soundfile.read(self.path, dtype="float32")
        except (OSError, soundfile.LibsndfileError) as error:
            raise CorpusError(f"{self.path}: cannot be read: {error}") from error
        if rate_hz != sample_rate_hz or sound.ndim != 1:
            raise CorpusError(f"{self.path}: expected {sample_rate_hz} Hz mono; convert the corpus")
        return np.asarray(sound, dtype=np.float32)


def list_clips(
    folder: Path, pattern: str, corpus: str, parse_name: Callable[[str], tuple[str, str]], name: str
) -> list[SpeechClip]:
    """The clips of a corpus, FLAC or WAV, sorted by file name.

    Args:
        folder: where they lie.
        pattern: which files, without what says FLAC or WAV, as for ``Path.glob``.
        corpus: the corpus' short name, before the speaker's.
        parse_name: file stem to label and speaker.
        name: what to get when nothing is there.

    Raises:
        CorpusError: the corpus is absent, empty, or a file name is not understood.
    """
    clips: dict[str, SpeechClip] = {}
    for path in visible(folder, f"{pattern}.*"):
        if path.suffix.lower() in _SOUNDS and path.stem not in clips:
            label, speaker = parse_name(path.stem)
            clips[path.stem] = SpeechClip(path, f"{corpus}-{speaker}", label, corpus)
    if not clips:
        raise CorpusError(
            f"{folder}: no {pattern}.flac; get {name} (16 kHz FLAC or WAV), then pass --data DIR"
        )
    return list(clips.values())
