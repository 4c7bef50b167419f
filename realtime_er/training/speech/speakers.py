"""Who speaks in RAVDESS and EMO-DB, and which of them teach nothing."""

from __future__ import annotations

HELD_OUT = (*(f"ravdess-{actor:02d}" for actor in range(15, 21)), "emodb-12", "emodb-14")
"""Speakers that the shipped encoder never heard: three men and three women, a man and a woman."""
TEST_SPEAKERS = (*(f"ravdess-{actor}" for actor in range(21, 25)), "emodb-15", "emodb-16")
"""Speakers of the corpora's test parts, wherever they are: no network learns from them."""
FOLDS = tuple(
    tuple(f"ravdess-{actor:02d}" for actor in range(first, first + 4)) + german
    for first, german in (
        (1, ("emodb-03", "emodb-08")),
        (5, ("emodb-09", "emodb-10")),
        (9, ("emodb-11", "emodb-13")),
        (13, ("emodb-12",)),
        (17, ("emodb-14",)),
    )
)
"""Every other speaker once, as many men as women of RAVDESS in each fold."""
_EMODB_MEN = ("03", "10", "11", "12", "15")


def sex_of(speaker: str) -> str:
    """The sex of a speaker of either corpus: women or men, in the plural."""
    corpus, _, number = speaker.partition("-")
    if corpus == "ravdess":
        return "men" if int(number) % 2 else "women"
    return "men" if number in _EMODB_MEN else "women"
