"""Consent on the command line: from options, asked in the terminal, or refused."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import realtime_er.session
from realtime_er.cli import app, first_start
from realtime_er.cli.consent import Answers, ask
from realtime_er.cli.display import DisplayOptions
from realtime_er.cli.window_recording import WindowRecording
from realtime_er.errors import ConfigError
from realtime_er.recording.labels import load_labels
from realtime_er.recording.options import RecordOptions
from tests.cli.fakes import FakeSession

ALL = ["--consent-of", "P07", "--purpose", "research: gestures", "--keep-until", "90 days"]


def invoke(*args):
    return CliRunner().invoke(app, list(map(str, args)))


@pytest.fixture
def sessions(monkeypatch):
    FakeSession.made = []
    monkeypatch.setattr(realtime_er.session, "Session", FakeSession)
    return FakeSession.made


def at_the_terminal(monkeypatch, *replies):
    yes = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(first_start, "sys", SimpleNamespace(stdin=yes, stdout=yes))
    waiting = list(replies)

    def reply(prompt):
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    monkeypatch.setattr("builtins.input", reply)
    return waiting


def test_a_script_gives_it_as_options(sessions, tmp_path):
    folder = tmp_path / "anna"
    result = invoke("live", "--record", folder, *ALL, "--seconds", "1")
    assert result.exit_code == 0, result.output
    (session,) = sessions
    path, options = session.record
    assert path == folder
    assert options.consent.line().startswith("consent of P07 for research: gestures, until 20")
    assert options.consent.asked == "options"


@pytest.mark.parametrize("given", [[], ALL[:2], ALL[:4], ALL[2:]])
def test_a_script_that_says_too_little_records_nothing(sessions, tmp_path, given):
    result = invoke("live", "--record", tmp_path / "anna", *given)
    assert result.exit_code == 2
    assert "--consent-of NAME --purpose KIND --keep-until DATE" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sessions == []


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--purpose", "workplace"], "--purpose: not recorded for watching people at work"),
        (["--purpose", "education: exams"], "Article 5(1)(f)"),
        (["--purpose", "art: monitoring of staff"], "monitoring and staff"),
        (["--keep-until", "2020-01-01"], "--keep-until: until when is it kept? 2020-01-01 has"),
        (ALL, "are about a recording"),
        (["--numbers-only"], "name the folder with --record"),
        (["--numbers-only", "--blur-faces", "--record", "x"], "keeps no picture"),
    ],
)
def test_what_is_refused_is_one_line(sessions, args, part):
    result = invoke("live", "--display", "none", *args)
    assert result.exit_code == 2
    assert part in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sessions == []


def test_numbers_only_reaches_the_recorder(sessions, tmp_path):
    result = invoke("live", "--record", tmp_path / "anna", *ALL, "--numbers-only", "--seconds", "1")
    assert result.exit_code == 0, result.output
    assert sessions[0].record[1].numbers_only


def test_in_the_terminal_it_is_asked(monkeypatch, capsys):
    left = at_the_terminal(
        monkeypatch, "", "Anna", "workplace", "research: a study", "tomorrow", "", "Yes"
    )
    consent = ask("terminal", DisplayOptions(), Answers())
    assert left == []
    assert (consent.person, consent.purpose_line) == ("Anna", "research: a study")
    assert consent.asked == "terminal"
    said = capsys.readouterr().out
    assert "Article 5(1)(f)" in said
    assert "neither a date" in said
    assert "workplace    " not in said  # it is not offered


def test_only_what_is_missing_is_asked(monkeypatch):
    left = at_the_terminal(monkeypatch, "art", "y")
    consent = ask("lines", DisplayOptions(), Answers(person="Anna", until="7 days"))
    assert left == []
    assert (consent.person, consent.purpose) == ("Anna", "art")


@pytest.mark.parametrize("replies", [("Anna", "art", "", "n"), ("Anna", "art", "", ""), ("Anna",)])
def test_who_does_not_agree_is_not_recorded(monkeypatch, replies):
    at_the_terminal(monkeypatch, *replies)
    assert ask("terminal", DisplayOptions(), Answers()) is None


@pytest.mark.parametrize(
    ("kind", "options"),
    [("json", DisplayOptions(as_json=True)), ("window", DisplayOptions(screenshot="seen.png"))],
)
def test_where_nobody_can_answer_it_is_refused(monkeypatch, kind, options):
    at_the_terminal(monkeypatch)
    with pytest.raises(ConfigError, match="nobody is here to ask"):
        ask(kind, options, Answers())


def test_the_window_asks_again_with_the_last_answers(tmp_path):
    options = RecordOptions()
    recording = WindowRecording(FakeSession(None), tmp_path / "a", options, load_labels(), "me")
    question = recording.question()
    assert question.answers() == ("", "", "")
    consent = Answers("Anna", "art: a film", "2099-01-31").consent()
    question.give(consent)
    assert question.answers() == ("Anna", "art: a film", "2099-01-31")
    assert recording.consent is consent


def test_the_window_asks_nothing_that_the_command_line_said(tmp_path, monkeypatch):
    session, kept = FakeSession(None), []
    session.given.extend(session.estimates())
    monkeypatch.setattr(session, "start_recording", lambda folder, options: kept.append(options))
    answers = Answers("Anna", "art", "7 days")
    args = (session, tmp_path, RecordOptions(), load_labels(), "me", answers)
    with WindowRecording(*args) as recording:
        assert recording.question() is None
        recording.record(True)
    assert kept[0].consent.person == "Anna"
