"""The FER+ reader: votes to soft targets, cleaning by pixels, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.ferplus import VOTE_NAMES, read_ferplus, soft_targets


def _votes(**counts: int) -> list[int]:
    return [counts.get(name.replace("-", "_"), 0) for name in VOTE_NAMES]


def _write(folder: Path, split: str, shades: list[int], votes: list[list[int]]) -> None:
    images = np.zeros((len(shades), 48, 48), dtype=np.uint8)
    images[:] = np.array(shades, dtype=np.uint8)[:, None, None]
    (folder / "ferplus").mkdir(exist_ok=True)
    np.savez(
        folder / "ferplus" / f"{split}.npz", images=images, votes=np.array(votes, dtype=np.uint8)
    )


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("neutral", 0),
        ("happiness", 1),
        ("sadness", 2),
        ("surprise", 3),
        ("fear", 4),
        ("disgust", 5),
        ("anger", 6),
    ],
)
def test_columns_follow_project_order(name: str, column: int) -> None:
    shares, kept = soft_targets(np.array([_votes(**{name: 10})]))
    assert kept[0]
    assert shares[0].tolist() == np.eye(7)[column].tolist()


def test_dropped_votes_are_renormalised_away() -> None:
    shares, kept = soft_targets(np.array([_votes(neutral=3, sadness=3, contempt=2, unknown=2)]))
    assert kept[0]
    assert shares[0] == pytest.approx([0.5, 0, 0.5, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"contempt": 6, "neutral": 4}, False),
        ({"unknown": 4, "neutral": 3, "fear": 3}, False),
        ({"not_a_face": 10}, False),
        ({"contempt": 5, "neutral": 5}, True),
        ({"unknown": 3, "contempt": 3, "fear": 4}, True),
        ({}, False),
    ],
)
def test_leading_dropped_category_leaves_the_picture_out(
    counts: dict[str, int], expected: bool
) -> None:
    shares, kept = soft_targets(np.array([_votes(**counts)]))
    assert kept.tolist() == [expected]
    assert shares.sum() == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"votes": np.ones((3, 10), np.float32)}, "integers"),
        ({"votes": np.ones((3, 7), np.uint8)}, r"\[3, 10\]"),
        ({"images": np.zeros((0, 48, 48), np.uint8)}, "no picture"),
        ({"images": np.zeros((3, 48, 48), np.float32)}, "uint8"),
    ],
)
def test_another_kind_of_file_is_named(
    tmp_path: Path, change: dict[str, np.ndarray], said: str
) -> None:
    (tmp_path / "ferplus").mkdir()
    good = {"images": np.zeros((3, 48, 48), np.uint8), "votes": np.ones((3, 10), np.int64)}
    path = tmp_path / "ferplus" / "test.npz"
    np.savez(path, **good)
    assert len(read_ferplus(tmp_path, "test")) == 3
    np.savez(path, **(good | change))
    with pytest.raises(CorpusError, match=said):
        read_ferplus(tmp_path, "test")
    path.write_bytes(b"")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_ferplus(tmp_path, "test")


def test_train_is_cleaned_by_pixels(tmp_path: Path) -> None:
    happy, angry, odd = _votes(happiness=10), _votes(anger=10), _votes(not_a_face=10)
    _write(tmp_path, "train", [1, 2, 1, 3, 4], [happy, happy, angry, happy, odd])
    _write(tmp_path, "valid", [3, 5, 5], [angry, happy, happy])
    train = read_ferplus(tmp_path, "train")
    assert train.images[:, 0, 0].tolist() == [1, 2]
    assert train.leading().tolist() == [1, 1]
    valid = read_ferplus(tmp_path, "valid")
    assert valid.images[:, 0, 0].tolist() == [3, 5, 5]
    assert valid.leading().tolist() == [6, 1, 1]
    assert len(valid) == 3


def test_agreed_needs_more_than_half_of_all_votes(tmp_path: Path) -> None:
    votes = [_votes(fear=6, contempt=4), _votes(fear=5, contempt=5), _votes(fear=5, sadness=4)]
    _write(tmp_path, "valid", [1, 2, 3], votes)
    assert read_ferplus(tmp_path, "valid").agreed.tolist() == [True, False, True]


def test_absent_corpus_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"train\.npz.*--data DIR"):
        read_ferplus(tmp_path, "train")


def test_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ferplus").mkdir()
    (tmp_path / "ferplus" / "valid.npz").write_bytes(b"not an archive")
    with pytest.raises(CorpusError, match=r"valid\.npz"):
        read_ferplus(tmp_path, "valid")


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "valid", [1, 2], [_votes(fear=1)])
    with pytest.raises(CorpusError, match="votes"):
        read_ferplus(tmp_path, "valid")


def test_votes_of_wrong_width_are_refused() -> None:
    with pytest.raises(ValueError, match="votes must be"):
        soft_targets(np.zeros((2, 7), dtype=np.int64))


def test_real_valid_split_is_what_the_card_reports(data_dir: Path) -> None:
    valid = read_ferplus(data_dir, "valid")
    assert valid.soft_targets.sum(axis=1) == pytest.approx(1.0)
    counts = np.bincount(valid.leading(), minlength=7)
    assert counts.tolist() == [1335, 899, 412, 456, 75, 38, 314]
    agreed = np.bincount(valid.leading()[valid.agreed], minlength=7)
    assert agreed.tolist() == [1063, 847, 279, 378, 40, 13, 234]
