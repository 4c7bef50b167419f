"""A tiny RAVDESS from files to results: folds, the epoch's choice, resuming, the command."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.bundle import load_card  # noqa: E402
from realtime_er.encoders.ravdess.mfcc_net import MfccSize  # noqa: E402
from realtime_er.errors import ConfigError, CorpusError  # noqa: E402
from realtime_er.fusion.ravdess import NetworkSize  # noqa: E402
from realtime_er.fusion.ravdess_files import load_network  # noqa: E402
from realtime_er.training.corpora.ravdess import LABELS  # noqa: E402
from realtime_er.training.ravdess import fit as ravdess_fit  # noqa: E402
from realtime_er.training.ravdess.batches import augmented, normalised  # noqa: E402
from realtime_er.training.ravdess.cache import RavdessCorpus, prepare_ravdess  # noqa: E402
from realtime_er.training.ravdess.folds import (  # noqa: E402
    Fold,
    Splits,
    load_splits,
    make_splits,
)
from realtime_er.training.ravdess.recipe import RavdessRecipe  # noqa: E402
from realtime_er.training.ravdess.results import read_results  # noqa: E402
from realtime_er.training.ravdess.train import NetworkPlan, train_network  # noqa: E402
from tests.fusion.nets import TINY  # noqa: E402
from tests.training import ravdess_tree as tree  # noqa: E402
from tests.training.mer_media import BlockDetector  # noqa: E402

SIZE = NetworkSize(TINY.video, MfccSize(inner=8, outer=16))
QUICK = RavdessRecipe(epochs=4, batch=4, rate=1e-2, augment=False)
SPLITS = Splits("tiny", (Fold(1, (1, 2), (3,), (4,)), Fold(2, (3, 4), (1,), (2,))))


@pytest.mark.parametrize(("name", "count"), [("cfn-sr-5", 5), ("msaf-6", 6)])
def test_folds_are_runs_of_actors_and_nobody_teaches_what_tests(name, count):
    splits = make_splits(name)
    assert len(splits.folds) == count
    for fold in splits.folds:
        assert sorted(fold.train + fold.val + fold.test) == list(range(1, 25))
        assert fold.test == tuple(range(4 * fold.number - 3, 4 * fold.number + 1))
        assert len(fold.val) == 4
    tested = {actor for fold in splits.folds for actor in fold.test}
    assert tested == set(range(1, 21 if count == 5 else 25))


def test_the_published_protocol_holds_nobody_out():
    fold = make_splits("cfn-sr-5", published=True).folds[4]
    assert fold.val == ()
    assert fold.train == (*range(1, 17), 21, 22, 23, 24)


def test_saved_folds_are_read_back_and_checked(tmp_path):
    path = tmp_path / "folds.json"
    path.write_text(SPLITS.to_json())
    assert load_splits(path) == SPLITS
    assert load_splits(path, published=True).folds[0] == Fold(1, (1, 2, 3), (), (4,))
    raw = json.loads(SPLITS.to_json())
    raw["folds"][0]["val"] = [4]
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="fold 1 has actor 4 in two parts"):
        load_splits(path)
    raw["folds"][0]["val"] = []
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="fold 1 has nobody in its val part"):
        load_splits(path)
    path.write_text("[]")
    with pytest.raises(ConfigError, match="not a file of folds"):
        load_splits(path)
    with pytest.raises(ConfigError, match="cfn-sr-5 or msaf-6, or a JSON file"):
        make_splits("five")


def test_pictures_are_normalised_red_first():
    faces = np.zeros((2, 4, 4, 3), np.uint8)
    faces[..., 0] = 255
    found = normalised(faces)
    assert found.shape == (3, 2, 4, 4)
    np.testing.assert_allclose(found[0], (1 - 0.485) / 0.229, rtol=1e-5)
    np.testing.assert_allclose(found[2], -0.406 / 0.225, rtol=1e-5)


def test_a_clip_is_augmented_as_one_unless_the_published_way_is_asked_for():
    ramp = np.arange(32, dtype=np.uint8)[None, :, None] * np.ones((32, 1, 3), np.uint8)
    faces = np.stack([ramp] * 6)
    seen = set()
    for seed in range(8):
        one = augmented(faces, RavdessRecipe(), np.random.default_rng(seed))
        assert one.shape == faces.shape
        assert all(np.array_equal(frame, one[0]) for frame in one)
        seen.add(bool(one[0, 0, 0, 0] > one[0, 0, -1, 0]))  # mirrored or not
    assert seen == {True, False}
    each = augmented(faces, RavdessRecipe(per_frame=True), np.random.default_rng(0))
    assert not all(np.array_equal(frame, each[0]) for frame in each)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("R")
    tree.write_ravdess(root, (1, 2, 3, 4), emotions=(2, 8))
    return prepare_ravdess(root, root / "cache", BlockDetector, n_frames=4, side_px=32)


def train(corpus, out, recipe=QUICK, *, head="msaf", splits=SPLITS, **more):
    return train_network(NetworkPlan(head, size=SIZE), corpus, splits, recipe, out, **more)


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    told = []
    result = train(corpus, out, RavdessRecipe(epochs=10, batch=4, rate=1e-2), progress=told.append)
    return out, result, told


def test_a_tiny_corpus_is_learned_from_end_to_end(trained):
    out, result, told = trained
    assert [fold.accuracy for fold in result.folds] == [1.0, 1.0]
    assert {one.chosen_on for one in told} == {"val"}
    assert told[9].train_loss < 0.5 * told[0].train_loss
    with (out / "msaf" / "fold_1" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["actor"] for row in rows} == {"4"}
    assert {row["epoch_selection"] for row in rows} == {"chosen on held-out actors"}
    assert [row["label"] for row in rows] == [row["predicted"] for row in rows]
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1.0, abs=1e-4)
    with (out / "msaf" / "fold_1" / "curves.csv").open(newline="") as stream:
        curves = list(csv.DictReader(stream))
    assert len(curves) == 10
    assert {"epoch", "train_loss", "val_accuracy", "epoch_selection"} == set(curves[0])
    assert not (out / "msaf" / "fold_1" / "resume.pt").exists()
    assert "chosen on held-out actors" in (out / "msaf" / "results.md").read_text()
    assert read_results(out) == {"msaf": result}
    assert load_splits(out / "msaf" / "splits.json") == SPLITS
    card = load_card(out / "msaf" / "fold_1")
    assert card.raw["reads"] == "maps"
    assert card.label_map["Neutral"] == ["neutral", "calm"]
    net = load_network("msaf", card.path, SIZE)
    assert not net.training


def test_finished_folds_are_not_done_again_and_other_settings_are_refused(corpus, trained):
    out, result, _ = trained
    told = []
    how = RavdessRecipe(epochs=10, batch=4, rate=1e-2)
    assert train(corpus, out, how, progress=told.append) == result
    assert told == []
    with pytest.raises(ConfigError, match="finished with other settings or other clips"):
        train(corpus, out, QUICK)
    with pytest.raises(ConfigError, match="--fold 7: tiny has folds 1, 2"):
        train(corpus, out, how, folds=[7])


def test_faces_that_were_cut_anew_are_not_passed_off_as_the_old_ones(corpus, trained):
    out, _, _ = trained
    one = corpus.actors[1]
    other = replace(one, jpeg=np.append(one.jpeg, np.uint8(0)), ends=one.ends + 1)
    assert one.digest() == replace(one).digest() != other.digest()
    with pytest.raises(ConfigError, match="finished with other settings or other clips"):
        train(RavdessCorpus({**corpus.actors, 1: other}), out,
              RavdessRecipe(epochs=10, batch=4, rate=1e-2))  # fmt: skip


def test_a_training_that_was_stopped_ends_where_one_in_a_single_run_does(corpus, tmp_path):
    whole = train(corpus, tmp_path / "whole", folds=[1])

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, tmp_path / "parts", folds=[1], progress=stop)
    epochs = []
    again = train(
        corpus, tmp_path / "parts", folds=[1], progress=lambda one: epochs.append(one.epoch)
    )
    assert epochs == [3, 4]
    assert again == whole
    for name in ("curves.csv", "predictions.csv"):
        one, other = (tmp_path / part / "msaf" / "fold_1" / name for part in ("whole", "parts"))
        assert one.read_text() == other.read_text()
    assert whole.told().endswith("(1/2 folds)")


def test_a_folder_that_was_begun_with_other_settings_is_refused(corpus, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, tmp_path, folds=[1], progress=stop)
    with pytest.raises(ConfigError, match="fold_1: begun with other settings"):
        train(corpus, tmp_path, RavdessRecipe(epochs=1, batch=2), folds=[1])


def test_what_was_chosen_on_the_test_fold_says_so_everywhere(corpus, tmp_path):
    splits = Splits("tiny", (Fold(1, (1, 2, 3), (), (4,)),))
    told = []
    how = RavdessRecipe(epochs=1, batch=4, augment=False)
    result = train(corpus, tmp_path, how, splits=splits, published=True, progress=told.append)
    folder = tmp_path / "msaf-published"
    label = "best epoch ON THE TEST FOLD, as published"
    assert told[0].chosen_on == "TEST"
    assert "best epoch on test" in result.told()
    assert label in (folder / "results.md").read_text()
    assert json.loads((folder / "results.json").read_text())["selection"] == label
    for name in ("predictions.csv", "curves.csv"):
        with (folder / "fold_1" / name).open(newline="") as stream:
            assert {row["epoch_selection"] for row in csv.DictReader(stream)} == {label}
    card = load_card(folder / "fold_1")
    assert card.raw["selection"] == label
    assert card.id.endswith("-published")
    assert card.raw["training"]["command"].endswith("--published-split")
    assert card.raw["metrics"]["test.accuracy"]["selection"] == label
    assert "not what to expect" in result.markdown()


def test_the_test_fold_takes_no_part_in_the_choice(corpus, tmp_path, monkeypatch):
    asked = []
    real = ravdess_fit._accuracy

    def accuracy(corpus, clips, probabilities):
        asked.append({actor for actor, _ in clips})
        return real(corpus, clips, probabilities)

    monkeypatch.setattr(ravdess_fit, "_accuracy", accuracy)
    how = RavdessRecipe(epochs=2, batch=4, augment=False)
    train(corpus, tmp_path, how, folds=[1])
    assert asked == [{3}, {3}, {4}]  # the test fold once, when everything is over


def test_actors_that_are_not_there_are_named(corpus, tmp_path):
    with pytest.raises(CorpusError, match=r"fold 2: no clip of actors 9, 10, 11, 12 \(val\)"):
        train(corpus, tmp_path, splits=make_splits("cfn-sr-5"), folds=[2])


def test_a_misspelt_switch_is_told_what_there_is(corpus, tmp_path):
    plan = NetworkPlan("cfn-sr", {"residuum": False}, SIZE)
    with pytest.raises(ConfigError, match="no switch residuum; it has published_bare_stem, block"):
        train_network(plan, corpus, SPLITS, QUICK, tmp_path)
