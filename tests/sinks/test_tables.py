"""Tables, read back by pandas and pyarrow."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from realtime_er.messages import LABELS, MODALITIES, Absence
from realtime_er.sinks.tables import COLUMNS, rows_of, transcript_at, write_csv, write_parquet
from tests.sinks.samples import make_estimate, make_final


@pytest.fixture
def estimates():
    return [
        make_estimate(1, text='he said "no, never"'),
        make_estimate(2, absent={"face": Absence.NO_FACE}, missing=["Fear"]),
        make_estimate(30, absent=dict.fromkeys(MODALITIES, Absence.WAITING)),
    ]


@pytest.fixture
def rows(estimates):
    return rows_of(estimates, [make_final(1, "Hello, you.", 0.5, 1.5)])


def test_csv_round_trip(rows, estimates, tmp_path):
    write_csv(rows, tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    assert tuple(table.columns) == COLUMNS
    np.testing.assert_allclose(table["time_s"], [0.1, 0.2, 3.0])
    scores = table[list(LABELS)].to_numpy()
    np.testing.assert_allclose(scores[0], estimates[0].probabilities, atol=1e-6)
    assert np.isnan(scores[1, LABELS.index("Fear")])
    assert np.isnan(scores[2]).all()
    assert table["utterance"][0] == 'he said "no, never"'
    assert table["state_face"].tolist() == ["present", "no face", "waiting"]
    assert pd.isna(table["label"][2])
    assert table["transcript"][2] == "Hello, you."


def test_parquet_round_trip(rows, estimates, tmp_path):
    write_parquet(rows, tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert tuple(table.column_names) == COLUMNS
    columns = table.to_pydict()
    assert columns["label"] == ["Happy", "Happy", None]
    assert columns["Fear"][1] is None
    assert columns["contribution_face_Happy"][1] is None
    assert columns["contribution_audio_Happy"][0] == float(estimates[0].contributions["audio"][1])
    assert columns["Happy"][0] == float(estimates[0].probabilities[1])  # exact: float32 in both


def test_same_rows_same_bytes(rows, tmp_path):
    for name in ("a", "b"):
        write_csv(rows, tmp_path / f"{name}.csv")
        write_parquet(rows, tmp_path / f"{name}.parquet")
    for suffix in (".csv", ".parquet"):
        first, second = (tmp_path / f"{name}{suffix}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_no_rows_is_a_table_without_rows(tmp_path):
    write_csv([], tmp_path / "t.csv")
    write_parquet([], tmp_path / "t.parquet")
    assert len(pd.read_csv(tmp_path / "t.csv")) == 0
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0


def test_transcript_holds_what_was_known_by_then():
    finals = [make_final(1, "One.", 0, 1), make_final(2, "Two.", 2, 3)]  # known at 2 s and 4 s
    assert transcript_at(finals, 1.9) == ""
    assert transcript_at(finals, 2.0) == "One."
    assert transcript_at(finals, 9.0) == "One. Two."
