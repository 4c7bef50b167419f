"""The notice is asked once, where somebody can answer; a no, or nobody to ask, starts nothing."""

from types import SimpleNamespace

import pytest

from realtime_er.cli import first_start
from realtime_er.cli.display import DisplayOptions
from realtime_er.cli.first_start import understood
from realtime_er.errors import ConfigError
from realtime_er.notice import acknowledge, acknowledged


@pytest.fixture(autouse=True)
def own_state(monkeypatch, tmp_path):
    folder = tmp_path / "state"
    monkeypatch.setattr(first_start, "acknowledged", lambda: acknowledged(folder))
    monkeypatch.setattr(first_start, "acknowledge", lambda: acknowledge(folder))
    sit_down(monkeypatch)
    return folder


def sit_down(monkeypatch, stdin=True, stdout=True):
    """Whether somebody sits at the terminal."""
    streams = SimpleNamespace(
        stdin=SimpleNamespace(isatty=lambda: stdin), stdout=SimpleNamespace(isatty=lambda: stdout)
    )
    monkeypatch.setattr(first_start, "sys", streams)


def answer(monkeypatch, text):
    asked = []

    def reply(prompt):
        asked.append(prompt)
        if text is None:
            raise EOFError
        return text

    monkeypatch.setattr("builtins.input", reply)
    return asked


@pytest.mark.parametrize("kind", ["terminal", "lines"])
def test_on_a_terminal_it_is_asked_once(monkeypatch, capsys, kind):
    asked = answer(monkeypatch, "")
    assert understood(kind, DisplayOptions())
    assert "not what anybody feels" in capsys.readouterr().out
    assert understood(kind, DisplayOptions())
    assert len(asked) == 1


@pytest.mark.parametrize("text", ["q", "No", None])
def test_a_no_is_asked_again_next_time(monkeypatch, capsys, text, own_state):
    answer(monkeypatch, text)
    assert not understood("terminal", DisplayOptions())
    assert "not started: the notice was not accepted" in capsys.readouterr().err
    assert not acknowledged(own_state)


@pytest.mark.parametrize(
    ("kind", "stdin", "stdout", "options"),
    [
        ("lines", False, True, DisplayOptions()),
        ("lines", True, False, DisplayOptions()),
        ("json", True, True, DisplayOptions(as_json=True)),
        ("window", True, True, DisplayOptions(screenshot="seen.png")),
    ],
)
def test_a_script_has_to_say_that_it_was_read(monkeypatch, own_state, kind, stdin, stdout, options):
    asked = answer(monkeypatch, "")
    sit_down(monkeypatch, stdin, stdout)
    with pytest.raises(ConfigError, match="--accept-notice") as caught:
        understood(kind, options)
    assert "\n" not in str(caught.value)
    assert not acknowledged(own_state)
    assert understood(kind, options, accept=True)
    assert acknowledged(own_state)
    assert understood(kind, options)
    assert asked == []


def test_an_answer_that_cannot_be_kept_is_said(monkeypatch, capsys, own_state):
    own_state.parent.joinpath("state").write_text("a file where the folder should be")
    answer(monkeypatch, "")
    assert understood("terminal", DisplayOptions())
    assert capsys.readouterr().err.startswith("note: ")
