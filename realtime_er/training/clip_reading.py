"""What can be had of a clip, and what cannot and why: faces, windows of sound, words."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av.error
import cv2
import numpy as np

from realtime_er.config import AsrConfig
from realtime_er.errors import MediaError
from realtime_er.fusion.aggregation import audio_windows
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, SpeechSegment
from realtime_er.perception.asr import Recognizer, WhisperLike
from realtime_er.perception.detectors import FaceDetector
from realtime_er.perception.whisper import MAX_SPEECH_S
from realtime_er.training.clip_media import FaceTrack, read_faces, read_sound
from realtime_er.training.corpora.manifest import ManifestRow

SILENT_RMS = 10.0 ** (-70.0 / 20.0)
"""Quieter than this is no sound: the encoder's normalisation would blow its noise up."""
LANGUAGES = {"emodb": "de"}
"""Corpora whose speakers do not speak English, which the text encoder reads."""

UNREADABLE = (MediaError, av.error.FFmpegError, cv2.error, ValueError, TypeError, OSError)
"""What decoders and OpenCV raise over odd files (formats they do not know, pictures of no size)."""

Transcribe = Callable[[FloatArray], str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is absent of a clip, and why.

    Attributes:
        id: the clip.
        modality: "face", "audio" or "text"; empty where the whole clip was left out.
        reason: in words.
    """

    id: str
    modality: str
    reason: str


@dataclass
class ClipContent:
    """What the encoders read of one clip; None is absent.

    Attributes:
        row: the clip.
        faces: one person's faces.
        windows: float32 [W, 64000], 4 s of sound each.
        words: what was said; empty where it is absent.
        sound_s: length of the sound; 0 without one.
        problems: what is absent that could have been there.
    """

    row: ManifestRow
    faces: FaceTrack | None = None
    windows: FloatArray | None = None
    words: str = ""
    sound_s: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    def note(self, modality: str, reason: str) -> None:
        """Adds a problem; ``modality`` is empty where the whole clip is lost."""
        self.problems.append(Problem(self.row.id, modality, reason))


@dataclass(frozen=True)
class Wanted:
    """What to read of every clip.

    Attributes:
        face: whether pictures are looked at.
        audio: whether sound is described.
        text: whether words are.
        window_samples: length of a window of sound.
        with_pictures: whether the corpus has pictures at all, so that a clip without any is noted.
    """

    face: bool
    audio: bool
    text: bool
    window_samples: int
    with_pictures: bool


def read_clip(
    row: ManifestRow,
    root: Path,
    wanted: Wanted,
    detector: FaceDetector | None,
    transcribe: Transcribe | None,
) -> ClipContent:
    """Reads one clip; never fails, but says what is absent.

    A clip none of whose files can be read is lost: ``problems`` then has one without modality.
    """
    clip = ClipContent(row)
    broken: list[str] = []
    asked = 0
    if wanted.face and detector is not None:
        if row.video:
            asked += 1
            _read_faces(clip, root, detector, broken)
        elif wanted.with_pictures:
            clip.note("face", "has no video")
    words = row.text.strip()
    needs_words = wanted.text and not words and transcribe is not None
    sound: FloatArray | None = None
    if wanted.audio or needs_words:
        asked += 1
        sound = _read_sound(clip, root, wanted, broken)
    if wanted.text:
        if needs_words and sound is not None and transcribe is not None:
            words = transcribe(sound)
            if not words:
                clip.note("text", "no words were recognised")
        elif not words and LANGUAGES.get(row.corpus, "en") == "en":
            clip.note("text", "no transcript, and no speech recognition")
        clip.words = words
        if not in_latin_letters(words):
            clip.words = ""
            clip.note("text", "the words are in another script, which the text encoder cannot read")
    if asked and len(broken) == asked:
        clip.problems = []
        clip.note("", broken[0])
    return clip


def _read_faces(clip: ClipContent, root: Path, detector: FaceDetector, broken: list[str]) -> None:
    try:
        clip.faces = read_faces(clip.row, root, detector)
    except UNREADABLE as error:
        broken.append(why_unreadable(error, root / clip.row.video))
        clip.note("face", broken[-1])
        return
    if clip.faces is None:
        clip.note("face", "no face was found")


def why_unreadable(error: Exception, path: Path) -> str:
    """One line on a file that raised one of ``UNREADABLE``."""
    if isinstance(error, MediaError):
        return str(error)
    reason = str(error).splitlines()[0] if str(error) else "no reason given"
    return f"{path}: cannot be decoded ({type(error).__name__}: {reason})"


def _read_sound(
    clip: ClipContent, root: Path, wanted: Wanted, broken: list[str]
) -> FloatArray | None:
    """The sound when there is something to hear; puts its windows into the clip."""
    try:
        sound = read_sound(clip.row, root)
    except UNREADABLE as error:
        broken.append(why_unreadable(error, root / (clip.row.audio or clip.row.video)))
        clip.note("audio", broken[-1])
        return None
    reason = why_unheard(sound)
    if sound is None or reason:
        clip.note("audio", reason)
        return None
    clip.sound_s = len(sound) / SAMPLE_RATE_HZ
    if wanted.audio:
        window_s = wanted.window_samples / SAMPLE_RATE_HZ
        clip.windows = audio_windows(sound, window_s=window_s, hop_s=window_s / 2)
    return sound


def why_unheard(sound: FloatArray | None) -> str:
    """Why there is nothing to hear in sound, float32 [samples] or None; empty where there is."""
    if sound is None:
        return "the file has no sound"
    if len(sound) == 0:
        return "empty audio"
    if not np.isfinite(sound).all():
        return "samples are not finite"
    if float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) < SILENT_RMS:
        return "silent"
    return ""


def in_latin_letters(words: str) -> bool:
    """Whether most letters are Latin; true of text without letters."""
    letters = [sign for sign in words if sign.isalpha()]
    latin = sum(unicodedata.name(sign, "").startswith("LATIN") for sign in letters)
    return 2 * latin >= len(letters)


def whisper_words(model: WhisperLike, config: AsrConfig | None = None) -> Transcribe:
    """Whisper as a function from sound to words, with the guards of live use.

    Args:
        model: what transcribes.
        config: limits of the guards.

    Returns:
        A function for one thread: float32 [samples] at 16 kHz to words; empty where none were
        said. Long sound is cut into pieces that Whisper can take.
    """
    recognizer = Recognizer(config or AsrConfig(), model)
    longest = int(MAX_SPEECH_S * SAMPLE_RATE_HZ)
    number = 0

    def words_of(sound: FloatArray) -> str:
        nonlocal number
        said = []
        for start in range(0, len(sound), longest):
            piece = sound[start : start + longest]
            number += 1
            start_s, end_s = start / SAMPLE_RATE_HZ, (start + len(piece)) / SAMPLE_RATE_HZ
            segment = SpeechSegment(
                segment_id=number, revision=0, samples=piece, is_final=True, start_s=start_s,
                end_s=end_s, trigger_s=end_s,
            )  # fmt: skip
            said.append(recognizer.transcribe(segment).text)
        return " ".join(text for text in said if text)

    return words_of
