"""One colour per emotion, everywhere: terminal, window, pictures, reports.

Okabe-Ito's colour-blind-safe set; black is exchanged for grey so that it shows on dark and light.
"""

from realtime_er.messages import LABELS

COLOURS: dict[str, str] = dict(
    zip(
        LABELS,
        ("#999999", "#E69F00", "#0072B2", "#56B4E9", "#CC79A7", "#009E73", "#D55E00"),
        strict=True,
    )
)
"""Label -> "#rrggbb"."""

MODALITY_COLOURS = {"face": "#56B4E9", "audio": "#E69F00", "text": "#009E73"}
"""Modality -> "#rrggbb"."""
