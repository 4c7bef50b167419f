"""What people said and marked, for the report: transcript, annotations, agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from realtime_er.palette import COLOURS
from realtime_er.recording.agreement import GRID_S, Pair, session_agreement
from realtime_er.recording.export.drawing import clock, text_of
from realtime_er.recording.export.html_parts import Cell, number, percent, seconds, table
from realtime_er.recording.export.overview import Estimates
from realtime_er.recording.export.segments import Lane, Segment
from realtime_er.recording.labels import default_colour
from realtime_er.recording.reader import RecordedSession

_MOST_UTTERANCES = 3000
_MOST_LABELS = 60
_MOST_NOTES = 300


def transcript(session: RecordedSession, estimates: Estimates) -> Iterator[str]:
    """All utterances, and what the person read as meanwhile."""
    yield "<h2>Transcript</h2>"
    found = list(session.rows("transcript"))
    if not found:
        yield "<p>No words were understood.</p>"
        return
    rows = []
    for start_s, end_s, text, *_ in found[:_MOST_UTTERANCES]:
        first, last = np.searchsorted(estimates.times_s, (start_s, end_s))
        labels = Counter(label for label in estimates.labels[first:last] if label)
        label = labels.most_common(1)[0][0] if labels else ""
        colour = COLOURS.get(label, "var(--absent)")
        chip = f'<span class="chip" style="background:{colour}"></span>{text_of(label)}'
        rows.append((Cell(clock(start_s), "n"), Cell(text), Cell(chip, safe=True)))
    yield table((">at", "words", "mostly read as"), rows, len(found))


def marked(lanes: Sequence[Lane]) -> Iterator[str]:
    """Who marked what, how often and how long; and the notes."""
    yield "<h2>Annotations</h2>"
    if not lanes:
        yield "<p>Nobody has annotated this session.</p>"
        return
    counts: Counter[tuple[str, str, str, str]] = Counter()
    lengths: Counter[tuple[str, str, str, str]] = Counter()
    notes: list[tuple[Segment, str]] = []
    for lane in lanes:
        if lane.kind == "note":
            notes += [(segment, lane.rater) for segment in lane.segments]
            continue
        for start_ms, end_ms, text in lane.segments:
            key: tuple[str, str, str, str] = (lane.rater, lane.tier, text, lane.kind)
            counts[key] += 1
            lengths[key] += end_ms - start_ms
    rows = []
    for key in sorted(counts):
        rater, tier, label, kind = key
        chip = f'<span class="chip" style="background:{default_colour(label)}"></span>'
        length = seconds(lengths[key] / 1000) if kind == "interval" else "points"
        rows.append(
            (
                Cell(rater),
                Cell(tier),
                Cell(f"{chip}<bdi>{text_of(label)}</bdi>", safe=True),
                Cell(f"{counts[key]:,}", "n"),
                Cell(length, "n"),
            )
        )
    if rows:
        yield table(("rater", "tier", "label", ">marks", ">in all"), rows[:_MOST_LABELS], len(rows))
    if notes:
        notes.sort()
        yield "<h3>Notes</h3>"
        cells = [
            (
                Cell(clock(note.start_ms / 1000), "n"),
                Cell(rater),
                Cell(f'<bdi class="note">{text_of(note.text)}</bdi>', safe=True),
            )
            for note, rater in notes[:_MOST_NOTES]
        ]
        yield table((">at", "rater", "note"), cells, len(notes))


def agreement(session: RecordedSession) -> Iterator[str]:
    """Kappas between raters, and between raters and the estimates."""
    tiers = session_agreement(session)
    pairs = [(tier.tier, pair) for tier in tiers for pair in tier.pairs]
    estimates = [(tier.tier, pair) for tier in tiers for pair in tier.estimates]
    yield "<h2>Agreement</h2>"
    if pairs:
        yield "<h3>Between raters (Cohen's kappa)</h3>"
        yield table(
            ("tier", "raters", ">kappa", ">kappa where both marked", ">same label", ">both marked"),
            [
                (Cell(tier), Cell(f"{pair.first}, {pair.second}"), Cell(number(pair.kappa), "n"),
                 *_both(pair))
                for tier, pair in pairs
            ],
        )  # fmt: skip
        yield "<h3>All raters of a tier (Fleiss' kappa)</h3>"
        yield table(
            ("tier", "raters", ">kappa", ">kappa where all marked"),
            [
                (Cell(tier.tier), Cell(", ".join(tier.raters)), Cell(number(tier.fleiss), "n"),
                 Cell(number(tier.fleiss_all), "n"))
                for tier in tiers
                if len(tier.raters) > 1
            ],
        )  # fmt: skip
        yield (
            '<p class="soft">In "kappa", a moment without a mark counts as a category of its own; '
            '"where both marked" asks only whether they mean the same by the labels. Of marks that were '
            'corrected in ELAN ("-elan") only the newest correction is compared.</p>'
        )
    else:
        yield "<p>Agreement between raters needs two who marked intervals in one tier.</p>"
    if estimates:
        yield "<h3>Raters and the estimates</h3>"
        yield table(
            ("tier", "rater", ">kappa where both say something", ">same label", ">compared"),
            [(Cell(tier), Cell(pair.first), *_both(pair)) for tier, pair in estimates],
        )


def _both(pair: Pair) -> tuple[Cell, Cell, Cell]:
    return (
        Cell(number(pair.kappa_both), "n"),
        Cell(percent(pair.agreement_both), "n"),
        Cell(seconds(pair.n_both * GRID_S), "n"),
    )
