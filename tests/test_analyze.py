"""The batch runner, with made-up sessions."""

import contextlib

import pandas as pd
import pyarrow.parquet as pq
import pytest

from realtime_er.analyze import (
    Batch,
    BatchStoppedError,
    config_hash,
    find_media,
    read_summary,
)
from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.errors import MediaError, SourceError
from realtime_er.messages import LABELS, MODALITIES
from tests.sinks.samples import make_final, make_recording


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch):
    """Drawing takes most of the time and is tested elsewhere."""

    def draw(estimates, finals, path, title):
        path.write_text(title)

    monkeypatch.setattr("realtime_er.analyze.save_timeline", draw)


class MadeUpSession:
    notices = ()

    def __init__(self, text):
        self.text = text
        self.finals = (make_final(1, text, 0.5, 1.5),)

    def estimates(self):
        yield from make_recording(30)

    def stop(self):
        pass

    def whole(self):
        scores = dict.fromkeys(LABELS, 0.1) | {"Happy": 0.4, "Fear": None}
        return {
            "label": "Happy",
            "confidence": 0.4,
            **scores,
            **dict.fromkeys((f"contribution_{m}" for m in MODALITIES), 0.1),
            "transcript": self.text,
        }


class Opener:
    """Opens a session on a file; its content is what is said. "broken" cannot be decoded."""

    def __init__(self):
        self.opened = []

    @contextlib.contextmanager
    def __call__(self, path):
        self.opened.append(path)
        if path.read_text() == "broken":
            raise MediaError(f"{path}: cannot be decoded\n(second line)")
        yield MadeUpSession(path.read_text())


@pytest.fixture
def folder(tmp_path):
    for name, text in (
        ("x/a.mp4", "one"),
        ("y/a.mp4", "two"),
        ("y/a.wav", "three"),
        ("b.wav", "four"),
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "in" / "notes.txt").write_text("no recording")
    return tmp_path / "in"


def run(paths, out, *, opener=None, config="c1", models="m1", overwrite=False, progress=None):
    opener = opener or Opener()
    batch = Batch(
        out, opener, config=config, models=models, clock=VirtualClock(), overwrite=overwrite
    )
    return [batch.run(path, progress) for path in paths], opener


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_finds_recordings_in_folders(folder):
    found = [path.relative_to(folder).as_posix() for path in find_media([folder])]
    assert found == ["b.wav", "x/a.mp4", "y/a.mp4", "y/a.wav"]
    assert find_media([folder / "notes.txt", folder / "notes.txt"]) == [folder / "notes.txt"]


def test_missing_paths_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        find_media([tmp_path / "nothing.mp4"])
    with pytest.raises(SourceError, match="no recordings"):
        find_media([tmp_path])


def test_writes_readable_tables_a_picture_and_a_summary(folder, tmp_path):
    out = tmp_path / "out"
    outcomes, _ = run([folder / "b.wav"], out)
    assert [outcome.status for outcome in outcomes] == ["done"]
    assert set(contents(out)) == {"b.csv", "b.parquet", "b.png", "summary.csv"}
    table = pd.read_csv(out / "b.csv")
    assert len(table) == pq.read_table(out / "b.parquet").num_rows == 30
    assert table["transcript"].iloc[-1] == "four"
    summary = pd.read_csv(out / "summary.csv").iloc[0]
    assert summary["label"] == "Happy"
    assert summary["duration_s"] == 3.0
    assert pd.isna(summary["Fear"])
    assert summary["transcript"] == "four"


def test_same_names_do_not_collide_and_stay_apart_in_any_order(folder, tmp_path):
    out = tmp_path / "out"
    paths = find_media([folder])
    run(paths, out)
    before = contents(out)
    summary = pd.read_csv(out / "summary.csv")
    assert summary["name"].is_unique
    said = dict(zip(summary["file"], summary["transcript"], strict=True))
    assert [said[path.as_posix()] for path in paths] == ["four", "one", "two", "three"]
    outcomes, opener = run(paths[::-1], out)
    assert {outcome.status for outcome in outcomes} == {"skipped"}
    assert opener.opened == []
    assert contents(out) == before


def test_a_later_run_with_the_same_name_does_not_write_over(folder, tmp_path):
    out = tmp_path / "out"
    run([folder / "x/a.mp4"], out)
    before = contents(out)
    run([folder / "y/a.mp4"], out)
    after = contents(out)
    assert all(after[name] == data for name, data in before.items() if name != "summary.csv")
    assert len(read_summary(out / "summary.csv")) == 2


def test_a_recording_called_summary_spares_the_summary(folder, tmp_path):
    (folder / "summary.wav").write_text("five")
    out = tmp_path / "out"
    run([folder / "summary.wav"], out)
    assert list(read_summary(out / "summary.csv")) != ["summary"]


def test_a_bad_file_is_named_and_the_rest_goes_on(folder, tmp_path):
    (folder / "b.wav").write_text("broken")
    outcomes, _ = run(find_media([folder]), tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["failed", "done", "done", "done"]
    assert outcomes[0].reason == f"{folder / 'b.wav'}: cannot be decoded (second line)"
    assert len(read_summary(tmp_path / "out" / "summary.csv")) == 3


@pytest.mark.parametrize("change", ["content", "config", "models", "output", "overwrite"])
def test_what_is_done_again(folder, tmp_path, change):
    out, path = tmp_path / "out", folder / "b.wav"
    run([path], out)
    if change == "content":
        path.write_text("changed")
    if change == "output":
        (out / "b.parquet").unlink()
    outcomes, _ = run(
        [path],
        out,
        config="c2" if change == "config" else "c1",
        models="m2" if change == "models" else "m1",
        overwrite=change == "overwrite",
    )
    assert [outcome.status for outcome in outcomes] == ["done"]
    assert list(read_summary(out / "summary.csv")) == ["b"]


def test_a_stopped_recording_leaves_nothing_and_is_done_next_time(folder, tmp_path):
    out = tmp_path / "out"

    def stop(session, estimate):
        if estimate.index == 10:
            raise BatchStoppedError("stopped")

    with pytest.raises(BatchStoppedError):
        run([folder / "b.wav"], out, progress=stop)
    assert contents(out) == {}
    outcomes, _ = run([folder / "b.wav"], out)
    assert outcomes[0].status == "done"


def test_equal_input_gives_equal_bytes(folder, tmp_path):
    for name in ("out1", "out2"):
        run([folder / "b.wav"], tmp_path / name)
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")


def test_a_foreign_summary_is_not_written_over(folder, tmp_path):
    (tmp_path / "summary.csv").write_text("my,own\n1,2\n")
    with pytest.raises(SourceError, match="not a summary of this program"):
        run([folder / "b.wav"], tmp_path)


def test_config_hash_knows_every_setting():
    assert config_hash(load_config("analyze")) == config_hash(load_config("analyze"))
    changed = load_config("analyze", {"face.rate_hz": 5})
    assert config_hash(load_config("analyze")) != config_hash(changed)
