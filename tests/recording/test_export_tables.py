from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realtime_er.errors import RecordingError
from realtime_er.messages import LABELS
from realtime_er.recording import columns
from realtime_er.recording.export.tables import EXPORTED, export_csv, export_parquet
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples


@pytest.fixture
def session(recorded):
    with RecordedSession.open(recorded) as session:
        yield session


def test_csv_read_by_pandas_equals_the_frames(session, tmp_path):
    paths = export_csv(session, tmp_path)
    assert {path.stem for path in paths} == {*EXPORTED, "columns"}
    for name in EXPORTED:
        frame = session.frame(name)
        read = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False, na_values=[""])
        assert list(read.columns) == list(frame.columns)
        assert len(read) == len(frame)
        for column in columns.TABLES[name].columns:
            found, wanted = read[column.name], frame[column.name]
            if column.type == "float64":
                pd.testing.assert_series_equal(found, wanted, check_dtype=False, rtol=0, atol=0)
            elif column.type == "float32":
                np.testing.assert_allclose(found, wanted, atol=5.1e-7)
            elif column.type == "string":
                texts = wanted.astype(object).where(wanted.notna(), "").tolist()
                assert found.astype(object).where(found.notna(), "").tolist() == texts
            elif column.type == "bool":
                assert found.tolist() == wanted.tolist()
            else:
                assert found.astype("Int64").equals(wanted)


def test_csv_holds_any_text(session, tmp_path):
    export_csv(session, tmp_path)
    notes = pd.read_csv(tmp_path / "annotations.csv").query("kind == 'note'")
    assert notes["text"].tolist() == ['first line\nsecond <b>"line"</b> שלום 🙂']
    assert b"\r" not in (tmp_path / "annotations.csv").read_bytes()


def test_every_column_is_described(session, tmp_path):
    export_csv(session, tmp_path)
    described = pd.read_csv(tmp_path / "columns.csv")
    for name in EXPORTED:
        header = (tmp_path / f"{name}.csv").read_text("utf-8").splitlines()[0].split(",")
        assert described[described["table"] == name]["column"].tolist() == header
    assert described["meaning"].str.len().min() > 1


def test_parquet_read_by_pyarrow_is_exact(session, tmp_path):
    export_parquet(session, tmp_path)
    table = pq.read_table(tmp_path / "estimates.parquet")
    expected = [samples.estimate_at(tick) for tick in samples.ticks()]
    assert table["session_s"].to_pylist() == [estimate.time_s for estimate in expected]
    for index, label in enumerate(LABELS):
        wanted = [
            None if np.isnan(estimate.probabilities[index]) else estimate.probabilities[index]
            for estimate in expected
        ]
        assert table[label].to_pylist() == wanted
    assert table["Fear"].null_count == len(expected)  # absent is null, not NaN and not zero
    assert table.schema.field("Happy").type == pa.float32()
    assert b"0 to 1" in table.schema.field("Happy").metadata[b"meaning"]
    faces = pq.read_table(tmp_path / "faces.parquet")
    assert faces["is_target"].to_pylist().count(False) == 20
    marks = pq.read_table(tmp_path / "annotations.parquet").to_pandas()
    assert marks["label"].tolist() == session.annotations()["label"].tolist()


def test_equal_sessions_give_equal_bytes(session, tmp_path):
    for export in (export_csv, export_parquet):
        for first, second in zip(
            export(session, tmp_path / "a"), export(session, tmp_path / "b"), strict=True
        ):
            assert first.read_bytes() == second.read_bytes()


def test_no_annotations(own_copy, tmp_path):
    for path in (own_copy / "annotations").iterdir():
        path.unlink()
    with RecordedSession.open(own_copy) as session:
        export_csv(session, tmp_path)
        export_parquet(session, tmp_path)
    assert len(pd.read_csv(tmp_path / "annotations.csv")) == 0
    assert pq.read_table(tmp_path / "annotations.parquet").num_rows == 0


def test_a_damaged_session_leaves_no_half_file(own_copy, tmp_path):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("UPDATE words SET text = 5.5 WHERE position = 2")
        connection.execute("UPDATE estimates SET label = x'00' WHERE tick = 100")
    connection.close()
    with RecordedSession.open(own_copy) as session:
        for export in (export_csv, export_parquet):
            with pytest.raises(RecordingError, match="table estimates: label holds"):
                export(session, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written(session, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"estimates\.csv: cannot be written"):
        export_csv(session, tmp_path / "file")


def test_a_link_is_replaced_not_followed(session, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "estimates.csv").symlink_to(victim)
    (out / ".estimates.csv.part").symlink_to(victim)
    export_csv(session, out)
    assert victim.read_text() == "mine"
    assert (out / "estimates.csv").read_text().startswith("time_s")
