"""Which key marks what: labels, keys and tiers from a TOML file, checked before anybody presses one.

``config/annotations.toml`` is the default and documents the format.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from realtime_er.errors import ConfigError
from realtime_er.keys import is_reserved
from realtime_er.palette import COLOURS
from realtime_er.resources import resource_dir

LabelKind = Literal["point", "toggle", "hold"]

NOTE_TIER = "notes"
"""Tier of free-text notes, beside those of the file."""

NOTE_LABEL = "note"

_LONGEST = 100
_MAX_REACTION_S = 5.0
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_KEY = re.compile(r"\S|f([1-9]|1[0-2])")
_FILE_KEYS = ("reaction_s", "tiers", "labels")
_TIER_KEYS = ("exclusive",)
_LABEL_KEYS = ("tier", "name", "key", "kind", "colour")
# Not str.isprintable: it refuses the joiners that emoji and right-to-left names are made with.
_CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class Label:
    """What one key marks. ``key`` is a single lower-case character or "f1" ... "f12"."""

    tier: str
    name: str
    key: str
    kind: LabelKind
    colour: str


@dataclass(frozen=True, slots=True)
class LabelSet:
    """All labels of a file.

    Attributes:
        labels: In the order of the file; keys are unique, and names within a tier.
        exclusive: Tiers in which at most one interval is open.
        reaction_s: Subtracted from the time that was shown when a key went down.
    """

    labels: tuple[Label, ...]
    exclusive: frozenset[str] = frozenset()
    reaction_s: float = 0.0

    def keys(self) -> tuple[tuple[str, str], ...]:
        """Key and what it marks, in the order of the file."""
        return tuple((label.key, f"{label.name} ({label.tier})") for label in self.labels)

    def by_key(self) -> dict[str, Label]:
        """Key -> label."""
        return {label.key: label for label in self.labels}

    def colour(self, tier: str, name: str) -> str:
        """Colour of a label, also of one that another file defined."""
        for label in self.labels:
            if (label.tier, label.name) == (tier, name):
                return label.colour
        return default_colour(name)


def default_colour(name: str) -> str:
    """An emotion's colour; any other name gets one of them, always the same."""
    if name in COLOURS:
        return COLOURS[name]
    # Not hash(): that differs from run to run.
    return list(COLOURS.values())[sum(name.encode()) % len(COLOURS)]


def load_labels(path: Path | None = None) -> LabelSet:
    """Read and check labels and keys.

    Args:
        path: A TOML file; None takes the one that ships with the package.

    Raises:
        ConfigError: it cannot be read, or a key in it is unknown, missing, doubled or reserved.
    """
    path = resource_dir("config") / "annotations.toml" if path is None else path
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    _check_keys(data, _FILE_KEYS, str(path))
    reaction_s = data.get("reaction_s", 0.0)
    if isinstance(reaction_s, bool) or not isinstance(reaction_s, int | float):
        raise ConfigError(f"{path}: reaction_s must be a number of seconds, not {reaction_s!r}")
    if not 0.0 <= reaction_s <= _MAX_REACTION_S:
        raise ConfigError(f"{path}: reaction_s must be 0 to {_MAX_REACTION_S:g}, not {reaction_s}")
    entries = data.get("labels", [])
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: no labels; write at least one [[labels]] with tier, name, key")
    labels: list[Label] = []
    for number, entry in enumerate(entries, 1):
        label = _label(entry, f"{path}: label {number}")
        _check_unique(label, labels, f"{path}: label {number}")
        labels.append(label)
    exclusive = _exclusive(data.get("tiers", {}), {label.tier for label in labels}, str(path))
    return LabelSet(tuple(labels), exclusive, float(reaction_s))


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in known:
            raise ConfigError(f"{where}: unknown key {name!r}; known: {', '.join(known)}")


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: {name} must be a text, not {value!r}")
    control = any(unicodedata.category(letter) in _CONTROL_CATEGORIES for letter in value)
    if len(value) > _LONGEST or control:
        raise ConfigError(
            f"{where}: {name} must be at most {_LONGEST} printable characters, not {value[:40]!r}"
        )
    return value.strip()


def _label(entry: object, where: str) -> Label:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: must be a [[labels]] table")
    _check_keys(entry, _LABEL_KEYS, where)
    tier, name = _text(entry, "tier", where), _text(entry, "name", where)
    where = f"{where} ({name!r})"
    if "[" in tier or "]" in tier:
        raise ConfigError(
            f"{where}: tier {tier!r}: brackets number the tiers in ELAN; leave them out"
        )
    if tier == NOTE_TIER:
        raise ConfigError(f"{where}: the tier {NOTE_TIER!r} is kept for notes; choose another name")
    key = _text(entry, "key", where).lower()
    if is_reserved(key):
        raise ConfigError(f"{where}: key {key!r} belongs to the window; choose another one")
    if not _KEY.fullmatch(key):
        raise ConfigError(f"{where}: key must be one character or f1 to f12, not {key!r}")
    kind = _text(entry, "kind", where)
    if kind not in get_args(LabelKind):
        known = ", ".join(get_args(LabelKind))
        raise ConfigError(f"{where}: kind must be one of {known}, not {kind!r}")
    colour = entry.get("colour", default_colour(name))
    if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
        raise ConfigError(f'{where}: colour must look like "#56B4E9", not {colour!r}')
    return Label(tier, name, key, cast("LabelKind", kind), colour)


def _check_unique(label: Label, others: list[Label], where: str) -> None:
    for other in others:
        if other.key == label.key:
            raise ConfigError(
                f"{where} ({label.name!r}): key {label.key!r} already marks {other.name!r}"
            )
        if (other.tier, other.name) == (label.tier, label.name):
            raise ConfigError(f"{where}: {label.name!r} is in the tier {label.tier!r} already")


def _exclusive(tiers: object, used: set[str], where: str) -> frozenset[str]:
    if not isinstance(tiers, dict):
        raise ConfigError(f"{where}: tiers must be tables like [tiers.rater]")
    exclusive = set()
    for name, options in tiers.items():
        if name not in used:
            known = ", ".join(sorted(used))
            raise ConfigError(f"{where}: no label is in the tier {name!r}; tiers in use: {known}")
        if not isinstance(options, dict):
            raise ConfigError(f"{where}: write the tier as [tiers.{name}]")
        _check_keys(options, _TIER_KEYS, f"{where}: tier {name!r}")
        value = options.get("exclusive", False)
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: tier {name!r}: exclusive must be true or false")
        if value:
            exclusive.add(name)
    return frozenset(exclusive)
