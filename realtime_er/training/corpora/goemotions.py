"""GoEmotions (Demszky et al. 2020): Reddit comments, 28 labels grouped into the project's seven.

A comment may carry several labels. Each label moves to its Ekman group, and a comment's target is
the share of its labels in each group: ``anger, annoyance, joy`` gives Angry 2/3 and Happy 1/3.
Training uses these shares as they are. Evaluation uses only comments whose labels all fall into
one group (``TextRow.label`` is not None), since only those have one right answer.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS
from realtime_er.training.corpora.text_rows import TextRow, read_text

CORPUS = "goemotions"

EKMAN_GROUPS: dict[str, tuple[str, ...]] = {
    "Neutral": ("neutral",),
    "Happy": (
        "admiration",
        "amusement",
        "approval",
        "caring",
        "desire",
        "excitement",
        "gratitude",
        "joy",
        "love",
        "optimism",
        "pride",
        "relief",
    ),
    "Sad": ("disappointment", "embarrassment", "grief", "remorse", "sadness"),
    "Surprise": ("confusion", "curiosity", "realization", "surprise"),
    "Fear": ("fear", "nervousness"),
    "Disgust": ("disgust",),
    "Angry": ("anger", "annoyance", "disapproval"),
}
"""The 28 published labels under the project's seven names."""

PUBLISHED_ORDER = (
    *sorted(own for group in EKMAN_GROUPS.values() for own in group if own != "neutral"),
    "neutral",
)
"""What the numbers in the files stand for where no ``labels.txt`` lies beside them."""

_PLACEHOLDERS = ("[NAME]", "[RELIGION]")


def read_goemotions(data_dir: Path, part: str) -> list[TextRow]:
    """Read one part of GoEmotions.

    Args:
        data_dir: Folder that holds ``goemotions/``.
        part: ``"train"``, ``"dev"`` or ``"test"``.

    Returns:
        One row per comment in file order; ``group`` is the comment's id. The placeholders that
        replaced names are removed, since nobody speaks them.

    Raises:
        CorpusError: A file is missing or a line has no known label.
    """
    folder = Path(data_dir) / "goemotions"
    listed = folder / "labels.txt"
    names = read_text(listed, CORPUS).split() if listed.is_file() else PUBLISHED_ORDER
    column_of = {
        names.index(own): LABELS.index(label)
        for label, group in EKMAN_GROUPS.items()
        for own in group
        if own in names
    }
    path = folder / f"{part}.tsv"
    rows: list[TextRow] = []
    for number, line in enumerate(read_text(path, CORPUS).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        try:
            text, ids, comment_id = fields
            columns = [column_of[int(one)] for one in ids.split(",")]
        except (ValueError, KeyError) as error:
            raise CorpusError(f"{CORPUS}: {path}, line {number} is not text, labels, id") from error
        target = [0.0] * len(LABELS)
        for column in columns:
            target[column] += 1.0 / len(columns)
        if max(columns) == min(columns):
            target[columns[0]] = 1.0  # three thirds do not sum to one exactly
        for placeholder in _PLACEHOLDERS:
            text = text.replace(placeholder, " ")
        rows.append(TextRow(text.strip(), tuple(target), comment_id, "", CORPUS))
    return rows
