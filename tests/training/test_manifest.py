"""The manifest's columns and checks, and what labels mean for a model."""

import dataclasses
import json

import pytest

from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS
from realtime_er.training.corpora.label_schemes import (
    SCHEMES,
    LabelScheme,
    apply_scheme,
    load_scheme,
)
from realtime_er.training.corpora.manifest import (
    COLUMNS,
    ManifestRow,
    check_rows,
    read_manifest,
    write_manifest,
)

HEADER = ",".join(COLUMNS) + "\n"


def row(number=0, **changes):
    plain = ManifestRow(f"meld/train/{number}", "meld", "train", f"{number}.mp4", "", ("joy",))
    return dataclasses.replace(plain, **changes)


def test_rows_come_back_as_they_were(tmp_path):
    rows = (
        row(0, text='He said "no",\nthen left \u2013 \u4f60\u597d', speaker="Ross", group="g"),
        row(1, start_s=140.22501234, end_s=145.6, side="left", native=("anger", "sad")),
        row(2, video="", audio="a/b.wav", split="test"),
    )
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"id": ""}, "has no id"),
        ({"corpus": ""}, "has no corpus"),
        ({"split": "dev"}, "split 'dev' is none of train, val, test"),
        ({"video": ""}, "neither a video nor an audio"),
        ({"side": "top"}, "neither left nor right"),
        ({"native": ()}, "has no label"),
        ({"native": ("",)}, "has no label"),
        ({"start_s": 1.0}, "only one of"),
        ({"start_s": 2.0, "end_s": 1.0}, "span"),
        ({"start_s": -1.0, "end_s": 1.0}, "span"),
        ({"start_s": 0.0, "end_s": float("nan")}, "not finite"),
    ],
)
def test_rows_that_cannot_be_are_refused_by_name(changes, match):
    with pytest.raises(CorpusError, match=match) as caught:
        check_rows([row(0), row(1, **changes)], "m.csv")
    assert "m.csv, line 3" in str(caught.value)


def test_a_row_twice_is_refused():
    with pytest.raises(CorpusError, match=r"line 3: meld/train/0 stands twice \(first in line 2\)"):
        check_rows([row(0), row(0)], "m.csv")
    with pytest.raises(CorpusError, match=r"meld/train/1 is the clip of line 2 again"):
        check_rows([row(0), row(1, video="0.mp4")], "m.csv")
    # Two spans or two halves of one file are two clips.
    check_rows(
        [row(0, start_s=0.0, end_s=1.0), row(1, video="0.mp4", start_s=1.0, end_s=2.0)], "m.csv"
    )
    with pytest.raises(CorpusError, match="and 1 more"):
        check_rows([row(0), row(0), row(1, split="")], "m.csv")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no column 'id'"),
        ("a,b\n1,2\n", "unknown column 'a'"),
        (HEADER.replace(",text", ""), "no column 'text'"),
        (HEADER, "holds no row"),
        (HEADER + "x,meld,train,0.mp4\n", "line 2: has not as many cells"),
        (HEADER + "x,meld,train,0.mp4,abc,2,,,,,joy,\n", "line 2: start_s 'abc': no number"),
        (HEADER + "x,meld,train,0.mp4,,,,,,,,\n", "line 2: x has no label"),
    ],
)
def test_other_files_are_refused(tmp_path, text, match):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(CorpusError, match=match):
        read_manifest(path)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(CorpusError, match="no such manifest"):
        read_manifest(tmp_path / "m.csv")


def test_built_in_schemes_cover_their_corpora():
    assert SCHEMES["seven"].classes == LABELS
    assert set(SCHEMES["seven"].maps) == {"meld", "afew", "iemocap", "mosei", "ravdess", "emodb"}
    labelled = apply_scheme(
        SCHEMES["seven"],
        [
            row(0),
            row(1, corpus="iemocap", native=("exc",)),
            row(2, corpus="iemocap", native=("fru",)),
            row(3, corpus="mosei", native=("anger", "sad")),
            row(4, corpus="mosei", native=("none",)),
            row(5, corpus="ravdess", native=("calm",)),
            row(6, corpus="emodb", native=("boredom",)),
        ],
    )
    assert labelled.classes == ((1,), (1,), (6,), (0,), (0,), (0,))
    assert labelled.left_out == {"iemocap:fru": 1}
    assert len(labelled.rows) == 6


def test_multi_label_rows_keep_all_or_none():
    labelled = apply_scheme(
        SCHEMES["mosei6"],
        [
            row(0, corpus="mosei", native=("disgust", "sad")),
            row(1, corpus="mosei", native=("none",)),
        ],
    )
    assert labelled.classes == ((1, 5), ())
    assert labelled.left_out == {}


def test_iemocap_has_its_six():
    scheme = SCHEMES["iemocap6"]
    codes = ("neu", "hap", "sad", "ang", "exc", "fru")
    assert [scheme.classes_of(row(corpus="iemocap", native=(code,))) for code in codes] == [
        (index,) for index in range(6)
    ]
    assert scheme.classes_of(row(corpus="iemocap", native=("xxx",))) is None


def test_labels_and_corpora_outside_the_map_are_named():
    with pytest.raises(CorpusError, match=r"meld/train/0 has the label 'glee', which is not"):
        SCHEMES["seven"].classes_of(row(native=("glee",)))
    with pytest.raises(CorpusError, match=r"no map for corpus 'meld'.*\[map\.meld\]"):
        SCHEMES["iemocap6"].classes_of(row())


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_schemes_from_files(tmp_path, suffix):
    path = tmp_path / f"mine{suffix}"
    content = {
        "classes": ["Low", "High"],
        "multi": False,
        "map": {"meld": {"joy": "High", "fear": ""}},
    }
    path.write_text(
        json.dumps(content)
        if suffix == ".json"
        else 'classes = ["Low", "High"]\n[map.meld]\njoy = "High"\nfear = ""\n'
    )
    scheme = load_scheme(path)
    assert (scheme.name, scheme.classes) == ("mine", ("Low", "High"))
    assert scheme.classes_of(row()) == (1,)
    assert scheme.classes_of(row(native=("fear",))) is None
    assert load_scheme("seven") is SCHEMES["seven"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("classes = [", "cannot be read"),
        ("classes = 3\n[map.meld]\n", "list of names"),
        ('classes = ["A", "B"]\n', r"no \[map"),
        ('classes = ["A", "B"]\nmulti = 1\n[map.meld]\n', "true or false"),
        ('classes = ["A", "B"]\n[map.meld]\njoy = 1\n', r"\[map\.meld\] must give"),
        ('classes = ["A", "B"]\n[map.meld]\njoy = "C"\n', "becomes 'C', which is none of A, B"),
        ('classes = ["A", "A"]\n[map.meld]\n', "each once"),
        ('colour = 1\nclasses = ["A", "B"]\n', "only"),
    ],
)
def test_bad_scheme_files_are_refused(tmp_path, text, match):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(CorpusError, match=match):
        load_scheme(path)


def test_an_unknown_scheme_lists_the_built_in():
    with pytest.raises(CorpusError, match="seven, iemocap6, mosei6"):
        load_scheme("eight")
    with pytest.raises(CorpusError, match="two or more"):
        LabelScheme("one", ("A",), multi=False, maps={})
