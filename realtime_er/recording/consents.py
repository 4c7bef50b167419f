"""The consent as an event of the session: it survives a lost manifest, and every export has it."""

from __future__ import annotations

import json
import sqlite3

from realtime_er.consent import Consent
from realtime_er.messages import Event

CONSENT = "consent"
"""Kind of the event."""


def consent_event(consent: Consent, time_s: float) -> Event:
    """The event at the recording's start; its detail is the consent as JSON."""
    return Event(time_s, CONSENT, json.dumps(consent.to_record(), ensure_ascii=False))


def recorded_consent(connection: sqlite3.Connection) -> Consent | None:
    """The consent that the database has, None when it has none that can be read.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    query = "SELECT detail FROM events WHERE kind = ? ORDER BY seq LIMIT 1"
    for (detail,) in connection.execute(query, (CONSENT,)):
        try:
            record = json.loads(detail)
            return Consent.from_record(record) if isinstance(record, dict) else None
        except (ValueError, TypeError, RecursionError):
            return None  # damaged, or another program's
    return None
