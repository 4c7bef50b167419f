"""Written text as a speech recogniser hears it: no punctuation, fillers, homophones, lost words."""

from __future__ import annotations

import numpy as np

FILLERS = ("um", "uh", "er", "hmm", "like", "you know", "i mean", "so", "well", "oh")
_SOUND_ALIKE = (
    ("there", "their", "they're"),
    ("your", "you're"),
    ("its", "it's"),
    ("to", "too", "two"),
    ("than", "then"),
    ("know", "no"),
    ("here", "hear"),
    ("right", "write"),
    ("whose", "who's"),
    ("buy", "by", "bye"),
    ("would", "wood"),
    ("our", "are"),
    ("for", "four"),
    ("one", "won"),
    ("weather", "whether"),
    ("were", "where", "we're"),
    ("lets", "let's"),
    ("gonna", "going to"),
    ("wanna", "want to"),
)
_ALIKE = {
    word: tuple(other for other in group if other != word)
    for group in _SOUND_ALIKE
    for word in group
    if " " not in word
}
_BARE_SHARE = 0.5
_NOISY_SHARE = 0.3
_FILLER_RATE = 0.06
_LOSS_RATE = 0.04
_ALIKE_RATE = 0.15


def bare(text: str) -> str:
    """The text as a plain recogniser would write it: lower case, no punctuation."""
    kept = "".join(sign if sign.isalnum() or sign in "'\u2019" else " " for sign in text.lower())
    return " ".join(kept.split())


def heard(text: str, rng: np.random.Generator) -> str:
    """One training view of a text.

    Half of the views stay as written, a fifth lose punctuation only, and the others also have
    fillers put in, words lost, and words taken for others that sound the same.
    """
    draw = rng.random()
    if draw >= _BARE_SHARE:
        return text
    words = bare(text).split()
    if draw >= _NOISY_SHARE or not words:
        return " ".join(words) or text
    said: list[str] = []
    for word in words:
        if rng.random() < _FILLER_RATE:
            said.append(str(rng.choice(FILLERS)))
        if len(words) > 2 and rng.random() < _LOSS_RATE:
            continue
        if word in _ALIKE and rng.random() < _ALIKE_RATE:
            word = str(rng.choice(_ALIKE[word]))
        said.append(word)
    return " ".join(said or words)
