"""Confusion matrices and reliability diagrams as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from realtime_er.training.metrics import expected_calibration_error

_BINS = 10


def confusion(
    path: Path,
    title: str,
    names: Sequence[str],
    truth: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
) -> str:
    """Writes a confusion matrix, rows as shares with counts; returns the file's name."""
    size = len(names)
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (truth, prediction), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.8 + 0.75 * size, 1.4 + 0.65 * size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(size), names, rotation=45, ha="right")
    axes.set_yticks(
        range(size), [f"{name} ({counts[row].sum()})" for row, name in enumerate(names)]
    )
    axes.set_xlabel("reads as")
    axes.set_ylabel("label")
    axes.set_title(title)
    for row in range(size):
        for column in range(size):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.55 else "black"
                axes.text(
                    column, row, f"{shares[row, column]:.2f}\n{counts[row, column]}",
                    ha="center", va="center", color=colour, fontsize=8,
                )  # fmt: skip
    figure.savefig(path, dpi=120)
    return path.name


def reliability(
    path: Path,
    title: str,
    panels: Mapping[str, tuple[npt.NDArray[np.integer], npt.NDArray[np.floating]]],
    weights: Mapping[str, npt.NDArray[np.floating]] | None = None,
) -> str:
    """Writes reliability diagrams side by side; returns the file's name.

    Args:
        path: of the PNG.
        title: above all panels.
        panels: name to truth [N] and probabilities [N, C].
        weights: name to how much each row counts, [N]; None for the same.
    """
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.3 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, (truth, probabilities)) in zip(grid, panels.items(), strict=False):
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == truth
        bins = np.clip((confidence * _BINS).astype(int), 0, _BINS - 1)
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        own = np.ones(len(truth)) if weights is None else weights[name]
        held = np.bincount(bins, own, _BINS)
        filled = np.flatnonzero(held)
        spots = np.bincount(bins, own * confidence, _BINS)[filled] / held[filled]
        heights = np.bincount(bins, own * right, _BINS)[filled] / held[filled]
        sizes = 8 + 160 * held[filled] / own.sum()
        axes.plot(spots, heights, color="#2166ac", linewidth=1.2)
        axes.scatter(spots, heights, s=sizes, color="#2166ac", zorder=3)
        gap = expected_calibration_error(truth, probabilities, weights=own)
        axes.set_title(f"{name}\nECE {gap:.3f}, n {len(truth)}", fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share right")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    return path.name
