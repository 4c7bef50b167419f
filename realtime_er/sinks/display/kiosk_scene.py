"""What the demo screen says about a snapshot, in words; no Qt and no numbers for people to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from realtime_er.messages import LABELS, MODALITIES, Absence, Hypothesis, Snapshot
from realtime_er.sinks.display.shown import how_sure, leading

DISCLAIMER = "how it reads, not what anybody feels"
WAKING = "Waking up ..."
NOT_SURE = "Not sure"
GREETING = "Hello"
RECORDED = "being recorded"
INVITATION = ("Come closer", "and say something")
TITLES = {"face": "face", "audio": "voice", "text": "words"}

# A contribution of this size draws the largest circle; smaller than the second: none worth showing.
_FULL_CONTRIBUTION = 0.4
_LEAST_CONTRIBUTION = 0.02
_SAID_S = 7.0
_SAID_FADE_S = 1.5
# A partial that got no successor for this long will get none: its speech stage is behind or lost.
_PARTIAL_S = 15.0

_CAMERA_NOTES = {
    Absence.LOST: "The camera is away. It comes back by itself as soon as it is plugged in.",
    Absence.BUSY: "Another program has the camera. Close that one, and it goes on by itself.",
    Absence.FROZEN: "The picture is frozen. The camera is being opened anew.",
    Absence.COVERED: "The camera sees only darkness. Is its cover closed?",
    Absence.OFF: "The camera is off. It listens to the voice and the words.",
    Absence.UNAVAILABLE: "Faces cannot be read here. It listens to the voice and the words.",
    Absence.ENDED: "The picture has ended.",
}
_MICROPHONE_LOST = "The microphone is away. It comes back by itself as soon as it is plugged in."
_MICROPHONE_BUSY = "Another program has the microphone. Close that one, and it goes on by itself."
_MICROPHONE_SILENT = "The microphone delivers no sound. Is it muted by its own switch?"
_MUTED = "The microphone is muted. It does not listen."
_MICROPHONE_NOTES = {
    Absence.LOST: _MICROPHONE_LOST,
    Absence.BUSY: _MICROPHONE_BUSY,
    Absence.MUTED: _MICROPHONE_SILENT,
}
_HINTS = {
    Absence.FACE_TOO_SMALL: "Come a little closer",
    Absence.FACE_TURNED: "Look this way",
    Absence.FACE_BLURRED: "Hold still for a moment",
    Absence.BEHIND: "One moment, catching up",
}
_ABSENT = {
    Absence.OFF: "off",
    Absence.WAITING: "waking up",
    Absence.NO_FACE: "nobody there",
    Absence.FACE_TOO_SMALL: "too far away",
    Absence.FACE_BLURRED: "blurred",
    Absence.FACE_TURNED: "turned away",
    Absence.NO_SPEECH: "quiet",
    Absence.TOO_LITTLE_SPEECH: "go on ...",
    Absence.MUTED: "muted",
    Absence.NO_WORDS: "none yet",
    Absence.EXPIRED: "quiet",
    Absence.UNAVAILABLE: "not here",
    Absence.LOST: "away",
    Absence.BUSY: "in use elsewhere",
    Absence.FROZEN: "frozen",
    Absence.COVERED: "covered",
    Absence.BEHIND: "catching up",
    Absence.ENDED: "ended",
}


@dataclass(frozen=True, slots=True)
class Speaker:
    """One modality's part in the word that is shown.

    Attributes:
        modality: "face", "audio" or "text".
        present: Whether it takes part now.
        share: 0 to 1, how much it speaks *for* the word; 0 when it speaks against it.
        note: Plain words: why it is absent, or that it is there.
    """

    modality: str
    present: bool
    share: float
    note: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything the demo screen says.

    Attributes:
        caption: Small line above the word.
        word: The huge word.
        label: The emotion whose colour the word has, None for a plain word.
        sure: 0 to 1, drawn as a line; None where there is nothing to be sure of.
        sure_words: The same in words.
        speakers: The three modalities, in the order of ``MODALITIES``.
        spoken: (word, settled) of the newest utterance; partial words are not settled.
        spoken_opacity: 0 to 1; what was said fades after some seconds.
        sound_note: Why nothing is heard, when that needs saying; else "".
        picture_note: What stands in place of the picture; "" where the picture is shown.
        recorded: Whether a recording is running.
    """

    caption: str
    word: str
    label: str | None
    sure: float | None
    sure_words: str
    speakers: tuple[Speaker, ...]
    spoken: tuple[tuple[str, bool], ...]
    spoken_opacity: float
    sound_note: str
    picture_note: str
    recorded: bool


def scene_of(snapshot: Snapshot) -> Scene:
    """What the demo screen says about ``snapshot``. Any thread."""
    estimate, lead = snapshot.estimate, leading(snapshot.estimate)
    caption, word, label, sure, sure_words = "", GREETING, None, None, _hint(snapshot)
    if estimate is not None and lead is not None:
        sure = float(np.clip(estimate.confidence, 0.0, 1.0))
        if estimate.label is None:
            word, sure_words = NOT_SURE, f"perhaps {lead}"
        else:
            caption, word, label = "reads as", lead, lead
            sure_words = how_sure(sure)
    spoken, opacity = _spoken(snapshot)
    return Scene(
        caption=caption,
        word=word,
        label=label,
        sure=sure,
        sure_words=sure_words,
        speakers=tuple(_speaker(snapshot, modality, label, lead) for modality in MODALITIES),
        spoken=spoken,
        spoken_opacity=opacity,
        sound_note=_sound_note(snapshot),
        picture_note=_picture_note(snapshot),
        recorded=snapshot.recording is not None and not snapshot.recording.failure,
    )


def _hint(snapshot: Snapshot) -> str:
    """What a person can do when there is nothing to read."""
    face = snapshot.states.get("face", Absence.WAITING)
    if face in _HINTS:
        return _HINTS[face]
    if face in _CAMERA_NOTES:
        return "Say something"
    deaf = snapshot.muted or snapshot.states.get("audio") in (
        Absence.OFF,
        Absence.LOST,
        Absence.BUSY,
    )
    return "Look this way" if deaf else "Look this way, or say something"


def _speaker(snapshot: Snapshot, modality: str, label: str | None, lead: str | None) -> Speaker:
    absence = snapshot.states.get(modality, Absence.WAITING)
    if absence is not None:
        return Speaker(modality, False, 0.0, _ABSENT[absence])
    if snapshot.estimate is None or label is None:
        return Speaker(modality, True, 0.0, "undecided" if lead else "")
    vector = snapshot.estimate.contributions.get(modality)
    value = 0.0 if vector is None else float(np.nan_to_num(vector[LABELS.index(label)]))
    if abs(value) < _LEAST_CONTRIBUTION:
        return Speaker(modality, True, 0.0, "undecided")
    if value < 0.0:
        return Speaker(modality, True, 0.0, "says otherwise")
    share = min(value / _FULL_CONTRIBUTION, 1.0)
    return Speaker(modality, True, share, "says so clearly" if share > 0.5 else "says so")


def _spoken(snapshot: Snapshot) -> tuple[tuple[tuple[str, bool], ...], float]:
    current = snapshot.current
    if (
        current is not None
        and not current.is_final
        and current.text
        and snapshot.now_s - current.available_s < _PARTIAL_S
    ):
        return _words(current), 1.0
    if not snapshot.finals:
        return (), 0.0
    final = snapshot.finals[-1]
    left_s = final.available_s + _SAID_S - snapshot.now_s
    return (_words(final), min(left_s / _SAID_FADE_S, 1.0)) if left_s > 0 else ((), 0.0)


def _words(hypothesis: Hypothesis) -> tuple[tuple[str, bool], ...]:
    n_settled = len(hypothesis.committed.split())
    words: Iterable[str] = hypothesis.text.split()
    return tuple(
        (word, hypothesis.is_final or place < n_settled) for place, word in enumerate(words)
    )


def _sound_note(snapshot: Snapshot) -> str:
    if snapshot.muted:
        return _MUTED
    audio = snapshot.states.get("audio")
    return _MICROPHONE_NOTES.get(audio, "") if audio is not None else ""


def _picture_note(snapshot: Snapshot) -> str:
    face = snapshot.states.get("face")
    if face in _CAMERA_NOTES:
        return _CAMERA_NOTES[face]
    return "" if snapshot.frame is not None else "The camera is waking up ..."
