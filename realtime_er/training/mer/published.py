"""The figures that the publication gives (Ryumina et al. 2025), in percent, as data.

None is where it gives none. Names of corpora and classes are this project's.
"""

from __future__ import annotations

CORPORA = ("iemocap", "mosei", "meld", "afew")
"""In the order of the tables."""

TITLES = {
    "iemocap": "IEMOCAP",
    "mosei": "MOSEI",
    "meld": "MELD",
    "afew": "AFEW",
    "ravdess": "RAVDESS",
    "emodb": "EMO-DB",
}
"""Corpus to how tables call it; the last two are not in the publication."""

Line = tuple[float | None, ...]

SIZES: dict[str, tuple[int, int, int]] = {
    "iemocap": (5229, 581, 1623),
    "mosei": (16216, 1835, 4625),
    "meld": (9989, 1109, 2610),
    "afew": (773, 383, 0),
}
"""Clips in train, val and test."""

SINGLE_COLUMNS: dict[str, tuple[str, ...]] = {
    "mosei": ("wAcc", "wF1", "Acc", "F1"),
    "iemocap": ("Acc", "wF1", "mF1", "UAR"),
    "meld": ("Acc", "wF1", "mF1", "UAR"),
    "afew": ("Acc", "wF1", "mF1", "UAR"),
}

OTHERS: dict[str, tuple[tuple[str, Line], ...]] = {
    "mosei": (
        ("Le et al. 2023", (67.8, None, None, 47.6)),
        ("MAGDRA 2024", (None, None, 48.8, 56.3)),
        ("TAILOR 2022", (None, None, 48.8, 56.9)),
        ("CARAT 2024", (66.4, 78.8, 49.4, 58.1)),
    ),
    "iemocap": (
        ("TelME 2024", (None, 70.5, None, 68.6)),
        ("CORECT 2023", (69.9, 70.0, None, 70.9)),
        ("Yao 2024", (71.2, 71.2, None, None)),
        ("M³Net 2023", (72.5, 72.5, 71.5, None)),
    ),
    "meld": (
        ("SDT 2023", (66.6, 67.5, 49.8, 48.0)),
        ("M³Net 2023", (68.3, 67.1, 51.0, None)),
        ("TelME 2024", (None, 67.4, 51.4, 50.0)),
        ("Yao 2024", (67.0, 66.2, None, None)),
    ),
    "afew": (
        ("Nguyen 2019 (AV)", (62.3, None, None, None)),
        ("Zhou 2019 (AV)", (65.5, None, None, None)),
        ("Abdrahimov 2022 (AV)", (67.8, None, None, 62.0)),
    ),
}
"""Other methods that the publication compares with, columns ``SINGLE_COLUMNS``."""

SINGLE: dict[str, dict[str, Line]] = {
    "mosei": {"w/o WL": (61.4, 80.4, 49.7, 54.0), "WL": (69.3, 77.7, 46.2, 53.4)},
    "iemocap": {"w/o WL": (71.9, 71.7, 70.5, 70.2), "WL": (72.9, 72.8, 72.0, 71.6)},
    "meld": {"w/o WL": (68.8, 67.7, 50.8, 48.8), "WL": (64.8, 65.7, 54.5, 57.7)},
    "afew": {"w/o WL": (70.2, 69.6, 67.2, 67.3), "WL": (70.8, 70.5, 68.7, 68.7)},
}
"""Single-corpus models, without and with weighted loss, columns ``SINGLE_COLUMNS``."""

CROSS: dict[str, dict[str, float]] = {
    "iemocap": {"iemocap": 71.3, "mosei": 15.5, "meld": 22.9, "afew": 34.1},
    "mosei": {"iemocap": 38.2, "mosei": 38.5, "meld": 34.3, "afew": 44.3},
    "meld": {"iemocap": 42.3, "mosei": 30.4, "meld": 62.0, "afew": 42.1},
    "afew": {"iemocap": 47.3, "mosei": 28.4, "meld": 33.3, "afew": 79.3},
}
"""UAR, trained on (row) and tested on. Its diagonal is not that of ``SINGLE``; nobody says why."""

CROSS_ROW_MEANS = {"iemocap": 24.7, "mosei": 38.9, "meld": 38.3, "afew": 37.6}
"""As printed; two of them (24.7, 37.6) are not the means of their rows (24.2, 36.3)."""

CROSS_COLUMN_MEANS = {
    "iemocap": (42.6, 28.7),
    "mosei": (24.8, 13.7),
    "meld": (30.2, 31.8),
    "afew": (40.2, 39.1),
}
"""Mean without the diagonal, and how far the diagonal is above it."""

LOCO: dict[str, dict[str, tuple[float, float]]] = {
    "iemocap": {"mosei": (59.7, 31.7), "meld": (49.6, 32.8), "afew": (50.7, 42.9)},
    "mosei": {"iemocap": (43.0, 44.5), "meld": (43.2, 33.0), "afew": (49.4, 48.6)},
    "meld": {"iemocap": (50.1, 44.4), "mosei": (59.9, 31.6), "afew": (53.1, 49.0)},
    "afew": {"iemocap": (48.2, 44.1), "mosei": (59.8, 28.5), "meld": (52.3, 32.2)},
}
"""UAR by the encoders' corpus (row) and the corpus left out: without it, and on it."""

LOCO_MEANS = {
    "iemocap": (47.1, 44.3),
    "mosei": (59.8, 30.6),
    "meld": (48.4, 32.7),
    "afew": (51.1, 46.8),
}

ABLATION_COLUMNS: dict[str, tuple[str, ...]] = {
    "iemocap": ("Neutral", "Happy", "Sad", "Angry", "Excited", "Frustrated"),
    "mosei": ("Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust"),
    "meld": ("Neutral", "Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust"),
    "afew": ("Neutral", "Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust"),
}

ABLATION: dict[str, dict[str, Line]] = {
    "iemocap": {
        "AVT": (76.6, 51.7, 78.0, 78.8, 75.3, 69.6, 71.6),
        "S1 w/o A": (69.5, 42.7, 74.3, 60.0, 72.6, 68.5, 64.6),
        "S1 w/o V": (57.0, 58.0, 69.0, 72.4, 51.5, 77.4, 64.2),
        "S1 w/o T": (82.8, 14.7, 66.1, 77.6, 72.9, 3.4, 52.9),
        "S2 w/o A": (69.3, 50.3, 77.1, 74.1, 70.2, 66.1, 67.9),
        "S2 w/o V": (66.9, 48.3, 73.9, 75.9, 65.6, 66.7, 66.2),
        "S2 w/o T": (71.9, 64.3, 85.7, 56.5, 62.2, 54.9, 65.9),
    },
    "mosei": {
        "AVT": (77.4, 57.3, 56.9, 48.4, 54.0, 68.9, 60.5),
        "S1 w/o A": (72.8, 52.7, 69.7, 44.3, 52.2, 68.1, 60.0),
        "S1 w/o V": (71.6, 53.2, 55.7, 50.7, 51.7, 72.5, 59.2),
        "S1 w/o T": (72.2, 62.9, 45.8, 45.0, 49.9, 56.3, 55.4),
        "S2 w/o A": (75.1, 63.1, 60.3, 55.2, 65.7, 68.8, 64.7),
        "S2 w/o V": (70.0, 58.8, 52.8, 44.1, 57.1, 63.2, 57.7),
        "S2 w/o T": (73.7, 60.4, 56.4, 49.8, 44.2, 60.7, 57.5),
    },
    "meld": {
        "AVT": (68.7, 65.9, 53.8, 59.7, 69.0, 44.0, 42.6, 57.7),
        "S1 w/o A": (64.1, 67.4, 52.4, 48.7, 71.5, 40.0, 30.9, 53.6),
        "S1 w/o V": (58.2, 65.9, 59.1, 38.6, 70.5, 40.0, 35.3, 52.5),
        "S1 w/o T": (37.9, 2.7, 10.6, 84.9, 1.1, 20.0, 41.2, 28.3),
        "S2 w/o A": (67.6, 64.9, 44.7, 49.9, 66.5, 32.0, 42.6, 52.6),
        "S2 w/o V": (66.9, 37.8, 43.3, 54.2, 49.8, 20.0, 25.0, 42.4),
        "S2 w/o T": (31.8, 43.3, 55.3, 46.4, 13.9, 16.0, 23.5, 32.9),
    },
    "afew": {
        "AVT": (84.1, 88.7, 74.2, 70.3, 48.9, 60.9, 53.7, 68.7),
        "S1 w/o A": (76.2, 90.3, 53.2, 43.8, 51.1, 54.3, 46.3, 59.3),
        "S1 w/o V": (49.2, 40.3, 35.5, 54.7, 26.7, 50.0, 29.3, 40.8),
        "S1 w/o T": (60.3, 74.4, 75.8, 75.0, 42.2, 32.6, 34.1, 56.8),
        "S2 w/o A": (68.3, 61.3, 41.9, 50.0, 53.3, 45.7, 51.2, 53.1),
        "S2 w/o V": (60.3, 37.1, 41.9, 70.3, 20.0, 43.5, 14.6, 41.1),
        "S2 w/o T": (69.8, 79.0, 74.2, 70.3, 62.2, 43.5, 43.9, 63.3),
    },
}
"""Recall of each class, then UAR, with weighted loss.

S1 is the model of all three with one modality's vectors set to zero; S2 is trained without it. UAR
is the mean of its row as printed, but for AFEW's S1 w/o T (56.8; its recalls give 56.3).
"""
