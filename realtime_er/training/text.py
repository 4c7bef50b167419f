"""Trains the compact text encoder: hashed words, pairs and character n-grams, exported as ONNX.

The schedule is fixed beforehand and the dev parts choose nothing, so they are unseen data for the
fusion heads and the calibration as well as for the card.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from realtime_er.encoders.bundle import Card, write_card
from realtime_er.encoders.text import (
    MAX_WORDS,
    HashingSpec,
    TextEncoder,
    fold_words,
    hash_words,
)
from realtime_er.messages import LABELS
from realtime_er.training.corpora.emorynlp import read_emorynlp
from realtime_er.training.corpora.goemotions import read_goemotions
from realtime_er.training.corpora.meld import read_meld, read_meld_episodes
from realtime_er.training.corpora.text_rows import TextRow
from realtime_er.training.metrics import Metric, accuracy, bootstrap_interval, macro_f1, weighted_f1
from realtime_er.training.onnx_files import strip_traces

EMBEDDING_DIM = 128
EPOCHS = 4
CORPORA = ("goemotions", "meld", "emorynlp")
_TABLE_DIM = 64
_BATCH = 128
_PEAK_RATE = 2e-3
_WORD_DROPOUT = 0.1
_FEATURE_DROPOUT = 0.2
_DROPOUT = 0.3
_REPORTED: dict[str, Metric] = {
    "macro_f1": macro_f1,
    "weighted_f1": weighted_f1,
    "accuracy": accuracy,
}
# EmoryNLP's labels mean less of ours (Powerful and Peaceful are left out), so it counts half.
_CORPUS_WEIGHT = {"goemotions": 1.0, "meld": 1.0, "emorynlp": 0.5}


@dataclass(frozen=True)
class TextProgress:
    """State after one epoch: its number from 1, of how many, mean loss, seconds so far."""

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float


class TextNet(nn.Module):
    """Table rows, averaged with learned weights and taken the maximum of, then a small MLP."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        # The last column is a row's attention score, the others its value.
        self.table = nn.Embedding(rows, _TABLE_DIM + 1)
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.table.weight[:, -1] = 0.0
        self.embed = nn.Linear(2 * _TABLE_DIM, EMBEDDING_DIM)
        self.classify = nn.Linear(EMBEDDING_DIM, len(LABELS))
        # How often a corpus has each label; training only, so that the labels' frequencies on
        # Reddit do not become part of what a word means.
        self.corpus_bias = nn.Embedding(len(CORPORA), len(LABELS))
        nn.init.zeros_(self.corpus_bias.weight)
        self.dropout = nn.Dropout(_DROPOUT)

    def pool(self, values: Tensor, ids: Tensor) -> Tensor:
        """Weighted mean and maximum over the rows that are not padding.

        Args:
            values: float32 [N, T, 65], table rows.
            ids: int64 [N, T]; 0 is padding.

        Returns:
            float32 [N, 128].
        """
        padding = (ids == 0).unsqueeze(-1)
        weight = torch.softmax(values[..., -1:].masked_fill(padding, -1e4), dim=1)
        content = values[..., :-1]
        highest = content.masked_fill(padding, -1e4).amax(dim=1)
        return torch.cat([(weight * content).sum(dim=1), highest], dim=1)

    def head(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [N, 128] and logits [N, 7] of pooled rows."""
        embedding = torch.relu(self.embed(self.dropout(pooled)))
        return embedding, self.classify(self.dropout(embedding))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [N, 128] and logits [N, 7], float32, of ids int64 [N, T]."""
        return self.head(self.pool(self.table(ids), ids))


class _Deployed(nn.Module):
    """What is exported: the table in half precision, cast after the look-up."""

    def __init__(self, net: TextNet) -> None:
        super().__init__()
        self.net = net
        self.stored_table = nn.Parameter(net.table.weight.detach().half(), requires_grad=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        values = self.stored_table[ids].float()
        embedding, logits = self.net.head(self.net.pool(values, ids))
        return embedding, logits


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


def _pad(features: Sequence[npt.NDArray[np.int64]]) -> Tensor:
    padded = np.zeros((len(features), max(map(len, features))), np.int64)
    for place, ids in enumerate(features):
        padded[place, : len(ids)] = ids
    return torch.from_numpy(padded)


def _batches(words: list[list[str]], rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Row numbers of each batch: random, but of similar length, which spares padding."""
    order = rng.permutation(len(words))
    lengths = np.array([len(one) for one in words])
    batches = []
    for chunk in np.array_split(order, max(1, len(order) // (32 * _BATCH))):
        ordered = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [ordered[at : at + _BATCH] for at in range(0, len(ordered), _BATCH)]
    return [batches[at] for at in rng.permutation(len(batches))]


def _thin(words: list[str], rng: np.random.Generator) -> list[str]:
    """Leaves words out at random, but never all of them and none of a very short text."""
    if len(words) < 4:
        return words
    kept = [word for word in words if rng.random() >= _WORD_DROPOUT]
    return kept or words


def fit(
    rows: list[TextRow],
    *,
    seed: int,
    epochs: int,
    progress: Callable[[TextProgress], None] | None = None,
) -> TextNet:
    """Trains one network on ``rows``; deterministic for a seed. Returns it in evaluation mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    spec = HashingSpec()
    net = TextNet(spec.rows)
    words = [fold_words(row.text) for row in rows]
    target = torch.tensor([row.target for row in rows], dtype=torch.float32)
    corpus = torch.tensor([CORPORA.index(row.corpus) for row in rows])
    weight = torch.tensor([_CORPUS_WEIGHT[row.corpus] for row in rows])
    # Square root of the balanced weights: rare emotions are learned without being overpredicted.
    share = target.mean(dim=0).clamp_min(1e-6)
    class_weight = share.rsqrt() / (share.rsqrt() * share).sum()
    optimiser = torch.optim.AdamW(net.parameters(), lr=_PEAK_RATE, weight_decay=0.0)
    per_epoch = len(_batches(words, np.random.default_rng(seed)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _PEAK_RATE, total_steps=max(2, epochs * per_epoch)
    )
    started_s = time.monotonic()
    net.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        batches = _batches(words, rng)
        for chosen in batches:
            ids = _pad([hash_words(_thin(words[row], rng), spec) for row in chosen])
            ids = ids.masked_fill(torch.rand(ids.shape) < _FEATURE_DROPOUT, 0)
            _, logits = net(ids)
            logs = torch.log_softmax(logits + net.corpus_bias(corpus[chosen]), dim=1)
            losses = -(target[chosen] * class_weight * logs).sum(dim=1)
            loss = (losses * weight[chosen]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            progress(TextProgress(epoch, epochs, total / len(batches), elapsed_s))
    return net.eval()


def export(net: TextNet, path: Path) -> None:
    """Writes the ONNX file: "ids" int64 [1, T] to "embedding" [1, 128] and "logits" [1, 7]."""
    ids = torch.tensor([[5, 6, 7, 8]])
    with warnings.catch_warnings():
        # The exporter warns about its own internals and about equal axis names.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Deployed(net).eval(),
            (ids,),
            str(path),
            input_names=["ids"],
            output_names=["embedding", "logits"],
            dynamic_shapes=({1: torch.export.Dim("T", min=1, max=8192)},),
            dynamo=True,
            opset_version=18,
            external_data=False,
            verbose=False,
        )
    strip_traces(path)


def embed_dev(data_dir: Path, model_folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Embeds the dev parts, which the encoder never saw.

    Comments whose labels fall into several groups are left out, as are texts without any word.

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
    return {
        "embedding": np.stack([pair[0] for pair in pairs]),
        "logits": np.stack([pair[1] for pair in pairs]),
        "labels": np.array([row.label for row in rows], dtype=np.int64),
        "corpus": np.array([row.corpus for row in rows]),
        "speaker": np.array([row.speaker for row in rows]),
        "group": np.array([f"{row.corpus}-{row.group}" for row in rows]),
    }


def bare(text: str) -> str:
    """The text as a plain recogniser would write it: lower case, no punctuation."""
    kept = "".join(s if s.isalnum() or s in "'\u2019" else " " for s in text.lower())
    return " ".join(kept.split())


def _metrics(
    data_dir: Path, encoder: TextEncoder, bias_of: dict[str, npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Dev scores, as published and as a recogniser would write the words, with 95 % intervals.

    The plain scores take the logits as they are; ``_prior`` scores add the corpus' own label
    bias, learned on its training part, as a classifier trained for that corpus has it.
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
                for name, metric in _REPORTED.items():
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
    epochs: int = EPOCHS,
    threads: int = 1,
    progress: Callable[[TextProgress], None] | None = None,
) -> Card:
    """Trains, exports and scores the compact text encoder; about two minutes on one core.

    Args:
        data_dir: Folder that holds ``goemotions/``, ``meld/`` and ``emorynlp/``.
        out_dir: Model folder to write ``model.onnx`` and ``card.json`` into.
        seed: Seed of everything random.
        epochs: Passes over the training rows.
        threads: Torch threads.
        progress: Called after every epoch.

    Returns:
        The card written.

    Raises:
        CorpusError: A corpus is absent.
    """
    torch.set_num_threads(threads)
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    net = fit(read_training_rows(data_dir), seed=seed, epochs=epochs, progress=progress)
    out_dir.mkdir(parents=True, exist_ok=True)
    export(net, out_dir / "model.onnx")
    bias = net.corpus_bias.weight.detach().numpy()
    bias_of = dict(zip(CORPORA, bias, strict=True))
    card: dict[str, Any] = {
        "id": f"compact-text-{seed}",
        "kind": "text",
        "file": "model.onnx",
        "licence": "research use (trained on GoEmotions, Apache-2.0; MELD and EmoryNLP, research)",
        "labels": list(LABELS),
        "label_map": {label: [label] for label in LABELS},
        "embedding_dim": EMBEDDING_DIM,
        "input": {
            "ids": "int64 [1, T], T >= 1, rows of the table by encoders/text.py: hash_words",
            "folding": "lower case, accents and punctuation dropped, runs of a letter cut to two",
            "hashing": HashingSpec().to_card(),
            "max_words": MAX_WORDS,
            "language": "English",
        },
        "training": {
            "data": "GoEmotions train (soft Ekman targets), MELD train, EmoryNLP train without "
            "the episodes of MELD dev and without Peaceful and Powerful",
            "recipe": f"AdamW, one-cycle {_PEAK_RATE}, batch {_BATCH}, {epochs} epochs, word "
            f"dropout {_WORD_DROPOUT}, feature dropout {_FEATURE_DROPOUT}, class weights "
            "1/sqrt(share), per-corpus label bias dropped at export",
            "command": "realtime-er train text --data DIR",
            "seed": seed,
            "split": "published train parts; dev parts unseen",
            "evaluation_rule": "GoEmotions comments whose labels all fall into one Ekman group",
        },
        "corpus_bias": {
            name: [round(float(one), 5) for one in values] for name, values in bias_of.items()
        },
        "corpus_bias_note": "added to the logits by the _prior scores only; not in the graph",
        "headline": ["goemotions_dev_macro_f1_prior", "meld_dev_weighted_f1_prior"],
        "metrics": {},
        "prior": {label: round(1.0 / len(LABELS), 6) for label in LABELS},
    }
    write_card(out_dir, card)
    card["metrics"] = _metrics(data_dir, TextEncoder(out_dir), bias_of)
    return write_card(out_dir, card)
