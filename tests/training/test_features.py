"""Files of features: written whole, read back, and refused by name when they cannot be used."""

from dataclasses import replace

import numpy as np
import pytest

from realtime_er.errors import CorpusError, SpecMismatch
from realtime_er.training.features import (
    check_features,
    joint_encoders,
    load_features,
    save_features,
    with_test_part,
)
from tests.training import mer_samples


def test_reads_back_what_was_written(tmp_path):
    made = mer_samples.features("meld", per_class=1)
    save_features(tmp_path / "deep" / "meld.npz", made)
    read = load_features(tmp_path / "deep" / "meld.npz")
    assert read.corpus == "meld"
    assert read.encoders == mer_samples.ENCODERS
    for name in ("ids", "splits", "labels", "video", "audio", "text", "mask"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["meld.npz"]


def changed(**columns):
    return replace(mer_samples.features("meld", per_class=1), **columns)


def test_what_cannot_be_used_is_named():
    made = mer_samples.features("meld", per_class=1)
    n = len(made)
    twice, wrong, broken = made.ids.copy(), made.splits.copy(), made.video.copy()
    twice[1] = twice[0]
    wrong[2] = "dev"
    broken[3, 0] = np.nan
    cases = {
        "meld/train/neutral/0 stands twice": changed(ids=twice),
        "split 'dev' is none of train, val, test": changed(splits=wrong),
        f"{made.ids[3]} has face features that are not finite": changed(video=broken),
        "mask must be 0 or 1": changed(mask=np.full((n, 3), 0.5, np.float32)),
        "speakers must be text": changed(speakers=made.speakers[1:]),
        "audio must be float": changed(audio=made.audio[1:]),
    }
    for message, features in cases.items():
        with pytest.raises(CorpusError, match=message):
            check_features(features, "f.npz")
    # A value that nobody reads may be anything.
    check_features(changed(video=broken, mask=np.tile([0.0, 1.0, 1.0], (n, 1))), "f.npz")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(CorpusError, match=r"no such file of features; .* extract"):
        load_features(path)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(CorpusError, match="cannot be read"):
        load_features(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(CorpusError, match="not a file of features"):
        load_features(path)
    np.savez(path, ids=np.array([{}], object), allow_pickle=True)
    with pytest.raises(CorpusError, match="cannot be read"):
        load_features(path)
    made = mer_samples.features("meld", per_class=1)
    save_features(path, replace(made, meta={"encoders": {"smell": {"id": "x", "sha256": "y"}}}))
    with pytest.raises(CorpusError, match="meta is not understood"):
        load_features(path)


def test_corpora_of_different_encoders_are_not_joined():
    other = {**mer_samples.ENCODERS, "audio": {"id": "other/1", "sha256": "f" * 64}}
    first = mer_samples.features("meld", per_class=1)
    second = mer_samples.features("afew", per_class=1, encoders=other)
    with pytest.raises(
        SpecMismatch, match=r"different audio encoders \(tiny-audio/0 and other/1\)"
    ):
        joint_encoders([first, second])
    words_only = mer_samples.features("afew", per_class=1, encoders=other, modalities=("text",))
    assert joint_encoders([first, words_only]) == mer_samples.ENCODERS


def test_a_corpus_without_a_test_part_gets_one():
    made = mer_samples.features("afew", splits=("train", "val"))
    carved = with_test_part(made)
    assert set(carved.splits.tolist()) == {"train", "val", "test"}
    np.testing.assert_array_equal(carved.splits == "test", made.splits == "val")
    whole = mer_samples.features("meld")
    np.testing.assert_array_equal(with_test_part(whole).splits, whole.splits)
