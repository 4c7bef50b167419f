"""The figures that Foal-Net's authors give for IEMOCAP's four classes, UA / WA in percent, as data.

UA is the mean recall, WA the accuracy: five folds, a session each, at the epoch that is best on the
test session. None is where they give none.
"""

from __future__ import annotations

COLUMNS = ("UA", "WA")
Line = tuple[float | None, float | None]

OTHERS: tuple[tuple[str, Line], ...] = (
    ("FTSLLM (A+T)", (78.50, 77.70)),
    ("MSMSER (A+T)", (76.40, 75.20)),
    ("ATMF (A+T)", (79.71, 78.42)),
    ("RMER (A+T)", (77.00, 76.00)),
    ("MTTX (A+T)", (75.00, 74.50)),
    ("CRNN-SAN (A+T)", (79.95, 78.82)),
    ("BAM (A+T)", (77.00, 75.50)),
    ("MSER (A+T)", (76.56, 77.20)),
    ("MMAN (A+V)", (None, 73.94)),
    ("AM-FBP (A+V)", (75.49, None)),
    ("MCWSA-CMHA (A+V)", (78.90, None)),
    ("GCNet (A+V)", (78.36, None)),
)
"""Methods that the authors compare with; A+T reads sound and words, A+V sound and pictures."""

SINGLE: tuple[tuple[str, Line], ...] = (
    ("V, face, EmoNet", (37.22, 36.50)),
    ("V, face, SENet-FER2013", (36.18, 35.53)),
    ("V, face, ResNet-FER2013", (40.74, 40.16)),
    ("V, whole picture, CLIP", (47.90, 46.61)),
    ("A, WavLM", (77.68, 77.25)),
)
"""One modality alone, by what describes it."""

ABLATION: dict[str, Line] = {
    "A+V": (77.85, 77.31),
    "A+V, AVEL": (79.31, 78.20),
    "A+V, MEM": (78.10, 76.94),
    "A+V, AVEL and MEM (Foal-Net)": (80.10, 79.45),
}
"""Both modalities, without and with the losses that align them."""


def ablation_row(*, avel: bool, mem: bool) -> str:
    """The line of ``ABLATION`` that a training belongs to."""
    return list(ABLATION)[int(avel) + 2 * int(mem)]
