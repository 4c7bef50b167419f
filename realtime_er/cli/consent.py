"""Whether the person who is recorded agrees: from options, or asked where somebody can answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import typer

from realtime_er.cli.display import DisplayOptions, Kind
from realtime_er.cli.first_start import answers_in_terminal
from realtime_er.consent import (
    PURPOSES,
    REFUSED,
    USUAL_DAYS,
    Consent,
    check_purpose,
    make_consent,
    parse_until,
)
from realtime_er.errors import ConfigError

_OPTIONS = "--consent-of NAME --purpose KIND --keep-until DATE"


@dataclass(frozen=True, slots=True)
class Answers:
    """What the command line says of the person who is recorded; None where it says nothing."""

    person: str | None = None
    purpose: str | None = None
    until: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask."""
        return None not in (self.person, self.purpose, self.until)

    def texts(self) -> tuple[str, str, str]:
        """Who, what for, until when; "" where nothing is said."""
        return self.person or "", self.purpose or "", self.until or ""

    def check(self) -> None:
        """Refuse early what would be refused later.

        Raises:
            ConfigError: the purpose is unknown or refused, or the date has passed.
        """
        if self.purpose is not None:
            _named("--purpose", lambda: check_purpose(self.purpose or ""))
        if self.until is not None:
            today = datetime.now().astimezone().date()
            _named("--keep-until", lambda: parse_until(self.until or "", today))

    def refuse_unused(self) -> None:
        """Where nothing can be recorded, there is nothing to agree to.

        Raises:
            ConfigError: something was answered all the same.
        """
        if any(self.texts()):
            raise ConfigError(
                f"{_OPTIONS} are about a recording; name its folder with --record DIR"
            )

    def consent(self) -> Consent:
        """What they come to.

        Raises:
            ConfigError: something is missing or refused.
        """
        return make_consent(*self.texts(), "options")


def _named(option: str, check: Callable[[], object]) -> None:
    try:
        check()
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from None


def ask(kind: Kind, shown: DisplayOptions, answers: Answers) -> Consent | None:
    """The consent of the person who is going to be recorded; None when they do not agree.

    Args:
        kind: Where the session will be shown.
        shown: How.
        answers: What need not be asked.

    Raises:
        ConfigError: nobody is there to ask.
    """
    if answers.complete:
        return answers.consent()
    if kind == "window" and shown.screenshot is None:
        from realtime_er.sinks.display.app import ask_consent

        return ask_consent(shown.theme, answers.texts())
    if not answers_in_terminal(kind):
        raise ConfigError(
            "--record needs the consent of the person who is recorded, and nobody is here to ask:"
            f" give {_OPTIONS}"
        )
    try:
        return _ask_in_terminal(answers)
    except EOFError:
        return None


def _ask_in_terminal(answers: Answers) -> Consent | None:
    today = datetime.now().astimezone().date()
    typer.echo("Everybody who is recorded has to know it and to agree.")
    person = answers.person or _until_given("Who is recorded (a name, or a code such as P07)? ")
    purpose = answers.purpose
    if purpose is None:
        for name, meaning in PURPOSES.items():
            if name not in REFUSED:
                typer.echo(f"  {name:<12} {meaning}")
        purpose = _repeat("What for (more after a colon)? ", check_purpose)
    until = answers.until or _repeat(
        f"Keep it until when (a date, or a number of days) [{USUAL_DAYS} days]? ",
        lambda text: parse_until(text, today),
        usual=f"{USUAL_DAYS} days",
    )
    agreed = input("Do they know that they are recorded, and agree (y/n)? ")
    if agreed.strip().lower() not in ("y", "yes"):
        return None
    return make_consent(person, purpose, until, "terminal", today=today)


def _until_given(question: str) -> str:
    text = ""
    while not text:
        text = input(question).strip()
    return text


def _repeat(question: str, check: Callable[[str], object], usual: str = "") -> str:
    """Ask until the answer is understood."""
    while True:
        text = input(question).strip() or usual
        try:
            check(text)
        except ConfigError as error:
            typer.echo(f"  {error}")
        else:
            return text
