"""``manifest.json``: what a session folder holds and how it came about.

It is written when the recording begins (``complete`` false), and again when it ends, each time into a
new file that then takes the old one's name: at any moment there is one whole manifest.

A manifest is not trusted: the files that it names must lie in its own folder.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from realtime_er.consent import Consent
from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.messages import LABELS

MANIFEST = "manifest.json"
MEDIA = "media.mkv"
DATABASE = "session.sqlite"
ANNOTATIONS = "annotations"

FORMAT = "realtime-er session"
VERSION = 1

_MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in ``manifest.json``.

    Attributes:
        started_at: Wall-clock time at ``start_s``, ISO 8601, UTC. Empty when nobody knows any more.
        start_s: Session time at which the recording began; time stamp zero of the media.
        end_s: Session time at which it ended; None while it runs, or when it was cut off.
        software: Package -> version, and the platform.
        config: The whole configuration, as nested plain values.
        models: Kind ("face", "speech", "text", "fusion", "asr") -> {"id", "sha256"}.
        devices: Stream ("camera", "microphone") -> what was requested, what was granted, and how often
            it was lost until the recording ended.
        labels: The names of the scores, in the order of the columns.
        options: How it was recorded: lossless, media, blur_faces, numbers_only, codecs, size.
        media, database, annotations: Names of the files in the folder; media None without pictures
            and sound.
        ledger: Counts of what was offered, written and lost: offered is written + dropped + unwritten
            (+ left out: messages on which nothing depends, such as how far a track has come).
        accounting: Where the session's own edges say their frames and samples went.
        complete: Whether the recording ended by itself and everything was written.
        failure: Why it ended before its time, in one line.
        repaired: What a repair did, one line each.
        verified: What reading it back found: {"ok", "line", "problems", ...}; None before that.
        origin: Where a recomputed session came from; None for a recorded one.
        consent: Of the person who was recorded, as ``Consent.to_record`` writes it; None when
            nobody was asked. Sessions from before there was consent have none.
    """

    started_at: str
    start_s: float
    end_s: float | None = None
    software: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    models: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: tuple[str, ...] = LABELS
    options: dict[str, Any] = field(default_factory=dict)
    media: str | None = MEDIA
    database: str = DATABASE
    annotations: str = ANNOTATIONS
    ledger: dict[str, int] = field(default_factory=dict)
    accounting: dict[str, Any] | None = None
    complete: bool = False
    failure: str = ""
    repaired: tuple[str, ...] = ()
    verified: dict[str, Any] | None = None
    origin: dict[str, Any] | None = None
    consent: dict[str, str] | None = None

    def media_path(self, folder: Path) -> Path | None:
        """Where the media file is, None when there is none.

        Raises:
            RecordingError: the manifest points out of the folder.
        """
        return None if self.media is None else inside(folder, self.media)

    def database_path(self, folder: Path) -> Path:
        """Where the database is.

        Raises:
            RecordingError: the manifest points out of the folder.
        """
        return inside(folder, self.database)

    def given_consent(self) -> Consent | None:
        """The consent of the person who was recorded, None when none was recorded.

        Raises:
            RecordingError: it is damaged.
        """
        if self.consent is None:
            return None
        try:
            return Consent.from_record(self.consent)
        except ValueError as error:
            raise RecordingError(f"{MANIFEST}: the consent is damaged ({error})") from error

    def annotations_path(self, folder: Path) -> Path:
        """Where the raters' databases are.

        Raises:
            RecordingError: the manifest points out of the folder.
        """
        return inside(folder, self.annotations)


def inside(folder: Path, name: str) -> Path:
    """``folder / name``, when that is really inside the folder.

    Raises:
        RecordingError: the name is absolute, goes up, or leads through a symbolic link.
    """
    wrong = f"{folder / MANIFEST}: names {name!r}, which "
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if not name or "\x00" in name or posix.is_absolute() or windows.anchor:
        raise RecordingError(wrong + "is not a file name inside the session's folder")
    if ".." in posix.parts or ".." in windows.parts or "\\" in name:
        raise RecordingError(wrong + "leads out of the session's folder")
    path = folder
    for part in posix.parts:
        path = path / part
        if path.is_symlink():
            raise RecordingError(wrong + "is a symbolic link; a session keeps its files inside")
    return path


def software() -> dict[str, str]:
    """Versions of what makes a recording what it is."""
    versions = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }
    names = (
        "realtime_er",
        "numpy",
        "onnxruntime",
        "av",
        "opencv-python-headless",
        "faster-whisper",
    )
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # another package provides it, or it is not needed
    return versions


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into the folder; whoever reads sees the old one or the new one.

    Raises:
        OSError: it cannot be written.
        TypeError: a value has no place in JSON.
    """
    record = _finite({"format": FORMAT, "version": VERSION, **asdict(manifest)})
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    # Made anew: a link that somebody left under this name must not be written through.
    temporary = folder / f"{MANIFEST}.new"
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON has no infinity and no NaN: null (a camera that does not know its rate says NaN)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    item = getattr(value, "item", None)  # a NumPy scalar
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} has no place in a manifest")


def read_manifest(folder: Path, *, check_names: bool = True) -> Manifest:
    """Read a session's manifest and check it.

    Args:
        folder: The session.
        check_names: Refuse names of files that lead out of the folder. Without that they must not be
            followed.

    Raises:
        RecordingError: there is none, it is damaged, or names files outside the folder.
        NewerFormat: this program is too old for it.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder")
    if path.is_symlink():
        raise RecordingError(f"{path}: is a symbolic link; a session keeps its files in its folder")
    hint = f"try: realtime-er repair {folder}"
    if not path.is_file():
        has_database = (folder / DATABASE).exists()
        raise RecordingError(
            f"{folder}: has no {MANIFEST}; {hint}" if has_database else f"{folder}: is no session"
        )
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RecordingError(f"{path}: is too large for a manifest")
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path}: is damaged; {hint}") from error
    manifest = _from_record(record, path, hint)
    for name in (manifest.media, manifest.database, manifest.annotations):
        if check_names and name is not None:
            inside(folder, name)
    return manifest


def _from_record(record: object, path: Path, hint: str) -> Manifest:
    if not isinstance(record, Mapping) or record.get("format") != FORMAT:
        raise RecordingError(f"{path}: is not the manifest of a session")
    version = record.get("version")
    if not isinstance(version, int) or version < 1:
        raise RecordingError(f"{path}: has no version; {hint}")
    if version > VERSION:
        raise NewerFormat(
            f"{path}: was written by a newer version of this program (manifest {version}; this one "
            f"reads up to {VERSION}); update realtime-er"
        )
    values: dict[str, Any] = {}
    for item in fields(Manifest):
        if item.name not in record:
            continue
        value = record[item.name]
        if not _fits(str(item.type), value):
            raise RecordingError(f"{path}: {item.name} is not what it should be; {hint}")
        values[item.name] = tuple(value) if isinstance(value, list) else value
    try:
        return Manifest(**values)
    except TypeError as error:
        raise RecordingError(f"{path}: lacks when it started; {hint}") from error


def _fits(declared: str, value: object) -> bool:
    if value is None:
        return "None" in declared
    if isinstance(value, bool) or declared == "bool":
        return isinstance(value, bool) and declared == "bool"
    if declared.startswith("tuple"):
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    if declared.startswith("dict"):
        return _fits_mapping(declared, value)
    if "float" in declared:
        return isinstance(value, int | float)
    return isinstance(value, str)


def _fits_mapping(declared: str, value: object) -> bool:
    if not isinstance(value, dict):
        return False
    kinds: dict[str, type | tuple[type, ...]] = {
        "dict[str, str]": str,
        "dict[str, int]": int,
        "dict[str, dict[str, str]]": dict,
        "dict[str, dict[str, Any]]": dict,
    }
    kind = kinds.get(declared.removesuffix(" | None"))
    return kind is None or all(isinstance(part, kind) for part in value.values())
