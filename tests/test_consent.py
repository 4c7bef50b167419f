"""Consent: what has to be said, how long it holds, and which purposes are refused."""

from datetime import date

import pytest

from realtime_er.consent import PURPOSES, REFUSED, Consent, check_purpose, make_consent, monitoring
from realtime_er.errors import ConfigError

TODAY = date(2026, 11, 21)


def ask(person="P07", purpose="research: gestures", until="2027-01-31"):
    return make_consent(person, purpose, until, "terminal", today=TODAY)


def test_what_was_answered_comes_back_from_a_file():
    consent = ask("  Anna \n Berg ", "Research:  gestures while\tspeaking ")
    assert consent.person == "Anna Berg"
    assert consent.purpose_line == "research: gestures while speaking"
    assert (
        consent.line()
        == "consent of Anna Berg for research: gestures while speaking, until 2027-01-31"
    )
    assert Consent.from_record(consent.to_record()) == consent


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2026-11-21", date(2026, 11, 21)),
        (" 2027-01-31 ", date(2027, 1, 31)),
        ("90 days", date(2027, 2, 19)),
        ("1 day", date(2026, 11, 22)),
        ("7d", date(2026, 11, 28)),
        ("30", date(2026, 12, 21)),
    ],
)
def test_until_is_a_date_or_days(text, until):
    consent = ask(until=text)
    assert consent.until == until
    assert not consent.past(until)
    assert consent.past(date.fromordinal(until.toordinal() + 1))


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        ({"person": "  "}, "who is recorded"),
        ({"person": "x" * 201}, "at most 200"),
        ({"purpose": ""}, "none was given"),
        ({"purpose": "fun"}, "'fun' is none"),
        ({"purpose": "art: " + "x" * 201}, "at most 200"),
        ({"until": "soon"}, "neither a date"),
        ({"until": ""}, "neither a date"),
        ({"until": "99999 days"}, "neither a date"),
        ({"until": "2026-11-20"}, "has passed"),
    ],
)
def test_what_is_missing_is_said_in_one_line(answers, part):
    with pytest.raises(ConfigError, match=part) as caught:
        ask(**answers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", REFUSED)
def test_work_and_education_are_refused_with_the_reason(kind):
    with pytest.raises(ConfigError, match=r"Article 5\(1\)\(f\)") as caught:
        ask(purpose=kind)
    assert PURPOSES[kind] in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "monitoring of employees",
        "Monitor staff in the call centre",
        "keeping an eye on pupils",
        "proctoring exams",
        "Überwachung der Mitarbeiterinnen",
        "Prüfungen beaufsichtigen, Studierende",
        "Leistungskontrolle der Beschäftigten",
        "surveillance des employés",
        "contrôler l'attention des élèves",
        "vigilar a los empleados",
        "sorvegliare gli alunni",
    ],
)
def test_monitoring_in_other_words_is_refused(text):
    with pytest.raises(ConfigError, match="reads as monitoring"):
        check_purpose(f"research: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "a study with teachers who volunteered",
        "controlled study with student volunteers",
        "control group: students of acting",
        "Kontrollgruppe aus Studierenden",
        "monitoring my own sleep",
        "a film about an employee",
        "for example while I examine my work",
        "",
    ],
)
def test_other_purposes_pass(text):
    assert monitoring(text) is None
    assert check_purpose(f"research: {text}") == ("research", text)


def test_medical_and_safety_reasons_are_the_exception():
    assert check_purpose("health: monitoring fatigue of workers")[0] == "health"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {**ask().to_record(), "until": "whenever"},
        {**ask().to_record(), "person": 7},
        {k: v for k, v in ask().to_record().items() if k != "purpose"},
    ],
)
def test_a_damaged_record_is_an_error(record):
    with pytest.raises(ValueError, match=r".+"):
        Consent.from_record(record)
