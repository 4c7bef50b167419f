"""Tables and numbers of the report, as HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from realtime_er.recording.export.drawing import text_of
from realtime_er.recording.export.overview import FloatArray

NOTHING = '<p class="soft">None.</p>'


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; ``kind`` "n" is set right. Only markup that was made here is ``safe``."""

    text: str
    kind: str = ""
    safe: bool = False

    def html(self) -> str:
        """The element."""
        content = self.text if self.safe else f"<bdi>{text_of(self.text)}</bdi>"
        return f'<td class="{self.kind}">{content}</td>' if self.kind else f"<td>{content}</td>"


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]], n_all: int = 0) -> str:
    """A table; columns whose header begins with ">" are set right.

    Args:
        header: Names of the columns.
        rows: Their cells.
        n_all: How many rows there would be; those that are not shown are counted below.
    """
    names = "".join(
        f'<th class="n">{text_of(name[1:])}</th>'
        if name.startswith(">")
        else f"<th>{text_of(name)}</th>"
        for name in header
    )
    body = "".join(f"<tr>{''.join(cell.html() for cell in row)}</tr>\n" for row in rows)
    left = n_all - len(rows)
    more = f'<p class="soft">and {left:,} more; the CSV export has all.</p>' if left > 0 else ""
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>{more}"


def number(value: float) -> str:
    """A number with two decimals, an en dash where it is undefined."""
    return "\u2013" if math.isnan(value) else f"{value:.2f}"


def quantity(value: float) -> str:
    """A count without decimals, any other number with two."""
    if math.isnan(value):
        return "\u2013"
    return f"{value:,.0f}" if abs(value - round(value)) < 0.005 else f"{value:,.2f}"


def percent(share: float) -> str:
    """A share of 1 in percent; "<1 %" for what would be rounded away."""
    if math.isnan(share):
        return "\u2013"
    if 0.0 < share < 0.01:
        return "<1 %"
    return f"{100 * share:.0f} %"


def seconds(value: float) -> str:
    """A duration in seconds, or in minutes and seconds from two minutes on."""
    if math.isnan(value):
        return "\u2013"
    if value >= 120:
        return f"{int(value // 60)} min {value % 60:.0f} s"
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def figure(of: Callable[[FloatArray], float], values: FloatArray) -> float:
    """A figure of what is known of ``values``; NaN when nothing is."""
    known = values[~np.isnan(values)]
    return float(of(known)) if len(known) else float("nan")
