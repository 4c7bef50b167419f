"""Who agreed to be recorded, for what, and until when; and the purposes that are refused.

A declaration, not a lock: it holds honest people to what they said, and it lets ``realtime-er purge``
find what is past its date. The wording about the law is not legal advice and has to be checked by a
lawyer (AI Act: Regulation (EU) 2024/1689, Article 5(1)(f) and Article 50(3)).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from realtime_er.errors import ConfigError

Asked = Literal["window", "terminal", "options", "program"]

PURPOSES = {
    "self": "I record myself",
    "research": "research with volunteers",
    "art": "art, film, theatre",
    "demo": "showing what the program does",
    "development": "building or testing such programs",
    "health": "medical or safety reasons",
    "workplace": "watching people at work",
    "education": "watching people who learn or teach",
}
"""Name -> what people choose it by. The last two can be chosen, and are refused."""

REFUSED = ("workplace", "education")

USUAL_DAYS = 90
"""What is offered when somebody is asked until when to keep a recording."""

LAW = (
    "in the EU, inferring emotions at work and in education is prohibited (AI Act, Article 5(1)(f);"
    " the exception is medical or safety reasons)"
)

_MAX_CHARS = 200
_MAX_DAYS = 36_525


@dataclass(frozen=True, slots=True)
class Consent:
    """That the person who is recorded knows it and agrees.

    Made by ``make_consent``, which checks it.

    Attributes:
        person: A name, or a code that leads to a form on paper.
        purpose: One of ``PURPOSES`` that is not ``REFUSED``.
        about: The purpose in their own words; may be "".
        until: The last day on which the recording is kept.
        given_at: Wall-clock time, ISO 8601, UTC.
        asked: Where the question was answered.
    """

    person: str
    purpose: str
    about: str
    until: date
    given_at: str
    asked: str

    @property
    def purpose_line(self) -> str:
        """The purpose as ``--purpose`` takes it."""
        return f"{self.purpose}: {self.about}" if self.about else self.purpose

    def line(self) -> str:
        """One line for people."""
        return f"consent of {self.person} for {self.purpose_line}, until {self.until.isoformat()}"

    def past(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.until

    def to_record(self) -> dict[str, str]:
        """Plain values, for files."""
        return {**asdict(self), "until": self.until.isoformat()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Consent:
        """From what ``to_record`` made; what it says is not judged again.

        Raises:
            ValueError: a value is missing, or is not what it should be.
        """
        names = ("person", "purpose", "about", "given_at", "asked")
        texts = {name: record.get(name) for name in names}
        until = record.get("until")
        if not all(isinstance(text, str) for text in (*texts.values(), until)):
            raise ValueError("a consent lacks who, what for, until when, or when it was given")
        return cls(
            until=date.fromisoformat(str(until)),
            **{name: _one_line(str(text)) for name, text in texts.items()},
        )


NO_CONSENT = "no consent recorded"


def make_consent(
    person: str, purpose: str, until: str, asked: Asked, *, today: date | None = None
) -> Consent:
    """Check what was answered.

    Args:
        person: Who is recorded.
        purpose: A name of ``PURPOSES``, or "research: gestures while speaking".
        until: A date such as 2027-01-31, or a number of days such as "90 days".
        asked: Where.
        today: The local date; asked of the clock when None.

    Raises:
        ConfigError: something is missing or not understood, or the purpose is refused.
    """
    who = _one_line(person)
    if not who:
        raise ConfigError("who is recorded? give a name, or a code such as P07")
    if len(who) > _MAX_CHARS:
        raise ConfigError(f"who is recorded: at most {_MAX_CHARS} characters")
    kind, about = check_purpose(purpose)
    return Consent(
        person=who,
        purpose=kind,
        about=about,
        until=parse_until(until, today or datetime.now().astimezone().date()),
        given_at=datetime.now(UTC).isoformat(timespec="seconds"),
        asked=asked,
    )


def check_purpose(purpose: str) -> tuple[str, str]:
    """The name of a purpose and what else was said about it.

    Raises:
        ConfigError: there is no such purpose, or it is refused; the message says why.
    """
    name, _, rest = purpose.partition(":")
    kind, about = name.strip().casefold(), _one_line(rest)
    if kind not in PURPOSES:
        said = f"{name.strip()!r} is none" if name.strip() else "none was given"
        allowed = ", ".join(name for name in PURPOSES if name not in REFUSED)
        raise ConfigError(
            f"what is it recorded for? {said}: choose one of {allowed}, and say more after a colon"
        )
    if kind in REFUSED:
        raise ConfigError(f"not recorded for {PURPOSES[kind]}: {LAW}")
    if len(about) > _MAX_CHARS:
        raise ConfigError(f"what it is recorded for: at most {_MAX_CHARS} characters")
    found = monitoring(about)
    if found and kind != "health":
        raise ConfigError(
            f"not recorded for what reads as monitoring people at work or in education"
            f" ({' and '.join(found)}): {LAW}; if it is something else, say it in other words"
        )
    return kind, about


def parse_until(text: str, today: date) -> date:
    """A date, or a number of days from today on.

    Raises:
        ConfigError: it is neither, or it has passed.
    """
    days = re.fullmatch(r"(\d{1,5})\s*(d|days?)?", text.strip(), re.IGNORECASE)
    if days and int(days[1]) <= _MAX_DAYS:
        return today + timedelta(days=int(days[1]))
    try:
        until = date.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"until when is it kept? {text.strip()!r} is neither a date such as"
            f" {(today + timedelta(days=USUAL_DAYS)).isoformat()} nor a number of days"
        ) from None
    if until < today:
        raise ConfigError(f"until when is it kept? {until.isoformat()} has passed")
    return until


def _one_line(text: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())


# --- what reads as monitoring -----------------------------------------------------------------
#
# Both a word for watching and a word for who is watched, in English, German, French, Spanish and
# Italian, without accents. "A study with teachers" is no monitoring, nor is "monitoring my sleep".
# "Control" is left out where it is a control group.

_WATCHING = re.compile(
    r"\b(monitor\w*|surveil\w*|invigilat\w*|proctor\w*|spy(?:ing)? on|keep(?:ing)? an eye on"
    r"|check(?:ing)? up on|productivity|performance reviews?"
    r"|uberwach\w*|kontrollier\w*|kontrollen?\b|beaufsichtig\w*|bespitzel\w*|leistungskontroll\w*"
    r"|leistungsbeurteil\w*|espionn\w*|controler\b|controle (?:des?|du|de la)\b"
    r"|vigila\w*|controlar\b|sorvegli\w*|controllare\b|controllo (?:dei|degli|delle|del|sui)\b)"
)
_WATCHED = re.compile(
    r"\b(employee\w*|staff\b|worker\w*|workforce|workplace\w*|personnel|colleague\w*|co-?workers?"
    r"|call cent(?:re|er)\w*|job (?:interview|applica)\w*|applicants?"
    r"|mitarbeit\w*|beschaftigt\w*|angestellt\w*|arbeitnehm\w*|arbeitsplat\w*|belegschaft\w*"
    r"|kolleg(?:en|innen)\b|bewerb(?:er|ung)\w*"
    r"|employes?\b|employees?\b|salarie\w*|travailleur\w*|lieux? de travail|collegues?\b"
    r"|emplead\w*|trabajador\w*|lugar(?:es)? de trabajo|dipendent\w*|lavorator\w*|posto di lavoro"
    r"|pupils?\b|students?\b|school\w*|classroom\w*|lectures?\b|exams?\b|examinations?\b|teachers?\b"
    r"|schuler\w*|schul(?:e|en|klasse)\b|studierende\w*|studenten\b|unterricht\w*|klassenzimmer\w*"
    r"|prufung\w*|lehrer\w*|lehrkraft\w*|eleves?\b|etudiant\w*|ecoles?\b|salles? de classe"
    r"|enseignant\w*|examens?\b|alumn[oa]s?\b|estudiantes?\b|escuelas?\b|profesor\w*"
    r"|alunn[ioae]\b|studenti\b|scuol[ae]\b|insegnanti?\b)"
)


def monitoring(text: str) -> tuple[str, str] | None:
    """The words that say that people are watched, and that they are at work or in education."""
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)
    )
    watching, watched = _WATCHING.search(plain), _WATCHED.search(plain)
    return (watching[0], watched[0]) if watching and watched else None
