"""The main test of the architecture: recorded evidence gives the recorded estimates, byte for byte."""

import tracemalloc
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import islice

import pytest

from realtime_er.config import load_config
from realtime_er.errors import ConfigError, RecordingError
from realtime_er.messages import Absence
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import DATABASE, read_manifest
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rebuild import (
    canonical,
    compare,
    compare_recordings,
    encoders_used,
    rebuild,
    recorded_config,
)
from tests.recording.loaded import VectorHead, record_under_load


def actions(duration_s):
    def second_person(session):
        faces = session.snapshot().faces
        other = [f.track_id for f in faces.faces if f.track_id != faces.target_id]
        for track_id in other[:1]:
            session.select_target(track_id)

    return {
        0.4 * duration_s: lambda session: session.set_muted(True),
        0.47 * duration_s: lambda session: session.set_muted(False),
        # At one of these times even a starved session has seen a second person lately.
        **{part * duration_s: second_person for part in (0.3, 0.33, 0.36, 0.6, 0.8, 0.9)},
    }


def check(folder, live):
    """Recomputed, recorded and live estimates are one and the same; returns the recorded ones."""
    config = recorded_config(read_manifest(folder))
    by_index = {estimate.index: canonical(estimate) for estimate in live}
    with closing(open_database(folder / DATABASE)) as connection:
        assert encoders_used(connection).keys() == {"face", "audio", "text"}
        pairs = list(rebuild(connection, config, VectorHead()))
    for recorded, again in pairs:
        assert canonical(again) == canonical(recorded), (recorded.to_record(), again.to_record())
        assert canonical(recorded) == by_index[recorded.index]
        assert again.timing.evidence_age_s == recorded.timing.evidence_age_s
    return [recorded for recorded, _again in pairs]


def check_it_was_hard(folder, recorded, session):
    """The session must really have had what makes recomputing hard."""
    closed = Counter(estimate.timing.closed_by for estimate in recorded)
    assert closed["deadline"] > 0
    assert closed["watermark"] > 0
    reasons = {reason for estimate in recorded for reason in estimate.absent.values()}
    assert {Absence.LOST, Absence.MUTED} <= reasons
    assert session.snapshot().health.dropped_frames > 0
    with closing(open_database(folder / DATABASE)) as connection:
        one = lambda query: connection.execute(query).fetchone()[0]  # noqa: E731
        assert one("SELECT count(*) FROM embeddings WHERE available_s > end_s + 0.05") > 0
        assert one("SELECT count(*) FROM hypotheses WHERE available_s > trigger_s + 0.4") > 0
        assert one("SELECT count(*) FROM events WHERE kind = 'target selected'") >= 1
        assert one("SELECT count(DISTINCT target_id) FROM face_reports") >= 2
        assert one("SELECT min(tick) FROM estimates") > 5


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Sixteen seconds, recorded from the second one on, in under two."""
    folder = tmp_path_factory.mktemp("loaded") / "session"
    with pytest.MonkeyPatch.context() as patch:
        session, live = record_under_load(
            folder,
            patch,
            16.0,
            speed=10.0,
            options=RecordOptions(media=False, verify=False),
            actions=actions(16.0),
        )
    return folder, session, live


def test_what_was_recorded_under_load_comes_out_the_same(loaded):
    folder, session, live = loaded
    recorded = check(folder, live)
    assert len(recorded) > 140
    check_it_was_hard(folder, recorded, session)


def test_other_smoothing_gives_other_estimates_at_the_same_ticks(loaded):
    folder, _session, _live = loaded
    config = recorded_config(read_manifest(folder))
    other = replace(config, decision=replace(config.decision, smoothing_s=1.5))
    with closing(open_database(folder / DATABASE)) as connection:
        same = compare(rebuild(connection, config, VectorHead()))
        compared = compare(rebuild(connection, other, VectorHead()))
    assert same.equal
    assert same.line().endswith("all equal byte for byte")
    assert compared.n_both == same.n_equal
    assert not compared.equal
    assert 0.001 < compared.max_difference <= 1.0
    assert compared.n_states == 0  # smoothing changes no state
    assert "confidence" in compared.first[2]
    assert "differ" in compared.line()


def test_other_horizons_change_the_states_too(loaded):
    folder, _session, _live = loaded
    config = recorded_config(read_manifest(folder))
    other = replace(config, audio=replace(config.audio, min_speech_s=2.5))
    with closing(open_database(folder / DATABASE)) as connection:
        compared = compare(rebuild(connection, other, VectorHead()))
    assert compared.n_states > 0
    assert compared.max_difference > 0.01


def test_other_ticks_are_refused_with_a_way_out(loaded):
    folder, _session, _live = loaded
    config = recorded_config(read_manifest(folder))
    other = replace(config, tick=replace(config.tick, hop_s=0.25))
    with (
        closing(open_database(folder / DATABASE)) as connection,
        pytest.raises(ConfigError, match=r"tick\.hop_s.*--recompute"),
    ):
        list(rebuild(connection, other, VectorHead()))


def damaged(folder, tmp_path, statement):
    path = tmp_path / DATABASE
    path.write_bytes((folder / DATABASE).read_bytes())
    with closing(open_database(path, writable=True)) as connection:
        connection.execute(statement)
    return path


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("DELETE FROM checkpoint", "lacks the state"),
        ("UPDATE checkpoint SET state = '{\"builder\": 3}'", "another version"),
        ("DELETE FROM estimates WHERE tick = (SELECT min(tick) + 20 FROM estimates)", "is missing"),
        ("UPDATE embeddings SET end_s = 3.0 WHERE modality = 'audio'", "not whole"),
        ("UPDATE speech SET end_s = 'now'", "not whole"),
        ("UPDATE face_reports SET absence = 'bored'", "not whole"),
        ("UPDATE embeddings SET vector = x'00000000'", "not whole"),
    ],
)
def test_damaged_evidence_is_one_clear_line(loaded, tmp_path, statement, match):
    folder, _session, _live = loaded
    path = damaged(folder, tmp_path, statement)
    with (
        closing(open_database(path)) as connection,
        pytest.raises(RecordingError, match=match) as raised,
    ):
        list(rebuild(connection, load_config("live"), VectorHead()))
    assert "\n" not in str(raised.value)


def test_two_encoders_of_a_kind_are_refused(loaded, tmp_path):
    folder, _session, _live = loaded
    statement = (
        "UPDATE embeddings SET encoder_id = 'x' WHERE seq = (SELECT max(seq) FROM embeddings)"
    )
    with (
        closing(open_database(damaged(folder, tmp_path, statement))) as connection,
        pytest.raises(RecordingError, match="come from"),
    ):
        encoders_used(connection)


def test_settings_of_another_version_are_refused(loaded):
    manifest = read_manifest(loaded[0])
    config = {**manifest.config, "face": {**manifest.config["face"], "colour": "green"}}
    with pytest.raises(RecordingError, match="colour"):
        recorded_config(replace(manifest, config=config))


def test_recordings_are_compared_where_both_have_ticks(loaded, tmp_path):
    folder, _session, _live = loaded
    cut = damaged(folder, tmp_path, "DELETE FROM estimates WHERE tick < 40 OR tick = 60")
    with (
        closing(open_database(folder / DATABASE)) as whole,
        closing(open_database(cut)) as part,
    ):
        compared = compare_recordings(whole, part)
        n_before = whole.execute("SELECT count(*) FROM estimates WHERE tick < 40").fetchone()[0]
        n_all = whole.execute("SELECT count(*) FROM estimates").fetchone()[0]
    assert compared.n_different == 0
    assert compared.n_equal == n_all - n_before - 1
    assert compared.n_alone == 1
    assert not compared.equal


@pytest.mark.slow
def test_ten_minutes_under_load(tmp_path, monkeypatch):
    """Ten minutes of a live session, with media, at fifteen times the speed of time."""
    folder = tmp_path / "session"
    session, live = record_under_load(
        folder,
        monkeypatch,
        600.0,
        speed=15.0,
        options=RecordOptions(),
        record_from_s=3.0,
        actions=actions(600.0),
    )
    (report,) = session.recordings()
    assert report.failure == ""
    recorded = check(folder, live)
    assert len(recorded) > 5000  # of 5970; a busy machine leaves some ticks out
    check_it_was_hard(folder, recorded, session)
    config = recorded_config(read_manifest(folder))
    tracemalloc.start()
    with closing(open_database(folder / DATABASE)) as connection:
        compared = compare(islice(rebuild(connection, config, VectorHead()), 1000))
        _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert compared.equal
    assert peak < 2e6
