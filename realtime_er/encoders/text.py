"""Text encoder: the words of one utterance to an embedding and emotion logits.

The features are made to read a speech recogniser's output like written text: case, accents,
punctuation and lengthened letters are folded away before anything is hashed, so a transcript
without punctuation gives exactly the ids of the same words with it.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch

MAX_WORDS = 96
"""Words of one utterance that are read; the last ones are kept, as the newest."""

_APOSTROPHES = frozenset("'\u2018\u2019\u02bc`")


@dataclass(frozen=True)
class HashingSpec:
    """How words become rows of the embedding table.

    Row 0 is padding and never produced. Words, word pairs and the character n-grams of words
    have their own ranges, so a frequent word never shares a row with a pair.
    """

    word_rows: int = 24_576
    pair_rows: int = 24_576
    gram_rows: int = 16_383
    gram_lengths: tuple[int, ...] = (3, 4, 5)

    @property
    def rows(self) -> int:
        """Rows of the table, the padding row included."""
        return 1 + self.word_rows + self.pair_rows + self.gram_rows

    def to_card(self) -> dict[str, object]:
        """The values as they stand in a model card under ``input.hashing``."""
        return {
            "hash": "crc32",
            "word_rows": self.word_rows,
            "pair_rows": self.pair_rows,
            "gram_rows": self.gram_rows,
            "gram_lengths": list(self.gram_lengths),
        }


def fold_words(text: str) -> list[str]:
    """Split a text into folded words.

    Lower case, compatibility forms and accents folded, apostrophes dropped ("don't" and "dont"
    are one word), everything else that is neither letter nor digit separates words, and a letter
    repeated three times or more counts twice ("sooo" is "soo").

    Returns:
        The words in order; empty when the text has no letter and no digit.
    """
    kept: list[str] = []
    for sign in unicodedata.normalize("NFKD", text).casefold():
        if sign in _APOSTROPHES or unicodedata.combining(sign):
            continue
        if not sign.isalnum():
            kept.append(" ")
        elif len(kept) < 2 or kept[-1] != sign or kept[-2] != sign:
            kept.append(sign)
    return "".join(kept).split()


@lru_cache(maxsize=50_000)
def _word_rows(word: str, spec: HashingSpec) -> tuple[int, ...]:
    """Rows of one word: itself, then its distinct character n-grams."""
    first_gram = 1 + spec.word_rows + spec.pair_rows
    rows = [1 + zlib.crc32(word.encode()) % spec.word_rows]
    marked = f"<{word}>"
    grams = {
        marked[start : start + length]
        for length in spec.gram_lengths
        for start in range(len(marked) - length + 1)
    }
    grams.discard(marked)
    rows.extend(first_gram + zlib.crc32(gram.encode()) % spec.gram_rows for gram in sorted(grams))
    return tuple(rows)


def hash_words(words: Sequence[str], spec: HashingSpec) -> npt.NDArray[np.int64]:
    """Rows of the embedding table for folded words.

    Returns:
        int64 [T]: the words with their character n-grams, then the pairs of neighbours.
    """
    recent = list(words[-MAX_WORDS:])
    ids: list[int] = []
    for word in recent:
        ids.extend(_word_rows(word, spec))
    # The ends count as words, so that "what" alone differs from "what" inside a sentence.
    for left, right in pairwise(["<s>", *recent, "</s>"]):
        ids.append(1 + spec.word_rows + zlib.crc32(f"{left} {right}".encode()) % spec.pair_rows)
    return np.asarray(ids, dtype=np.int64)


class TextEncoder:
    """Runs a compact text model over whole utterances. Pure; one owning thread.

    Args:
        folder: The model's folder.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: The folder lacks its card or model.
        SpecMismatch: The card contradicts the model, or is not a text model's.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._card = load_card(Path(folder))
        if self._card.kind != "text":
            raise SpecMismatch(f"{self._card.folder}: a {self._card.kind} model, not text")
        try:
            hashing = self._card.raw["input"]["hashing"]
            self._spec = HashingSpec(
                word_rows=int(hashing["word_rows"]),
                pair_rows=int(hashing["pair_rows"]),
                gram_rows=int(hashing["gram_rows"]),
                gram_lengths=tuple(int(length) for length in hashing["gram_lengths"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SpecMismatch(f"{self._card.folder}: card lacks input.hashing: {error}") from error
        self._session = onnx_session(self._card.path, threads)
        if [node.name for node in self._session.get_inputs()] != ["ids"]:
            raise SpecMismatch(f"{self._card.path}: its inputs are not those of its card")

    @property
    def card(self) -> Card:
        """The model's card."""
        return self._card

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        return self._card.id

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._card.embedding_dim

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the logits, in order."""
        return self._card.labels

    def encode(self, text: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Reads one utterance.

        Args:
            text: The words so far; of more than ``MAX_WORDS`` words the last ones are read.

        Returns:
            The embedding, float32 [dim], and the logits, float32 [len(labels)].

        Raises:
            ValueError: The text holds no word. Absent words are absent; they have no embedding.
        """
        words = fold_words(text)
        if not words:
            raise ValueError(f"no word in {text!r}; mask the text modality instead")
        ids = hash_words(words, self._spec)[None]
        embedding, logits = self._session.run(["embedding", "logits"], {"ids": ids})
        return np.asarray(embedding[0], np.float32), np.asarray(logits[0], np.float32)
