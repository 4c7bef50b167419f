"""The notice is asked once, where somebody can answer, and a no starts nothing."""

import pytest

from realtime_er.cli import first_start
from realtime_er.cli.display import DisplayOptions
from realtime_er.cli.first_start import understood
from realtime_er.notice import acknowledge, acknowledged


@pytest.fixture(autouse=True)
def own_state(monkeypatch, tmp_path):
    folder = tmp_path / "state"
    monkeypatch.setattr(first_start, "acknowledged", lambda: acknowledged(folder))
    monkeypatch.setattr(first_start, "acknowledge", lambda: acknowledge(folder))
    monkeypatch.setattr(first_start.sys.stdin, "isatty", lambda: True, raising=False)
    return folder


def answer(monkeypatch, text):
    asked = []

    def reply(prompt):
        asked.append(prompt)
        if text is None:
            raise EOFError
        return text

    monkeypatch.setattr("builtins.input", reply)
    return asked


def test_on_a_terminal_it_is_asked_once(monkeypatch, capsys):
    asked = answer(monkeypatch, "")
    assert understood("terminal", DisplayOptions())
    assert "not what anybody feels" in capsys.readouterr().out
    assert understood("terminal", DisplayOptions())
    assert len(asked) == 1


@pytest.mark.parametrize("text", ["q", "No", None])
def test_a_no_is_asked_again_next_time(monkeypatch, capsys, text, own_state):
    answer(monkeypatch, text)
    assert not understood("terminal", DisplayOptions())
    assert "not started: the notice was not accepted" in capsys.readouterr().err
    assert not acknowledged(own_state)


def test_a_script_is_not_asked(monkeypatch, own_state):
    asked = answer(monkeypatch, "q")
    assert understood("lines", DisplayOptions())
    assert understood("json", DisplayOptions(as_json=True))
    assert asked == []
    assert not acknowledged(own_state)


def test_an_answer_that_cannot_be_kept_is_said(monkeypatch, capsys, own_state):
    own_state.parent.joinpath("state").write_text("a file where the folder should be")
    answer(monkeypatch, "")
    assert understood("terminal", DisplayOptions())
    assert capsys.readouterr().err.startswith("note: ")
