"""One HTML page about a session: no scripts, no requests, nothing beside it.

Every text from the session is escaped, and the page forbids scripts and requests to itself, so that a
label cannot become one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from realtime_er.consent import NO_CONSENT
from realtime_er.messages import MODALITIES
from realtime_er.palette import COLOURS, MODALITY_COLOURS
from realtime_er.recording.export import report_people, segments
from realtime_er.recording.export.drawing import Timeline, clock, text_of
from realtime_er.recording.export.files import whole_file
from realtime_er.recording.export.html_parts import Cell, percent, seconds, table
from realtime_er.recording.export.overview import Estimates, read_estimates
from realtime_er.recording.export.report_health import age_quantile, health
from realtime_er.recording.export.report_style import STYLE
from realtime_er.recording.reader import RecordedSession

FILE_NAME = "report.html"

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_MEANING = """
<p>The scores say how a face, a voice and words <em>read</em> to models that learned from other people's
labels. They are not what somebody felt. Faces, voices and manners of speaking on which the models were
not trained read less reliably, and so do people who hide or play what they feel.</p>
<p>A score is calibrated: of all moments with a score of 0.7 about seven in ten should carry that label
in data like the test data. Where nothing leads clearly the program abstains. A contribution is the
modality's Shapley value: the three sum to the score minus what the program would say about nobody
(its prior). A modality that was absent has no contribution; nothing was filled in for it.</p>
<p>Kappa is agreement beyond chance: 1 is perfect, 0 is what two people who do not look would reach.
Raters were compared every 0.1 s; neighbouring moments are not independent, so these figures have no
confidence interval. Agreement of the estimates with a rater is not accuracy: raters, too, only saw and
heard.</p>
"""


def export_report(session: RecordedSession, folder: Path) -> list[Path]:
    """Write ``report.html``.

    Raises:
        RecordingError: the session is damaged, or the file cannot be written.
    """
    path = folder / FILE_NAME
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_page(session))
    return [path]


def _page(session: RecordedSession) -> Iterator[str]:
    estimates = read_estimates(session)
    lanes = list(segments.lanes(session))
    title = text_of(session.name)
    yield (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} - session report</title><style>{STYLE}</style></head><body>\n"
    )
    yield from _head(session, estimates, lanes)
    yield "<h2>Timeline</h2>\n"
    yield _timeline(session, estimates, lanes)
    yield '<div class="two"><section>'
    yield from _shares(estimates)
    yield "</section><section>"
    yield from _contributions(estimates)
    yield "</section></div>"
    yield from report_people.marked(lanes)
    yield from report_people.agreement(session)
    yield from health(session, estimates)
    yield from report_people.transcript(session, estimates)
    yield f"<h2>What the numbers mean</h2>{_MEANING}"
    version = text_of(session.manifest.software.get("realtime_er", ""))
    yield f"<footer>Written by realtime_er {version} from {title}.</footer></body></html>\n"


def _head(
    session: RecordedSession, estimates: Estimates, lanes: Sequence[segments.Lane]
) -> Iterator[str]:
    manifest = session.manifest
    started = text_of(manifest.started_at.replace("T", " ").replace("+00:00", " UTC"))
    models = ", ".join(text_of(model.get("id", "")) for model in manifest.models.values())
    yield f'<h1><bdi>{text_of(session.name)}</bdi></h1><p class="soft">{started or "date unknown"}'
    yield f" &middot; models: {models}</p>" if models else "</p>"
    if manifest.failure or not manifest.complete:
        why = manifest.failure or "the recording was cut off; what follows is what was saved"
        yield f'<p class="bad">Not complete: {text_of(why)}</p>'
    if manifest.repaired:
        yield f'<p class="bad">Repaired: {text_of("; ".join(manifest.repaired))}</p>'
    if manifest.verified is not None:
        yield f'<p class="soft">Read back: {text_of(str(manifest.verified.get("line", "")))}</p>'
    consent = session.consent
    said = NO_CONSENT if consent is None else consent.line()
    numbers = "; numbers only" if manifest.options.get("numbers_only") else ""
    yield f'<p class="soft">{text_of(said[0].upper() + said[1:])}{numbers}</p>'
    counts = session.counts()
    tracks = session.connection.execute("SELECT count(DISTINCT track_id) FROM faces").fetchone()[0]
    facts = (
        (clock(session.duration_s), "length"),
        (f"{counts['estimates']:,}", "estimates"),
        (f"{counts['words']:,}", "words"),
        (f"{tracks:,}", "face tracks seen"),
        (
            f"{counts['gaps']:,}",
            f"gaps, {seconds(session.gap_s)} in all" if counts["gaps"] else "gaps",
        ),
        (f"{sum(len(lane.segments) for lane in lanes):,}", "marks"),
        (seconds(age_quantile(estimates, 0.95)), "score age, 95th percentile"),
    )
    cells = "".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in facts)
    yield f'<div class="facts">{cells}</div>'


def _timeline(
    session: RecordedSession, estimates: Estimates, lanes: Sequence[segments.Lane]
) -> str:
    timeline = Timeline(session.duration_s)
    timeline.scores(estimates)
    timeline.row("reads as", segments.readings(session)[0], COLOURS)
    timeline.contributions(estimates)
    timeline.states(estimates)
    timeline.row("words", segments.utterances(session), "var(--absent)")
    timeline.gaps(segments.gaps(session))
    timeline.marks(lanes)
    return timeline.svg(f"Timeline of {session.name}")


def _shares(estimates: Estimates) -> Iterator[str]:
    yield "<h2>Reads as</h2>"
    if not estimates.labels:
        yield "<p>No estimates were recorded.</p>"
        return
    shares = estimates.shares()
    most = max(shares.values()) or 1.0
    rows = []
    for label, share in shares.items():
        colour = COLOURS[label] if label else "var(--soft)"
        width = share / most * 190
        bar = f'<span class="bar" style="width:{width:.0f}px;background:{colour}"></span>'
        rows.append(
            (
                Cell(label or "abstains"),
                Cell(bar if share else "", safe=True),
                Cell(percent(share), "n"),
            )
        )
    yield table(("label", "", ">share of the time"), rows)


def _contributions(estimates: Estimates) -> Iterator[str]:
    yield "<h2>What it was read from</h2>"
    means = estimates.mean_contributions()
    if means:
        rows = [
            (
                Cell(
                    f'<span class="chip" style="background:{COLOURS[label]}"></span>{label}',
                    safe=True,
                ),
                *(Cell(_signed(value), "n") for value in values.tolist()),
            )
            for label, values in means.items()
        ]
        yield "<p>Mean contribution to the score of the label while it reads as that label.</p>"
        yield table(("reads as", *(f">{modality}" for modality in MODALITIES)), rows)
    if estimates.labels:
        reasons = []
        for modality in MODALITIES:
            states = estimates.state_shares(modality)
            present = states[0][1] if states[0][0] == "present" else 0.0
            others = ", ".join(f"{s} {percent(share)}" for s, share in states if s != "present")
            chip = f'<span class="chip" style="background:{MODALITY_COLOURS[modality]}"></span>'
            reasons.append(
                (Cell(chip + modality, safe=True), Cell(percent(present), "n"), Cell(others or "-"))
            )
        yield table(("", ">took part", "why not"), reasons)


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text
