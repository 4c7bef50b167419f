"""Addresses as they may be shown, logged and recorded: without what may be secret."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://).*@", re.DOTALL)
_BARE_USER = re.compile(r"^[^\s/:@]+:[^\s@]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_IN_PATH = re.compile(r"((?:pass(?:word|wd)?|pwd|token)=)[^/]*", re.IGNORECASE)


def without_secrets(source: str) -> str:
    """What a camera was asked for by, without user, password and query.

    Rather too much is cut than too little: a password may hold any character, and many cameras take
    theirs in the query or, recorders above all, in the path. What is no address comes back as it is.

    Args:
        source: An address, possibly malformed; a device's index, path or name.
    """
    if "://" not in source:
        return _BARE_USER.sub("", source)
    # The user first: a password may hold what looks like the beginning of a query.
    return _IN_PATH.sub(r"\1...", _QUERY.sub("?...", _USER.sub("", source)))
