"""Foal-Net's clips: lists, four classes, folds by session, the rate of learning."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.config import read_settings
from realtime_er.errors import CorpusError
from realtime_er.training.corpora.scp import read_scp
from realtime_er.training.foal.corpus import make_fold, read_foal_corpus
from realtime_er.training.foal.recipe import FoalRecipe, learning_rate
from tests.conftest import ROOT
from tests.training import trees

NAMES = ("Ses01F_impro01_F000", "Ses01F_impro01_M001", "Ses03M_script01_1_FXX002")


def write_list(folder, lines):
    for name in ("a.wav", "b c.wav", "d.avi"):
        (folder / name).write_bytes(b"stub")
    path = folder / "all.scp"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_list_is_read_with_speakers_and_relative_paths(tmp_path):
    path = write_list(
        tmp_path,
        ["# utterances", f"{NAMES[0]} a.wav neu", "", f"{NAMES[1]}\tb c.wav\texc",
         f"{NAMES[2]} {tmp_path / 'd.avi'}  sad"],
    )  # fmt: skip
    text = path.read_text(encoding="utf-8")
    rows = read_scp(path)
    assert [(row.id, row.native, row.speaker, row.group) for row in rows] == [
        (f"iemocap/{NAMES[0]}", ("neu",), "Ses01F", "Ses01F_impro01"),
        (f"iemocap/{NAMES[1]}", ("exc",), "Ses01M", "Ses01F_impro01"),
        (f"iemocap/{NAMES[2]}", ("sad",), "Ses03F", "Ses03M_script01_1"),
    ]
    assert [(row.audio, row.video) for row in rows] == [
        ("a.wav", ""), ("b c.wav", ""), ("", str(tmp_path / "d.avi"))
    ]  # fmt: skip
    corpus = read_foal_corpus(path)
    assert corpus.root == tmp_path
    assert [(clip.session, clip.label, clip.name) for clip in corpus.clips] == [
        (1, 1, NAMES[0]), (1, 0, NAMES[1]), (3, 2, NAMES[2])
    ]  # fmt: skip
    # What editors on Windows put before the first line is no part of a name.
    path.write_text(f"{NAMES[0]} a.wav neu\n", encoding="utf-8-sig")
    assert [row.id for row in read_scp(path)] == [f"iemocap/{NAMES[0]}"]
    path.write_text(text, encoding="utf-8")
    apart = read_foal_corpus(path, excited=False)
    assert len(apart.clips) == 2
    assert apart.left_out == {"exc": 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{NAMES[1]} a.wav", r"line 3: is not utt_id path label"),
        (f"{NAMES[1]} a.wav joy", r"line 3: \w+ has the label 'joy', none of hap, neu, sad, ang"),
        (f"{NAMES[1]} z.wav ang", r"line 3: \w+: .*z.wav is missing"),
        ("a/Ses01F_1 a.wav ang", r"line 3: a/Ses01F_1: a name must not have a slash"),
        (f"{NAMES[0]} a.wav ang", r"line 3: \w+ stands twice \(first in line 1\)"),
        ("SesXF_1 a.wav ang", r"line 3: SesXF_1: the fifth character must be the session"),
    ],
)
def test_a_wrong_line_is_named_with_its_number(tmp_path, line, said):
    path = write_list(tmp_path, [f"{NAMES[0]} a.wav neu", "", line])
    with pytest.raises(CorpusError, match=rf"all\.scp, {said}.*correct the list"):
        read_scp(path)
    write_list(tmp_path, [f"{NAMES[0]} a.wav neu", "x", line])
    with pytest.raises(CorpusError, match=r"line 2: is not utt_id path label \(and 1 more\)"):
        read_scp(path)


def test_lists_that_are_none(tmp_path):
    with pytest.raises(CorpusError, match="no such list"):
        read_scp(tmp_path / "all.scp")
    with pytest.raises(CorpusError, match="holds no utterance"):
        read_scp(write_list(tmp_path, ["# nothing"]))
    (tmp_path / "all.scp").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="is not text"):
        read_scp(tmp_path / "all.scp")


def test_iemocap_has_four_classes_and_folds_by_session(tmp_path):
    corpus = read_foal_corpus(trees.iemocap(tmp_path))
    assert corpus.sessions == (1, 2, 3, 4, 5)
    # Five of the eight codes of each of the two dialogues of each session.
    assert len(corpus.clips) == 50
    assert corpus.left_out == {"fru": 10, "xxx": 10, "sur": 10}
    assert len(read_foal_corpus(tmp_path, excited=False).clips) == 40
    assert {clip.row.side for clip in corpus.clips} == {"left", "right"}
    seen = []
    for session in corpus.sessions:
        fold = make_fold(corpus.clips, session)
        parts = {name: {corpus.clips[i].row.group for i in part} for name, part in
                 (("train", fold.train), ("val", fold.val), ("test", fold.test))}  # fmt: skip
        assert not parts["train"] & parts["val"]
        assert {corpus.clips[i].session for i in fold.test} == {session}
        assert session not in {corpus.clips[i].session for i in (*fold.train, *fold.val)}
        assert len(fold.train) + len(fold.val) + len(fold.test) == 50
        assert len(fold.val) == 5
        seen += fold.test
        released = make_fold(corpus.clips, session, published_split=True)
        assert released.val == released.test == fold.test
        assert len(released.train) == 40
    assert sorted(seen) == list(range(50))
    with pytest.raises(CorpusError, match="session 7 as test leaves the test part empty"):
        make_fold(corpus.clips, 7)
    one = [clip for clip in corpus.clips if clip.session == 2]
    with pytest.raises(CorpusError, match="leaves the train part empty"):
        make_fold(one, 2)


def test_the_recipe_that_ships_is_the_one_documented():
    assert read_settings(FoalRecipe, ROOT / "config" / "train" / "foal.toml") == FoalRecipe()


def test_the_rate_rises_and_falls_as_the_schedule_says():
    recipe = FoalRecipe()
    rates = [learning_rate(step, 400, recipe) for step in range(400)]
    assert rates[0] == recipe.start_rate
    assert max(rates) == rates[40] == recipe.peak_rate
    assert rates[20] == pytest.approx((1e-6 + 1e-4) / 2)
    assert rates[-1] == pytest.approx(recipe.end_rate)
    assert rates[:41] == sorted(rates[:41])
    assert rates[40:] == sorted(rates[40:], reverse=True)
    assert learning_rate(0, 1, FoalRecipe(warmup=0.0)) == recipe.peak_rate
