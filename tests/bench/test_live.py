"""A paced session, watched: every table is complete and its stages sum to the total."""

import pytest

from realtime_er.bench.live import (
    age_section,
    compute_section,
    loss_section,
    memory_section,
    overload_notes,
    run_live,
    words_section,
)
from realtime_er.bench.notes import Notes, ObservedSource
from realtime_er.bench.observed import ObservedModels
from realtime_er.bench.overhead import ConstantModels, SteadySource, overhead_section, run_overhead
from realtime_er.bench.tables import Row, Section
from realtime_er.config import load_config
from realtime_er.errors import SourceError
from realtime_er.models import Models
from realtime_er.session import Session
from realtime_er.sources.media_file import MediaFile


@pytest.fixture(scope="module")
def run():
    """A second of constants, in real time."""
    return run_overhead(load_config("demo"), 1.0, warm_s=0.3)


def test_stages_sum_to_the_total(run):
    section = compute_section(run)
    total = section.row("total").value
    assert total > 0
    assert {"camera", "microphone", "face", "speech", "audio", "asr", "fuse", "main"} <= set(
        run.cpu_s
    )
    assert sum(section.row(name).value for name in run.cpu_s) == pytest.approx(total, rel=0.05)
    assert section.row("capture_and_models").value <= total
    assert overhead_section(run).row("ours").value == total


def test_ages_are_complete_and_sum(run):
    assert len(run.estimates) >= 8
    section = age_section(run)
    for part in ("age", "capture", "queue", "encode", "wait", "fuse"):
        assert section.row(f"{part}_p95").value is not None
    assert section.row("estimates_hz").value == pytest.approx(10.0, abs=1.0)


def test_nothing_is_lost_without_being_counted(run):
    section = loss_section(run)
    assert section.row("balanced").value == 1.0
    edges = run.accounting["edges"]
    assert {"camera>face", "microphone>speech", "microphone>audio"} <= set(edges)
    for name, edge in edges.items():
        assert section.row(f"{name} dropped").value == edge["dropped"]


def test_memory_of_a_short_run_has_no_slope(run):
    section = memory_section(run)
    assert section.row("rss").value > 1
    assert section.row("slope").value is None


def test_a_source_that_ends_too_soon_says_so():
    config = load_config("demo")
    with pytest.raises(SourceError, match="ended within 5 s"):
        run_live(config, SteadySource(0.3), ConstantModels(config), Notes(), 1.0, warm_s=5.0)


def test_watching_changes_nothing_and_sees_everything(clip):
    config = load_config("analyze", {"asr.enabled": False})
    with Session(config, source=MediaFile(clip), models=Models(config)) as session:
        plain = [estimate.to_record() for estimate in session.estimates()]
    notes = Notes()
    models = ObservedModels(config, notes)
    with Session(config, source=ObservedSource(MediaFile(clip), notes), models=models) as session:
        watched = [estimate.to_record() for estimate in session.estimates()]
        edges = session.accounting().to_record()["edges"]
    assert watched == plain
    assert notes.calls["detector"] == edges["camera>face"]["processed"]
    assert notes.calls["fusion head"] > 0
    assert notes.calls["face encoder"] > 0
    assert notes.calls["speech encoder"] > 0
    assert set(notes.tracks) == {"face", "audio", "speech"}
    for steps in notes.tracks.values():
        known = [round(step.known_s, 6) for step in steps]
        assert known == sorted(known)
        assert steps[-1].known_s >= 1.9


def test_words_are_timed_from_onset_and_end():
    from realtime_er.bench.notes import Heard

    notes = Notes()
    notes.heard += [Heard(1, False, 1.0, 2.0, 2.1), Heard(1, True, 1.0, 3.2, 3.9)]
    section = words_section(notes, preroll_s=0.3)
    assert section.row("partial_p50").value == pytest.approx(800.0)
    assert section.row("final_p50").value == pytest.approx(900.0)


@pytest.mark.parametrize(
    ("faces", "voice", "steps", "said"),
    [
        (10.0, 100.0, 0, []),
        (4.0, 100.0, 0, ["4.0 of 10 pictures a second"]),
        (10.0, 40.0, 2, ["40 % of the sound", "2 steps down"]),
    ],
)
def test_a_machine_that_cannot_carry_it_is_told_of(faces, voice, steps, said):
    rows = (
        Row("faces_hz", "", faces, "Hz"),
        Row("voice", "", voice, "%"),
        Row("ladder", "", steps, "times"),
    )
    notes = overload_notes(Section("age", "", rows), 10.0)
    assert len(notes) == bool(said)
    assert all(part in notes[0] for part in said)
