"""Text encoder: the words of one utterance to an embedding and emotion logits.

A small pretrained transformer over lower-case word pieces. It reads punctuation where a recogniser
writes it and was taught as many texts without, so a bare transcript is understood as well.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_APOSTROPHES = frozenset("'\u2018\u2019\u02bc`")


def fold_words(text: str) -> list[str]:
    """Split a text into folded words; tells whether there is anything to encode.

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


class TextEncoder:
    """Runs a compact text model over whole utterances. Pure; one owning thread.

    Args:
        folder: The model's folder.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: The folder lacks its card, model or tokenizer.
        SpecMismatch: The card contradicts the model, or is not a text model's.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._card = load_card(Path(folder))
        if self._card.kind != "text":
            raise SpecMismatch(f"{self._card.folder}: a {self._card.kind} model, not text")
        self._tokenizer = _tokenizer(self._card)
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
            text: The words so far; of a long text the newest tokens are read, as many as the
                tokenizer keeps.

        Returns:
            The embedding, float32 [dim], and the logits, float32 [len(labels)].

        Raises:
            ValueError: The text holds no word. Absent words are absent; they have no embedding.
        """
        if not fold_words(text):
            raise ValueError(f"no word in {text!r}; mask the text modality instead")
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        embedding, logits = self._session.run(["embedding", "logits"], {"ids": ids})
        return np.asarray(embedding[0], np.float32), np.asarray(logits[0], np.float32)


def _tokenizer(card: Card) -> Tokenizer:
    from tokenizers import Tokenizer

    path = card.part_path("tokenizer")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        # The library has no exception of its own.
        raise SpecMismatch(f"{path}: not a tokenizer ({error})") from error
