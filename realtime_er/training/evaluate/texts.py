"""The text encoder on written comments, spoken dialogue, and both as a recogniser writes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.text import TextEncoder, fold_words
from realtime_er.errors import CorpusError
from realtime_er.fusion.head import softmax
from realtime_er.messages import LABELS
from realtime_er.training.corpora.emorynlp import read_emorynlp
from realtime_er.training.corpora.goemotions import read_goemotions
from realtime_er.training.corpora.meld import read_meld, read_meld_episodes
from realtime_er.training.corpora.text_rows import TextRow
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import SEED, Goal, Report, add_recalls
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    macro_f1,
    unweighted_average_recall,
    weighted_f1,
)
from realtime_er.training.text.noise import bare

_FILLERS = ("um", "uh", "like", "you know", "i mean", "so")
_MOST_LOSS = 0.03
_HEADLINES: dict[str, tuple[str, Goal | None, str]] = {
    "goemotions": ("macro F1", Goal(0.60), "comments"),
    "meld": ("weighted F1", Goal(0.55), "dialogues"),
    "emorynlp": ("weighted F1", None, "scenes"),
}
"""The measure that a corpus is told by, its goal, and what its interval draws again."""
Logits = npt.NDArray[np.float64]


def evaluate_text(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Measures the text encoder on GoEmotions, MELD and EmoryNLP, whichever is there.

    ``valid`` reads the corpora's dev parts. A corpus that is not there, or cannot be read, is
    named in a note.

    Raises:
        CorpusError: none of them has the part.
        WeightsMissing: the model is not there.
    """
    encoder = TextEncoder(models_dir / "compact-text")
    report = Report.of("text", split, encoder.card)
    part = "test" if split == "test" else "dev"
    corpora = _read_corpora(report, data_dir, part)
    for name, rows in corpora.items():
        _add_corpus(report, encoder, name, rows, out_dir, split)
    _add_times(report, encoder, corpora)
    size = sum(path.stat().st_size for path in encoder.card.folder.iterdir()) / 1e6
    report.add("model folder", "MB", size, goal=Goal(12, False))
    report.notes.append(
        "With the corpus' prior: the label frequencies of that corpus' training part are added, as "
        "a classifier made for that corpus has them; without: as it runs live, where there is no "
        "corpus and the mean of comments and dialogue stands in."
    )
    return report


def _read_corpora(report: Report, data_dir: Path, part: str) -> dict[str, list[TextRow]]:
    """The rows of each corpus that has some; what is not there is noted.

    Raises:
        CorpusError: none has any.
    """
    readers: dict[str, Callable[[], list[TextRow]]] = {
        "goemotions": lambda: [
            row for row in read_goemotions(data_dir, part) if row.label is not None
        ],
        "meld": lambda: read_meld(data_dir, part),
        "emorynlp": lambda: _fresh_emorynlp(report, data_dir, part),
    }
    corpora: dict[str, list[TextRow]] = {}
    absent: list[str] = []
    for name, reader in readers.items():
        try:
            rows = reader()
        except CorpusError as error:
            absent.append(str(error))
            continue
        if rows:
            corpora[name] = rows
        else:
            absent.append(f"{name}: nothing in its {part} part can be scored")
    if not corpora:
        raise CorpusError("; ".join(absent))
    report.notes += [f"Not measured: {one}." for one in absent]
    return corpora


def _add_times(
    report: Report, encoder: TextEncoder, corpora: Mapping[str, Sequence[TextRow]]
) -> None:
    """How long one utterance takes; of MELD, whose lines are spoken, where it is there."""
    name = "meld" if "meld" in corpora else next(iter(corpora))
    taken = []
    for text in [row.text for row in corpora[name] if fold_words(row.text)][:300]:
        started_s = time.process_time()
        encoder.encode(text)
        taken.append(1000 * (time.process_time() - started_s))
    if taken:
        report.add(
            "one MELD utterance" if name == "meld" else f"one text of {name}",
            "ms of compute, median", float(np.median(taken)), n=len(taken), goal=Goal(5, False),
        )  # fmt: skip


def _fresh_emorynlp(report: Report, data_dir: Path, part: str) -> list[TextRow]:
    """EmoryNLP without the episodes whose lines the encoder has read as MELD's training part."""
    every = read_emorynlp(data_dir, part)
    if not (data_dir / "meld" / "train_sent_emo.csv").is_file():
        report.notes.append("EmoryNLP: MELD train is not there, so episodes it shares stayed in.")
        return every
    rows = read_emorynlp(data_dir, part, skip_episodes=read_meld_episodes(data_dir, "train"))
    report.notes.append(
        f"EmoryNLP: {len(rows)} of {len(every)} utterances; the others are of episodes that stand "
        "in MELD's training part, and the encoder may have read them."
    )
    return rows


def _add_corpus(
    report: Report,
    encoder: TextEncoder,
    name: str,
    rows: Sequence[TextRow],
    out_dir: Path,
    split: str,
) -> None:
    headline, goal, unit = _HEADLINES[name]
    truth = np.array([row.label for row in rows], np.int64)
    groups = np.array([row.group for row in rows])
    metric = macro_f1 if headline == "macro F1" else weighted_f1
    bias = np.asarray(encoder.card.raw.get("corpus_bias", {}).get(name, [0.0] * len(LABELS)))
    texts = [row.text for row in rows]
    logits = read(encoder, texts)
    on = f"{name} {split}"
    forms: list[tuple[str, Logits]] = [(on, logits)]
    if np.any(bias):
        forms.append((f"{on}, with the corpus' prior", logits + bias))
    for form, values in forms:
        prediction = _top(values)
        report.measure(
            form, headline, metric, truth, prediction, unit=unit, groups=groups,
            goal=goal,
        )  # fmt: skip
        for other, function in (
            ("macro F1", macro_f1),
            ("weighted F1", weighted_f1),
            ("UAR", unweighted_average_recall),
            ("accuracy", accuracy),
        ):
            if other != headline:
                report.measure(form, other, function, truth, prediction, unit=unit, groups=groups)
    add_recalls(report, on, LABELS, truth, _top(logits), unit="texts")
    plain = metric(truth, _top(logits))
    changes: dict[str, Callable[[str], str]] = {
        "lower case, no punctuation": bare,
        "lower case, fillers, a word in twenty lost": spoken,
    }
    for label, change in changes.items():
        prediction = _top(read(encoder, [change(text) for text in texts]))
        report.measure(
            f"{on}, {label}", headline, metric, truth, prediction, unit=unit, groups=groups
        )
        report.add(
            f"{on}, {label}", f"{headline} lost", plain - metric(truth, prediction),
            n=len(rows), goal=Goal(_MOST_LOSS, False),
        )  # fmt: skip
    probabilities = softmax(logits)
    gap = expected_calibration_error(truth, probabilities)
    report.add(on, "expected calibration error", gap, n=len(rows), note="raw softmax")
    report.pictures += [
        pictures.confusion(
            out_dir / f"text-{split}-{name}-confusion.png", on, LABELS, truth, _top(logits)
        ),
        pictures.reliability(
            out_dir / f"text-{split}-{name}-reliability.png", "text encoder",
            {on: (truth, probabilities)},
        ),
    ]  # fmt: skip


def _top(logits: Logits) -> npt.NDArray[np.int64]:
    return np.asarray(logits.argmax(axis=1), np.int64)


def read(encoder: TextEncoder, texts: Sequence[str]) -> Logits:
    """Logits float64 [N, 7] in project order; a text without a word counts as Neutral."""
    found = np.full((len(texts), len(LABELS)), -20.0)
    found[:, 0] = 0.0
    place = [encoder.labels.index(label) for label in LABELS]
    for index, text in enumerate(texts):
        if fold_words(text):
            found[index] = encoder.encode(text)[1][place]
    return found


def spoken(text: str) -> str:
    """``bare`` with fillers and with a word in twenty lost; the same text always changes alike."""
    words = bare(text).split()
    rng = np.random.default_rng([SEED, *text.encode()[:64]])
    said: list[str] = []
    for word in words:
        if rng.random() < 0.06:
            said.append(str(rng.choice(_FILLERS)))
        if len(words) == 1 or rng.random() >= 0.05:
            said.append(word)
    return " ".join(said)
