"""The comparison on made-up features: folds, intervals, one table, heads that go live."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.bundle import load_card  # noqa: E402
from realtime_er.errors import ConfigError, CorpusError  # noqa: E402
from realtime_er.fusion.head import SUBSETS, FusionInput, softmax, statistics, subset_name  # noqa: E402
from realtime_er.fusion.opening import open_head  # noqa: E402
from realtime_er.fusion.registry import HEADS  # noqa: E402
from realtime_er.messages import LABELS, MODALITIES  # noqa: E402
from realtime_er.resources import resource_dir  # noqa: E402
from realtime_er.training.compare import features as compare_features  # noqa: E402
from realtime_er.training.compare import heads as compact_heads  # noqa: E402
from realtime_er.training.compare import run as comparing  # noqa: E402
from realtime_er.training.compare.features import Steps, fold_rows, read_compact  # noqa: E402
from realtime_er.training.compare.heads import (  # noqa: E402
    Pool,
    compact_scores,
    fit_compact,
    save_compact,
)
from realtime_er.training.compare.run import compare, variants  # noqa: E402
from realtime_er.training.compare.table import crossed_interval  # noqa: E402
from realtime_er.training.ravdess.results import (  # noqa: E402
    BEST_ON_TEST,
    FoldResult,
    RavdessResult,
    write_results,
)
from realtime_er.training.recipes import FusionRecipe  # noqa: E402

SHAPES = {"face": (4, 16), "audio": (6, 24), "text": (1, 8)}
QUICK = FusionRecipe(epochs=2, triples=210, batch=70, rate=5e-3)
MODELS = resource_dir("assets") / "models"


def made_up(shapes=SHAPES, per_label=24, noise=0.6, seed=0):
    """Labels that each modality tells with noise; speakers say everything, pictures one thing."""
    rng = np.random.default_rng(seed)
    corpus = {}
    for name, (steps, size) in shapes.items():
        count = per_label * len(LABELS)
        labels = np.tile(np.arange(len(LABELS)), per_label)
        centres = rng.normal(size=(len(LABELS), size))
        values = centres[labels][:, None] + noise * rng.normal(size=(count, steps, size))
        lengths = rng.integers(1, steps + 1, count)
        values[np.arange(steps) >= lengths[:, None]] = 0.0
        row = np.arange(count)
        groups = (row // len(LABELS)) % 8 if name == "audio" else row
        corpus[name] = Steps(
            values.astype(np.float32), lengths, labels, row, groups.astype(np.str_)
        )
    return corpus


def test_statistics_leave_padding_out():
    steps = made_up()["audio"]
    for row in (0, 11, 100):
        there = steps.values[row, : steps.lengths[row]]
        np.testing.assert_allclose(steps.statistics()[row], statistics(there), atol=1e-6)


@pytest.mark.parametrize("fold", range(4))
def test_folds_share_no_group_and_leave_nothing_out(fold):
    corpus = made_up()
    parts = fold_rows(corpus, 4, fold)
    for name, steps in corpus.items():
        rows = np.concatenate([parts[part][name] for part in parts])
        assert sorted(rows) == list(range(len(steps)))
        groups = [set(steps.groups[parts[part][name]]) for part in ("train", "val", "test")]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]


def test_every_group_is_tested_once():
    corpus = made_up()
    tested = np.concatenate([fold_rows(corpus, 4, fold)["test"]["face"] for fold in range(4)])
    assert sorted(tested) == list(range(len(corpus["face"])))


def test_folds_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"--folds 9: from 3 .* to 8"):
        fold_rows(made_up(), 9, 0)
    corpus = made_up()
    few = np.flatnonzero((corpus["text"].labels != 5) | (np.arange(len(corpus["text"])) < 7))
    corpus["text"] = corpus["text"].take(few)
    with pytest.raises(CorpusError, match="part has no text of Disgust"):
        fold_rows(corpus, 4, 0)


def test_crossed_interval_knows_how_much_evidence_there_is():
    rng = np.random.default_rng(3)
    truth = np.tile(np.arange(7), 100)
    guess = np.where(rng.random(700) < 0.8, truth, (truth + 1) % 7)
    alone = np.arange(700)
    wide = np.stack([np.repeat(np.arange(7), 100), alone], axis=1)
    narrow = np.stack([alone], axis=1)
    low, high = crossed_interval(truth, guess, narrow)
    # By itself it is the usual bootstrap: about 1.96 * sqrt(0.8 * 0.2 / 700) on each side.
    assert 0.02 < (high - low) / 2 < 0.04
    assert low < 0.8 < high
    coarse = crossed_interval(truth, guess, wide)
    assert coarse[1] - coarse[0] > high - low
    assert crossed_interval(truth, truth, wide) == (1.0, 1.0)


def test_one_table_has_a_line_for_every_head(tmp_path, monkeypatch):
    out = tmp_path
    torch.set_num_threads(1)
    monkeypatch.setattr(compact_heads, "_VAL_TRIPLES", 140)
    monkeypatch.setattr(comparing, "TEST_TRIPLES", 210)
    text = compare(
        made_up(), out, models_dir=MODELS, folds=3, recipe=QUICK,
        heads=("gated", "multiplication", "cfn-sr"), map_calls=0,
    )  # fmt: skip
    assert (out / "compare.md").read_text() == text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0].startswith("| head | reads | parameters | UAR % | 95 % interval | ECE |")
    assert [line.split(" | ")[0] for line in lines[1:]] == [
        "| gated, sigmoid", "| multiplication", "| CFN-SR", "| gated, sigmoid + AVEL + MEM",
    ]  # fmt: skip
    record = json.loads((out / "compare.json").read_text())
    for row in record["rows"]:
        low, high = row["interval_95"]
        assert 0.5 < row["uar"] <= 1.0, row["title"]  # chance is 0.14
        assert low - 0.02 <= row["uar"] <= high + 0.02
        assert row["parameters"] > 1000
        assert row["train_s"] > 0
        assert row["call_ms"] > 0
    assert "best epoch *on the test fold*" in text


def test_all_rows_are_named_once_and_heads_that_are_not_there_are_refused():
    every = variants()
    assert len({one.title for one in every}) == len(every)
    assert {one.head for one in every} == set(HEADS)
    with pytest.raises(ConfigError, match="no fusion head named 'msfa'"):
        variants(["msfa"])


def test_what_is_tested_cannot_change_what_is_trained(monkeypatch):
    monkeypatch.setattr(compact_heads, "_VAL_TRIPLES", 140)
    corpus = made_up()
    parts = fold_rows(corpus, 3, 0)
    nets = []
    for shuffled in (False, True):
        if shuffled:
            rows = parts["test"]["face"]
            corpus["face"].values[rows] = np.random.default_rng(1).normal(size=(len(rows), 4, 16))
        pools = {part: Pool(corpus, rows, "statistics") for part, rows in parts.items()}
        fitted = fit_compact("concat", "statistics", pools["train"], pools["val"], QUICK)
        nets.append(fitted)
    one, other = (fitted.net.state_dict() for fitted in nets)
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert nets[0].temperature == nets[1].temperature


def test_feature_maps_cannot_be_compared_on_cached_features():
    corpus = made_up()
    with pytest.raises(ConfigError, match="not cached"):
        Pool(corpus, fold_rows(corpus, 3, 0)["test"], "maps")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmtm", "averaging", "msaf", "mcbp"])
def test_a_saved_head_says_live_what_it_said_in_the_comparison(name, tmp_path):
    shapes = {"face": (4, 128), "audio": (6, 96), "text": (1, 128)}
    corpus = made_up(shapes)
    parts = fold_rows(corpus, 3, 0)
    train, val = (Pool(corpus, parts[part], "statistics") for part in ("train", "val"))
    how = FusionRecipe(epochs=1, triples=70)
    fitted = fit_compact(name, "statistics", train, val, how)
    card = save_compact(
        tmp_path / name, name, fitted, val, MODELS, recipe=how, metrics={}, split="x"
    )
    assert load_card(tmp_path / name).raw["architecture"] == name
    head = open_head(tmp_path / name, card.raw["encoders"])
    rows = {name: np.array([5]) for name in MODALITIES}
    vectors = {name: val.values[name][5].numpy() for name in MODALITIES}
    live = head.probabilities(FusionInput(**vectors))
    for subset in SUBSETS:
        scores = (
            compact_scores(fitted.net, val, rows, subset)[0]
            / card.raw["temperatures"][subset_name(subset)]
        )
        np.testing.assert_allclose(live[subset], softmax(scores), atol=1e-5)


def test_a_text_that_was_written_twice_stands_in_one_part_only(tmp_path):
    for corpus, name, content in (
        ("goemotions", "labels.txt", "anger\nneutral\n"),
        ("goemotions", "dev.tsv", "Thank you!\t1\ta\nStop it.\t0\tb\nTHANK YOU !\t1\tc\n"),
        ("meld", "dev_sent_emo.csv", "Utterance,Speaker,Emotion,Dialogue_ID,Season,Episode\n"
         "Hello.,Ada,joy,1,1,1\n"),
    ):  # fmt: skip
        (tmp_path / corpus).mkdir(exist_ok=True)
        (tmp_path / corpus / name).write_text(content)
    texts = compare_features._texts(tmp_path, load_card(MODELS / "compact-text"), 1)
    assert texts.groups.tolist() == ["goemotions-a", "goemotions-b", "meld-dev-1"]
    assert texts.labels.tolist() == [0, 6, 1]
    assert texts.clips.tolist() == [0, 1, 2]
    assert len(np.unique(texts.values[:, 0], axis=0)) == 3


def test_features_are_made_once(tmp_path, monkeypatch):
    corpus = made_up()
    asked = []
    for modality, name in (("face", "_faces"), ("audio", "_voices"), ("text", "_texts")):

        def read(data_dir, card, seed, modality=modality):
            asked.append(modality)
            return corpus[modality]

        monkeypatch.setattr(compare_features, name, read)
    first = read_compact(tmp_path, MODELS, tmp_path / "cache")
    again = read_compact(tmp_path, MODELS, tmp_path / "cache")
    assert asked == ["face", "audio", "text"]
    for name in MODALITIES:
        np.testing.assert_array_equal(first[name].values, again[name].values)
        np.testing.assert_array_equal(corpus[name].groups, again[name].groups)
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:200])
    said = []
    read_compact(tmp_path, MODELS, tmp_path / "cache", say=said.append)
    assert "damaged" in said[0]
    assert len(asked) == 6


def test_what_was_measured_on_videos_stands_in_the_table_with_how_it_was_chosen(
    tmp_path, monkeypatch
):
    from realtime_er.fusion.ravdess import build_network
    from realtime_er.training.compare import table as compare_table
    from tests.fusion.nets import TINY

    monkeypatch.setattr(compare_table, "build_network", lambda name: build_network(name, 8, TINY))
    monkeypatch.setattr(compare_table, "call_ms", lambda net, inputs, calls: 1500.0)
    fold = FoldResult(1, (1, 2, 3, 4), (), 9, 0.75, 0.74, 0.6, 240)
    write_results(tmp_path / "msaf-published", RavdessResult("msaf", (fold,), 5, BEST_ON_TEST))
    rows = compare_table.map_rows(("msaf", "cfn-sr"), 1, tmp_path)
    lines = {row.head: row.line() for row in rows}
    assert "75.0 (1/5 folds, best epoch on test)" in lines["msaf"]
    assert "74.86 (25.94 M)" in lines["msaf"]
    assert "| - | 75.76 (26.30 M) |" in lines["cfn-sr"]
    assert "BEST EPOCH ON THE TEST FOLD" in (
        (tmp_path / "msaf-published" / "results.md").read_text().upper()
    )
    with pytest.raises(CorpusError, match="no such folder"):
        compare_table.map_rows((), 1, tmp_path / "nowhere")
    (tmp_path / "msaf-published" / "results.json").write_text("{}")
    with pytest.raises(CorpusError, match="not results of a RAVDESS training"):
        compare_table.map_rows((), 1, tmp_path)
