"""Recorded sessions computed again: checked from their evidence, and run again from their media."""

import shutil
from contextlib import closing
from dataclasses import replace

import pytest

from realtime_er.consent import make_consent
from realtime_er.errors import MediaError, RecordingError, SpecMismatch
from realtime_er.recompute import check, free_folder, recompute
from realtime_er.recording.consents import recorded_consent
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import DATABASE, MEDIA, read_manifest, write_manifest
from realtime_er.recording.rebuild import recorded_config
from realtime_er.session import Session
from tests.fakes import FakeSource
from tests.recording.pixels import (
    CONFIG,
    Camera,
    Microphone,
    PixelModels,
    both,
    record,
    write,
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recompute") / "session"
    record(folder, both(6.0), lossless=True)
    return folder


@pytest.fixture
def fake_models(monkeypatch):
    monkeypatch.setattr("realtime_er.recompute.Models", PixelModels)


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def test_the_evidence_gives_the_same_estimates(recorded, fake_models):
    before = contents(recorded)
    compared = check(recorded)
    assert compared.equal
    assert compared.n_equal >= 58
    other = recorded_config(read_manifest(recorded), {"decision.smoothing_s": 2.0})
    assert not check(recorded, other).equal
    assert contents(recorded) == before


def test_the_consent_is_handed_on(tmp_path, fake_models):
    consent = make_consent("P07", "art", "2099-01-31", "program")
    record(tmp_path / "s", FakeSource(Microphone(1.0)), consent=consent)
    done = recompute(tmp_path / "s", models=PixelModels(CONFIG))
    assert read_manifest(done.folder).given_consent() == consent
    assert check(tmp_path / "s").equal
    with closing(open_database(done.folder / DATABASE)) as connection:
        assert recorded_consent(connection) == consent


def test_other_models_are_named_instead_of_compared(recorded, fake_models, monkeypatch):
    class Other(PixelModels):
        def __init__(self, config):
            super().__init__(config)
            self.head.encoder_ids = {**self.head.encoder_ids, "audio": "another"}

    monkeypatch.setattr("realtime_er.recompute.Models", Other)
    with pytest.raises(SpecMismatch, match=r"come from fake-audio.*reads another.*--recompute"):
        check(recorded)


def test_another_head_is_named(tmp_path, fake_models, monkeypatch):
    record(tmp_path / "s", FakeSource(Microphone(1.0)))
    manifest = read_manifest(tmp_path / "s")
    changed = replace(manifest, models={"fusion": {"id": "old", "sha256": "a" * 64}})
    write_manifest(tmp_path / "s", changed)
    monkeypatch.setattr(
        PixelModels, "describe", lambda self: {"fusion": {"id": "new", "sha256": "b" * 64}}
    )
    with pytest.raises(SpecMismatch, match=r"fusion head old \(aaaaaaaaaaaa\)"):
        check(tmp_path / "s")


def test_the_media_give_an_equal_session_beside_the_old_one(recorded, tmp_path):
    before = contents(recorded)
    seen = []
    done = recompute(recorded, models=PixelModels(CONFIG), progress=seen.append)
    assert done.folder == recorded.parent / "session-recomputed"
    assert done.comparison.equal, done.comparison.line()
    assert done.verification.ok, done.verification.line
    assert len(seen) == done.comparison.n_both
    assert contents(recorded) == before
    old, new = read_manifest(recorded), read_manifest(done.folder)
    assert new.origin["session"] == "session"
    assert new.origin["from"] == "media"
    assert (new.started_at, new.start_s) == (old.started_at, old.start_s)
    assert new.complete
    assert new.options["lossless"] is True
    assert (done.folder / MEDIA).read_bytes() == (recorded / MEDIA).read_bytes()
    with closing(open_database(done.folder / DATABASE)) as connection:
        for table in ("frames", "sound", "face_reports", "speech", "hypotheses", "estimates"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0
    # And it can be computed again itself.
    again = recompute(done.folder, tmp_path / "again", models=PixelModels(CONFIG))
    assert again.comparison.equal


def test_other_settings_give_another_session(recorded, tmp_path):
    config = recorded_config(read_manifest(recorded), {"decision.smoothing_s": 2.0})
    done = recompute(recorded, tmp_path / "smooth", config, models=PixelModels(config))
    assert not done.comparison.equal
    assert done.comparison.n_alone == 0
    assert done.comparison.n_states == 0
    assert read_manifest(done.folder).config["decision"]["smoothing_s"] == 2.0


def test_a_name_beside_it_that_is_free(recorded, tmp_path):
    (tmp_path / "s").mkdir()
    assert free_folder(tmp_path / "s").name == "s-recomputed"
    (tmp_path / "s-recomputed").mkdir()
    assert free_folder(tmp_path / "s").name == "s-recomputed-2"


def test_a_folder_in_use_is_left_alone(recorded, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not touch")
    with pytest.raises(RecordingError, match="not empty"):
        recompute(recorded, tmp_path / "full", models=PixelModels(CONFIG))
    assert contents(tmp_path / "full") == {"thesis.txt": b"do not touch"}


def test_numbers_only_have_no_media_to_run(tmp_path):
    record(tmp_path / "s", FakeSource(Microphone(1.0)), media=False)
    with pytest.raises(MediaError, match="--check"):
        recompute(tmp_path / "s", tmp_path / "new", models=PixelModels(CONFIG))
    assert not (tmp_path / "new").exists()


def test_where_no_hard_link_is_possible_the_media_are_copied(recorded, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("other disk")

    monkeypatch.setattr("realtime_er.recompute.os.link", refuse)
    done = recompute(recorded, tmp_path / "copy", models=PixelModels(CONFIG))
    assert done.verification.ok
    assert (done.folder / MEDIA).stat().st_ino != (recorded / MEDIA).stat().st_ino


def test_a_recording_from_the_middle_of_a_session_keeps_its_times(tmp_path):
    """Ticks begin where the recording did, not at zero."""
    start_s = 20.05
    source = FakeSource(Camera(4.0, start_s=start_s + 0.1), Microphone(4.0, start_s=start_s + 0.1))
    write(tmp_path / "s", source, start_s)
    done = recompute(tmp_path / "s", models=PixelModels(CONFIG))
    assert read_manifest(done.folder).start_s == start_s
    with closing(open_database(done.folder / DATABASE)) as connection:
        first, last = connection.execute("SELECT min(tick), max(tick) FROM estimates").fetchone()
    assert first == 201
    assert last == pytest.approx(241, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize(("lossless", "most"), [(True, 0.0), (False, 0.06)])
def test_the_bundled_clip(tmp_path, lossless, most):
    """What README states of lossy recordings, on the clip that ships with the program."""
    from realtime_er.config import load_config
    from realtime_er.models import Models
    from realtime_er.recording.options import RecordOptions
    from realtime_er.resources import resource_dir
    from realtime_er.sources.media_file import MediaFile

    config = load_config("analyze", {"asr.enabled": False})
    models = Models(config)
    options = RecordOptions(lossless=lossless)
    clip = MediaFile(resource_dir("assets") / "demo.mp4")
    with Session(config, source=clip, models=models, record=(tmp_path / "s", options)) as session:
        for estimate in session.estimates():
            if estimate.time_s >= 6.0:
                session.stop()
    (report,) = session.recordings()
    assert report.ok
    assert check(tmp_path / "s").equal
    done = recompute(tmp_path / "s", models=models)
    assert done.comparison.n_alone == 0
    assert done.comparison.max_difference <= most
    assert done.comparison.equal == lossless


def test_blurred_faces_are_spoken_of(recorded, tmp_path):
    folder = tmp_path / "blurred"
    shutil.copytree(recorded, folder)
    manifest = read_manifest(folder)
    options = {**manifest.options, "blur_faces": True}
    write_manifest(folder, replace(manifest, options=options))
    done = recompute(folder, models=PixelModels(CONFIG))
    assert "faces blurred" in done.notices[-1]
    assert read_manifest(done.folder).options["blur_faces"]
