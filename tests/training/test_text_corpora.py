"""Readers of the text corpora, on small files and on the corpora where they are at hand."""

import pytest

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.emorynlp import read_emorynlp
from realtime_er.training.corpora.goemotions import EKMAN_GROUPS, read_goemotions
from realtime_er.training.corpora.meld import read_meld, read_meld_episodes

MELD_HEAD = "Utterance,Speaker,Emotion,Dialogue_ID,Season,Episode\n"
EMORY_HEAD = "Utterance,Speaker,Emotion,Scene_ID,Season,Episode\n"


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_goemotions_shares_and_single_labels(tmp_path):
    labels = [label for group in EKMAN_GROUPS.values() for label in group]
    write(tmp_path, "goemotions/labels.txt", "\n".join(labels))
    anger, annoyance, joy = (labels.index(one) for one in ("anger", "annoyance", "joy"))
    write(
        tmp_path,
        "goemotions/dev.tsv",
        f"Stop it [NAME]!\t{anger},{annoyance},{joy}\ta1\nFine\t{anger},{annoyance}\ta2\n",
    )
    mixed, single = read_goemotions(tmp_path, "dev")
    assert mixed.target == pytest.approx((0, 1 / 3, 0, 0, 0, 0, 2 / 3))
    assert mixed.label is None
    assert "NAME" not in mixed.text
    assert single.label == 6
    assert single.group == "a2"


def test_goemotions_without_its_list_of_labels_has_the_published_one(tmp_path):
    write(tmp_path, "goemotions/test.tsv", "Wow\t26\ta\nFine\t27\tb\nHm\t11\tc\n")
    assert [row.label for row in read_goemotions(tmp_path, "test")] == [3, 0, 5]


def test_goemotions_names_the_bad_line(tmp_path):
    write(tmp_path, "goemotions/labels.txt", "joy")
    write(tmp_path, "goemotions/dev.tsv", "fine\t0\ta\nbroken\t9\tb\n")
    with pytest.raises(CorpusError, match="line 2"):
        read_goemotions(tmp_path, "dev")


def test_meld_labels_dialogues_and_episodes(tmp_path):
    write(
        tmp_path,
        "meld/dev_sent_emo.csv",
        MELD_HEAD + '"Oh, no!",Ross,anger,4,2,7\nYay,Phoebe,joy,5,3,1\n',
    )
    first, second = read_meld(tmp_path, "dev")
    assert (first.text, first.label, first.group, first.speaker) == ("Oh, no!", 6, "dev-4", "Ross")
    assert second.label == 1
    assert read_meld_episodes(tmp_path, "dev") == {(2, 7), (3, 1)}


def test_meld_refuses_unknown_emotions_and_other_files(tmp_path):
    write(tmp_path, "meld/dev_sent_emo.csv", MELD_HEAD + "Hm,Ross,bored,4,2,7\n")
    with pytest.raises(CorpusError, match="bored"):
        read_meld(tmp_path, "dev")
    write(tmp_path, "meld/dev_sent_emo.csv", "a,b\n1,2\n")
    with pytest.raises(CorpusError, match="no column 'Utterance'"):
        read_meld(tmp_path, "dev")


def test_texts_saved_by_other_programs_are_read(tmp_path):
    """A mark at the start, other line ends, order and case; MELD needs no season to be scored."""
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "goemotions" / "test.tsv").write_bytes(
        b"\xef\xbb\xbfWow\t26\ta\r\n\r\n \t27\tb\r\n"
    )
    assert [(row.text, row.label) for row in read_goemotions(tmp_path, "test")] == [
        ("Wow", 3), ("", 0),
    ]  # fmt: skip
    (tmp_path / "meld").mkdir()
    path = tmp_path / "meld" / "test_sent_emo.csv"
    path.write_bytes(
        b'\xef\xbb\xbfEmotion,Dialogue_ID,Speaker,Utterance\r\nJoy ,4,Ross,"A\r\nB"\r\n'
    )
    (row,) = read_meld(tmp_path, "test")
    assert (row.text, row.label, row.group) == ("A\r\nB", 1, "test-4")
    with pytest.raises(CorpusError, match="'Season'"):
        read_meld_episodes(tmp_path, "test")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MELD_HEAD.encode() + b"Hi,Ross\n", "row 1 is too short"),
        (MELD_HEAD.encode() + b"Caf\xe9,Ross,joy,1,1,1\n", "UTF-8"),
        (MELD_HEAD.encode() + b'"' + b"x" * 140_000 + b'",Ross,joy,1,1,1\n', "as CSV"),
    ],
)
def test_a_broken_table_is_one_clear_error(tmp_path, content, said):
    (tmp_path / "meld").mkdir()
    (tmp_path / "meld" / "dev_sent_emo.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=said):
        read_meld(tmp_path, "dev")


def test_an_episode_is_a_number(tmp_path):
    write(tmp_path, "meld/dev_sent_emo.csv", MELD_HEAD + "Hi,Ross,joy,1,one,1\n")
    with pytest.raises(CorpusError, match="season and episode"):
        read_meld_episodes(tmp_path, "dev")


def test_emorynlp_leaves_out_foreign_labels_and_episodes(tmp_path):
    write(
        tmp_path,
        "emorynlp/emorynlp_train_final.csv",
        EMORY_HEAD
        + "Hi,['Joey'],Joyful,1,1,2\nHm,['Joey'],Powerful,1,1,2\nNo,['Joey'],Mad,1,3,4\n",
    )
    rows = read_emorynlp(tmp_path, "train", skip_episodes={(3, 4)})
    assert [(row.text, row.label, row.speaker) for row in rows] == [("Hi", 1, "Joey")]


@pytest.mark.parametrize("read", [read_goemotions, read_meld, read_emorynlp])
def test_an_absent_corpus_is_named(tmp_path, read):
    with pytest.raises(CorpusError, match="--data DIR"):
        read(tmp_path, "dev")


def test_the_corpora_have_their_published_sizes(data_dir):
    assert len(read_goemotions(data_dir, "dev")) == 5426
    assert len(read_meld(data_dir, "dev")) == 1109
    assert {row.label for row in read_meld(data_dir, "dev")} == set(range(7))
