"""The publication's experiments on small features: what trains on what, and how tables look."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.errors import ConfigError, CorpusError, SpecMismatch  # noqa: E402
from realtime_er.messages import MODALITIES  # noqa: E402
from realtime_er.training.corpora.label_schemes import SCHEMES  # noqa: E402
from realtime_er.training.features import save_features  # noqa: E402
from realtime_er.training.mer import bench as mer_bench  # noqa: E402
from realtime_er.training.mer import published as published_mer  # noqa: E402
from realtime_er.training.mer.protocols import run_mer  # noqa: E402
from realtime_er.training.mer.recipe import MerRecipe  # noqa: E402
from realtime_er.training.mer.tables import Table, Value  # noqa: E402
from tests.training import mer_samples  # noqa: E402

QUICK = MerRecipe(gated_dim=8, learning_rate=0.03, weight_decay=0.0, epochs=6, dropout=0.0,
                  gate="sigmoid", batch=64)  # fmt: skip
FEW = {"iemocap": ["neu", "hap", "ang", "exc", "fru"], "meld": ["neutral", "joy", "anger"],
       "mosei": ["happy", "anger", "none"], "ravdess": ["neutral", "happy", "angry"],
       "emodb": ["neutral", "happy", "angry"]}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def write(folder, *names, modalities=MODALITIES, **more):
    for number, name in enumerate(names):
        made = mer_samples.features(
            name, per_class=4, seed=number, labels=FEW[name], modalities=modalities, **more
        )
        save_features(folder / f"{name}.npz", made)
    return folder


def run(folder, protocol, out, **more):
    settings = {"recipe": QUICK, "device": "cpu", "resamples": 10} | more
    text = run_mer(folder, protocol, out, **settings)
    assert (out / f"mer-{protocol}.md").read_text() == text
    return text, json.loads((out / f"mer-{protocol}.json").read_text())


def lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_single_corpora_stand_under_the_published_methods(tmp_path):
    write(tmp_path / "f", "iemocap", "mosei", "ravdess")
    text, record = run(tmp_path / "f", "single", tmp_path / "out")
    assert [table["title"] for table in record["tables"]] == [
        "IEMOCAP, single corpus", "MOSEI, single corpus", "RAVDESS, single corpus"
    ]  # fmt: skip
    first, second, third = record["tables"]
    assert first["columns"] == ["Acc", "wF1", "mF1", "UAR"]
    assert second["columns"] == ["wAcc", "wF1", "Acc", "F1"]
    assert [row["name"] for row in first["rows"]][-3:] == ["M³Net 2023", "Ours w/o WL", "Ours WL"]
    assert "| M³Net 2023 | (72.5) | (72.5) | (71.5) | - |" in text
    ours = first["rows"][-1]["cells"][3][0]
    assert ours["published"] == 71.6
    assert ours["n"] == 5 * 4
    assert ours["interval_95"][0] <= ours["here"] <= ours["interval_95"][1]
    assert all(cell[0]["published"] is None for row in third["rows"] for cell in row["cells"])
    assert set(record["encoders"]) == {"f"}
    assert record["encoders"]["f"]["text"]["id"] == "tiny-text/0"


def test_other_labels_leave_the_published_figures_out(tmp_path):
    write(tmp_path / "f", "iemocap")
    _, record = run(tmp_path / "f", "single", tmp_path / "out", labels=SCHEMES["seven"])
    (table,) = record["tables"]
    assert [row["name"] for row in table["rows"]] == ["Ours w/o WL", "Ours WL"]
    assert table["rows"][0]["cells"][0][0]["published"] is None


def test_the_cross_corpus_matrix_and_its_means(tmp_path):
    write(tmp_path / "f", "meld", "iemocap", "ravdess")
    text, record = run(tmp_path / "f", "cross", tmp_path / "out")
    (table,) = record["tables"]
    assert table["columns"] == ["IEMOCAP", "MELD", "RAVDESS", "avg"]
    grid = np.array([[cell[0]["here"] for cell in row["cells"][:3]] for row in table["rows"][:3]])
    assert (grid > 60).all()
    for place, row in enumerate(table["rows"][:3]):
        others = np.delete(grid[place], place)
        assert row["cells"][3][0]["here"] == pytest.approx(others.mean(), abs=0.02)
    for place, (mean, above) in enumerate(table["rows"][3]["cells"][:3]):
        others = np.delete(grid[:, place], place).mean()
        assert mean["here"] == pytest.approx(others, abs=0.02)
        assert above["here"] == pytest.approx(grid[place, place] - others, abs=0.02)
    assert table["rows"][0]["cells"][1][0]["published"] == 22.9
    assert "(42.6 / 28.7)" in text
    assert len(lines(text)) == 6


def test_leave_one_out_trains_on_the_others_only(tmp_path, monkeypatch):
    for name in ("meld", "iemocap"):
        write(tmp_path / "f" / name, "iemocap", "mosei", "meld")
    trained = []
    real = mer_bench.fit_head

    def watched(train, val, *rest, **more):
        trained.append((set(train.corpora), set(val.corpora)))
        return real(train, val, *rest, **more)

    monkeypatch.setattr(mer_bench, "fit_head", watched)
    text, record = run(tmp_path / "f", "loco", tmp_path / "out")
    (table,) = record["tables"]
    assert table["columns"] == ["IEMOCAP", "MOSEI", "MELD"]
    assert [row["name"] for row in table["rows"]] == ["IEMOCAP", "MELD", "avg"]
    assert trained == [
        ({"iemocap", "meld"},) * 2, ({"iemocap", "mosei"},) * 2,
        ({"mosei", "meld"},) * 2, ({"iemocap", "meld"},) * 2,
    ]  # fmt: skip
    own, other = table["rows"][0]["cells"][0], table["rows"][0]["cells"][1]
    assert own[0]["here"] is None
    assert [value["published"] for value in other] == [59.7, 31.7]
    # IEMOCAP (its seven-class part) and MELD, then MOSEI alone.
    assert [value["n"] for value in other] == [4 * 4 + 3 * 4, 3 * 4]
    assert other[0]["here"] > 60
    means = table["rows"][2]["cells"][1]
    expected = np.mean([table["rows"][row]["cells"][1][1]["here"] for row in (0, 1)])
    assert means[1]["here"] == pytest.approx(expected, abs=0.02)
    assert "| IEMOCAP | - | **" in text
    assert "(59.8 / 30.6)" in text


def test_multi_corpus_is_one_head_on_all(tmp_path):
    write(tmp_path / "f", "meld", "iemocap")
    said = []
    _, record = run(tmp_path / "f", "multi", tmp_path / "out", say=said.append, seeds=(1, 2))
    (cells,) = [row["cells"] for row in record["tables"][0]["rows"]]
    assert all(cell[0]["here"] > 80 and cell[0]["spread"] is not None for cell in cells)
    # 4 clips of iemocap's four classes that the seven have, and of meld's three.
    assert said == [f"f: multi, trained on all, seed {seed}, 28 clips" for seed in (1, 2)]


def test_ablation_in_both_set_ups(tmp_path):
    write(tmp_path / "f", "meld")
    text, record = run(
        tmp_path / "f", "ablation", tmp_path / "out", recipe=replace(QUICK, epochs=12)
    )
    (table,) = record["tables"]
    names = [row["name"] for row in table["rows"]]
    assert names == ["AVT", "S1 w/o A", "S1 w/o V", "S1 w/o T", "S2 w/o A", "S2 w/o V", "S2 w/o T",
                     "hidden A", "hidden V", "hidden T"]  # fmt: skip
    assert table["columns"] == ["Neu", "Hap", "Sad", "Ang", "Sur", "Fea", "Dis", "UAR"]
    rows = {row["name"]: row["cells"] for row in table["rows"]}
    assert rows["AVT"][7][0]["published"] == 57.7
    assert rows["S2 w/o T"][3][0]["published"] == 46.4
    assert rows["AVT"][2][0] == {
        "here": None, "published": 53.8, "spread": None, "interval_95": None, "n": 0
    }  # fmt: skip
    for name in ("AVT", "S2 w/o A", "S2 w/o V", "S2 w/o T"):
        recalls = [cell[0]["here"] for cell in rows[name][:7] if cell[0]["here"] is not None]
        assert len(recalls) == 3
        assert rows[name][7][0]["here"] == pytest.approx(np.mean(recalls), abs=0.02)
        assert rows[name][7][0]["here"] > 80
    assert rows["hidden A"][7][0]["published"] is None
    assert "| (53.8) |" in text.replace("**", "")


def test_sound_alone_is_enough(tmp_path):
    write(tmp_path / "f", "ravdess", "emodb", modalities=("audio",))
    text, record = run(tmp_path / "f", "loco", tmp_path / "out")
    values = [value for cell in record["tables"][0]["rows"][0]["cells"] for value in cell]
    assert all(value["here"] > 60 and value["published"] is None for value in values)
    assert "RAVDESS | EMO-DB" in text
    _, record = run(tmp_path / "f", "ablation", tmp_path / "out")
    assert [row["name"] for row in record["tables"][0]["rows"]] == ["A"]


def test_a_modality_that_was_never_trained_is_not_read(tmp_path):
    folder = write(tmp_path / "f", "emodb", modalities=("audio",))
    write(folder, "meld", shift=0.0)
    wild = mer_samples.features("meld", per_class=4, labels=FEW["meld"])
    save_features(folder / "meld.npz", replace(wild, video=wild.video * 1e6))
    _, record = run(folder, "cross", tmp_path / "out")
    rows = {row["name"]: row["cells"] for row in record["tables"][0]["rows"]}
    assert rows["EMO-DB"][0][0]["here"] > 60


def test_what_cannot_be_run_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no protocol 'kfold'; there are single, cross"):
        run_mer(tmp_path, "kfold", tmp_path)
    with pytest.raises(CorpusError, match="write them with: realtime-er extract"):
        run_mer(tmp_path / "none", "loco", tmp_path)
    write(tmp_path / "one", "meld")
    with pytest.raises(CorpusError, match="loco needs two corpora or more; there is only meld"):
        run(tmp_path / "one", "loco", tmp_path / "out")
    other = {**mer_samples.ENCODERS, "face": {"id": "other/1", "sha256": "e" * 64}}
    write(tmp_path / "one", "iemocap", encoders=other)
    with pytest.raises(SpecMismatch, match="different face encoders"):
        run(tmp_path / "one", "loco", tmp_path / "out")


def test_a_head_that_is_there_is_scored(tmp_path):
    from realtime_er.encoders.paper.checkpoints import write_state
    from realtime_er.fusion.gated import load_head
    from realtime_er.training.features import load_features
    from realtime_er.training.mer.heads import score_head
    from realtime_er.training.mer.train import train_mer

    write(tmp_path / "f", "meld")
    features = load_features(tmp_path / "f" / "meld.npz")
    recipe = replace(QUICK, epochs=12)
    card = train_mer([features], SCHEMES["seven"], recipe, tmp_path / "head", resamples=0)
    here = card.raw["metrics"]["test.UAR"]["value"]
    text = score_head(tmp_path / "head", tmp_path / "f", tmp_path / "out", resamples=5)
    assert f"| **{100 * here:.1f}** (57.7) |" in text
    assert "encoders that the head was trained on" in text
    assert (tmp_path / "out" / "mer-head.md").read_text() == text

    # A published checkpoint is a bare file that names nothing.
    bare = tmp_path / "fusion.pth"
    write_state(load_head(card.path), bare)
    text = score_head(bare, tmp_path / "f", tmp_path / "out", gate="sigmoid", resamples=0)
    assert "| fusion.pth | " in text
    assert f"**{100 * here:.1f}** (57.7)" in text
    assert "names no encoders" in text

    other = {**mer_samples.ENCODERS, "face": {"id": "other/1", "sha256": "e" * 64}}
    write(tmp_path / "g", "meld", encoders=other)
    with pytest.raises(SpecMismatch, match="trained with the face encoder tiny-face/0, not with"):
        score_head(tmp_path / "head", tmp_path / "g", tmp_path / "out")
    write(tmp_path / "h", "iemocap")
    save_features(
        tmp_path / "h" / "iemocap.npz",
        replace(load_features(tmp_path / "h" / "iemocap.npz"), corpus="meld"),
    )
    with pytest.raises(CorpusError, match="has the label 'neu', which is not in the map of meld"):
        score_head(bare, tmp_path / "h", tmp_path / "out")
    longer = replace(features, audio=np.tile(features.audio, (1, 2)))
    save_features(tmp_path / "i" / "meld.npz", longer)
    with pytest.raises(SpecMismatch, match="reads 8 numbers of audio, the features have 16"):
        score_head(bare, tmp_path / "i", tmp_path / "out")
    with pytest.raises(SpecMismatch, match="has 7 classes, the labels are iemocap6"):
        score_head(bare, tmp_path / "f", tmp_path / "out", labels=SCHEMES["iemocap6"])


def test_published_tables_are_whole():
    assert set(published_mer.SINGLE) == set(published_mer.OTHERS) == set(published_mer.CORPORA)
    for corpus in published_mer.CORPORA:
        width = len(published_mer.SINGLE_COLUMNS[corpus])
        every = [
            *published_mer.SINGLE[corpus].values(),
            *dict(published_mer.OTHERS[corpus]).values(),
        ]
        assert {len(line) for line in every} == {width}
        classes = published_mer.ABLATION_COLUMNS[corpus]
        rows = published_mer.ABLATION[corpus]
        assert len(rows) == 7
        for name, line in rows.items():
            assert len(line) == len(classes) + 1
            if (corpus, name) == ("afew", "S1 w/o T"):
                continue  # printed 56.8, its recalls give 56.3
            # The printed UAR is the mean of the printed recalls, to their rounding.
            assert line[-1] == pytest.approx(np.mean(line[:-1]), abs=0.16)
    for corpus, (mean, above) in published_mer.CROSS_COLUMN_MEANS.items():
        column = [row[corpus] for name, row in published_mer.CROSS.items() if name != corpus]
        assert mean == pytest.approx(np.mean(column), abs=0.06)
        assert above == pytest.approx(published_mer.CROSS[corpus][corpus] - mean, abs=0.11)
    for corpus, means in published_mer.LOCO_MEANS.items():
        cells = [row[corpus] for name, row in published_mer.LOCO.items() if name != corpus]
        assert means == pytest.approx(np.mean(cells, axis=0), abs=0.11)


def test_how_values_are_told():
    cells = [
        (Value.of([0.5], 61.25),), (Value.of([0.5, 0.7]),), (Value.of([float("nan")], 3.0),),
        (Value(),), (Value(1.0, 2.0), Value(None, 4.0)),
    ]  # fmt: skip
    table = Table("t", "c", ("1", "2", "3", "4", "5"), [("r", cells)])
    row = "| r | **50.0** (61.2) | **60.0 ± 14.1** | (3.0) | - | **1.0 / -** (2.0 / 4.0) |"
    assert row in table.markdown()
