"""The first-start notice: what it says, and that it is asked once for each version of it."""

from pathlib import Path

from realtime_er import notice


def test_says_what_a_person_must_know():
    text = notice.NOTICE
    assert "how an expression reads, not what anybody feels" in text
    assert "at work or in education" in text
    assert "Article 5(1)(f)" in text
    assert "nothing is kept unless you record" in text
    assert "seen or heard should know" in text
    assert "Article 50(3)" in text
    assert "no legal advice" in text
    assert len(text.split()) < 150  # short enough to be read


def test_who_cannot_answer_can_read_it_in_the_documentation():
    page = (Path(__file__).parents[1] / "docs" / "people.md").read_text("utf-8")
    words = " ".join(page.replace("**", "").replace("> ", "").split())
    for heading, text in notice.POINTS:
        assert f"{heading}. {text}" in words


def test_is_asked_once(tmp_path):
    folder = tmp_path / "state" / "realtime_er"
    assert not notice.acknowledged(folder)
    assert notice.acknowledge(folder) == ""
    assert notice.acknowledged(folder)


def test_a_new_text_asks_again(tmp_path, monkeypatch):
    notice.acknowledge(tmp_path)
    monkeypatch.setattr(notice, "VERSION", notice.VERSION + 1)
    assert not notice.acknowledged(tmp_path)


def test_a_folder_that_cannot_be_written_says_why_and_asks_again(tmp_path):
    in_the_way = tmp_path / "a_file"
    in_the_way.write_text("not a folder", "utf-8")
    why = notice.acknowledge(in_the_way)
    assert str(in_the_way) in why
    assert "shown again next time" in why
    assert "\n" not in why
    assert not notice.acknowledged(in_the_way)


def test_what_cannot_be_read_counts_as_not_asked(tmp_path):
    (tmp_path / "notice.txt").write_bytes(b"\xff\xfe\x00version 1")
    assert not notice.acknowledged(tmp_path)
    (tmp_path / "notice.txt").write_text("", "utf-8")
    assert not notice.acknowledged(tmp_path)


def test_the_users_state_folder_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(notice.platformdirs, "user_state_path", lambda *a, **k: tmp_path / "mine")
    assert notice.acknowledge() == ""
    assert notice.acknowledged()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notice.txt"]
