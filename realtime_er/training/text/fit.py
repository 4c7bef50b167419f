"""Fine-tunes the text network: the schedule, the loss, and the part that the offsets are chosen on.

The dev parts choose nothing. One training text in twenty (whole dialogues, scenes and comments) is
not learned; it draws the curve and chooses how much of a corpus' label frequencies counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from realtime_er.messages import LABELS
from realtime_er.training.checkpoints import read_checkpoint, write_checkpoint
from realtime_er.training.corpora.text_rows import TextRow
from realtime_er.training.progress import Course, Tell
from realtime_er.training.text.model import FROZEN_LAYERS, LAYERS, TextNet
from realtime_er.training.text.noise import bare, heard

EPOCHS = 2
CORPORA = ("goemotions", "meld", "emorynlp")
BATCH = 64
PEAK_RATE = 1.5e-4
LAYER_DECAY = 0.9
HEAD_RATE = 1e-3
WARM_UP = 0.06
WEIGHT_DECAY = 0.01
HELD_OUT = 0.05
# EmoryNLP's labels mean less of ours (Powerful and Peaceful are left out), so it counts half.
CORPUS_WEIGHT = {"goemotions": 1.0, "meld": 1.0, "emorynlp": 0.5}
_LEAST_SHARE = 1e-3


def split_rows(rows: Sequence[TextRow], seed: int) -> tuple[list[TextRow], list[TextRow]]:
    """Rows to learn and rows held out: whole groups, and no sentence in both.

    MELD and EmoryNLP are cut from one series, so a held-out sentence of four words and more is
    also taken out of the rows to learn.
    """
    rng = np.random.default_rng(seed)
    kept_out: set[tuple[str, str]] = set()
    for corpus in CORPORA:
        groups = sorted({row.group for row in rows if row.corpus == corpus})
        chosen = rng.permutation(len(groups))[: round(HELD_OUT * len(groups))]
        kept_out |= {(corpus, groups[place]) for place in chosen}
    held = [row for row in rows if (row.corpus, row.group) in kept_out]
    sentences = {words for row in held if len((words := bare(row.text)).split()) > 3}
    learned = [
        row
        for row in rows
        if (row.corpus, row.group) not in kept_out and bare(row.text) not in sentences
    ]
    return learned, held


def log_shares(rows: Sequence[TextRow]) -> dict[str, npt.NDArray[np.float32]]:
    """Logarithm of each label's share in each corpus, float32 [7]; never below that of 1/1000."""
    found = {}
    for corpus in CORPORA:
        targets = np.array([row.target for row in rows if row.corpus == corpus])
        share = targets.mean(axis=0) if len(targets) else np.full(len(LABELS), 1 / len(LABELS))
        found[corpus] = np.log(np.maximum(share, _LEAST_SHARE)).astype(np.float32)
    return found


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text."""
    return [one.ids for one in tokenizer.encode_batch(list(texts))]


def pad(ids: Sequence[Sequence[int]]) -> Tensor:
    """int64 [N, T], zeros behind the shorter ones."""
    padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
    for place, one in enumerate(ids):
        padded[place, : len(one)] = one
    return torch.from_numpy(padded)


def batches(lengths: Sequence[int], rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Row numbers of each batch: random, but of similar length, which spares padding."""
    order = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    found = []
    for chunk in np.array_split(order, max(1, len(order) // (32 * BATCH))):
        ordered = chunk[np.argsort(sizes[chunk], kind="stable")]
        found += [ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]
    return [found[at] for at in rng.permutation(len(found))]


def make_optimiser(net: TextNet) -> torch.optim.AdamW:
    """AdamW with lower rates for lower layers, and no decay of biases and norms.

    Token vectors and the lowest layers stay as they are: that spares a quarter of the time, and
    words that no training text has stay beside their synonyms.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if name.startswith("layers."):
            number = int(name.split(".")[1])
            parameter.requires_grad_(number >= FROZEN_LAYERS)
            rate = PEAK_RATE * LAYER_DECAY ** (LAYERS - 1 - number)
        else:
            parameter.requires_grad_(name.startswith(("embed.", "classify.")))
            rate = HEAD_RATE
        if not parameter.requires_grad:
            continue
        decay = WEIGHT_DECAY if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "lr": rate, "weight_decay": decay}
            for (rate, decay), members in groups.items()
        ]
    )


def fit(
    net: TextNet,
    tokenizer: Tokenizer,
    rows: Sequence[TextRow],
    held: Sequence[TextRow],
    out_dir: Path,
    *,
    seed: int,
    epochs: int,
    progress: Tell | None = None,
) -> TextNet:
    """Trains ``net`` in place on ``rows``; the same seed and machine give the same weights.

    The loss adds the logarithm of the corpus' label shares to the logits (logit adjustment, Menon
    et al. 2021, equation 10), so the network itself learns what words say and not how frequent an
    emotion is in a corpus. After each epoch ``checkpoint.pt`` and a line of ``curves.csv`` are
    written into ``out_dir``; a checkpoint that is there is gone on from.

    Returns:
        The network in evaluation mode.

    Raises:
        ConfigError: The checkpoint is of a run with other settings.
        CorpusError: The checkpoint is damaged.
    """
    shares = {corpus: torch.from_numpy(one) for corpus, one in log_shares(rows).items()}
    offset = torch.stack([shares[row.corpus] for row in rows])
    target = torch.tensor([row.target for row in rows], dtype=torch.float32)
    weight = torch.tensor([CORPUS_WEIGHT[row.corpus] for row in rows])
    lengths = [len(one) for one in encode_texts(tokenizer, [row.text for row in rows])]
    optimiser = make_optimiser(net)
    steps = epochs * len(batches(lengths, np.random.default_rng(seed)))

    def pace(step: int) -> float:
        return min((step + 1) / (WARM_UP * steps), max(0.0, 1.0 - step / steps) / (1.0 - WARM_UP))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace)
    checkpoint, plan = out_dir / "checkpoint.pt", {"seed": seed, "epochs": epochs}
    state = read_checkpoint(checkpoint, plan)
    done = int(state.get("epoch", 0))
    if done:
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    course = Course(epochs, done=done, tell=progress, curves=out_dir / "curves.csv")
    for epoch in range(done + 1, epochs + 1):
        # An epoch is a function of the seed and its number, so going on equals going through.
        rng = np.random.default_rng([seed, epoch])
        torch.manual_seed(seed * 1000 + epoch)
        ids = encode_texts(tokenizer, [heard(row.text, rng) for row in rows])
        net.train()
        drawn = batches([len(one) for one in ids], rng)[: steps // epochs]
        for chosen in drawn:
            _, logits = net(pad([ids[row] for row in chosen]))
            each = functional.cross_entropy(
                logits + offset[chosen], target[chosen], reduction="none"
            )
            loss = (each * weight[chosen]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            course.batch(float(loss.detach()), len(drawn))
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
        write_checkpoint(
            checkpoint, plan, state | {"schedule": schedule.state_dict(), "epoch": epoch}
        )
        course.epoch(held_loss(net, tokenizer, held, shares))
    return net.eval()


def logits_of(net: TextNet, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Logits float32 [N, 7] of texts as they are written; leaves the network in evaluation mode."""
    net.eval()
    ids = encode_texts(tokenizer, texts)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    found = torch.zeros(len(ids), len(LABELS))
    with torch.no_grad():
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            found[chosen] = net(pad([ids[row] for row in chosen]))[1]
    return found


def held_loss(
    net: TextNet, tokenizer: Tokenizer, held: Sequence[TextRow], shares: dict[str, Tensor]
) -> float | None:
    """Mean cross-entropy of the held-out rows, None where there are none."""
    if not held:
        return None
    logits = logits_of(net, tokenizer, [row.text for row in held])
    logits += torch.stack([shares[row.corpus] for row in held])
    target = torch.tensor([row.target for row in held], dtype=torch.float32)
    return float(functional.cross_entropy(logits, target))
