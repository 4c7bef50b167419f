"""Makes a session whole again that was cut off: killed process, empty battery, full disk.

What can be read without repair stays as it was; repair adds what is missing: an index for the media
file, a database in one file whose rows agree with the media, and a manifest. It touches nothing
outside the session's folder, and a second repair finds nothing to do.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.recording.consents import recorded_consent
from realtime_er.recording.database import finish_database
from realtime_er.recording.manifest import (
    ANNOTATIONS,
    DATABASE,
    MANIFEST,
    MEDIA,
    Manifest,
    read_manifest,
    software,
    write_manifest,
)
from realtime_er.recording.remux import Packets, Unreadable, remux
from realtime_er.recording.salvage import (
    agree_with_media,
    last_time_s,
    mend_database,
    put_aside,
    recording_start_s,
)
from realtime_er.recording.verify import Verification, verify

CUT_OFF = "the recording was cut off"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did.

    ``done`` has one line for each thing; empty when nothing had to be done.
    """

    folder: str
    done: tuple[str, ...]
    verification: Verification

    def line(self) -> str:
        """One line for people."""
        found = self.verification
        held = (
            f"{found.n_frames:,} frames, {found.n_samples:,} samples, "
            f"{found.n_estimates:,} estimates, {found.line}"
        )
        return f"{self.folder}: {self._what()}: {held}"

    def _what(self) -> str:
        if self.done:
            return "repaired"
        return "nothing to repair" if self.verification.ok else "nothing more can be repaired"


def repair(folder: Path) -> RepairReport:
    """Repair a session. Idempotent.

    Raises:
        RecordingError: it is no session, in use, another program's, or has symbolic links for files;
            it is then as it was.
        NewerFormat: this program is too old for it.
    """
    _check_folder(folder)
    done: list[str] = []
    manifest = _old_manifest(folder, done)
    if manifest is not None and manifest.complete and not done:
        verification = verify(folder, manifest)
        if verification.ok or _tried_before(manifest, verification):
            return RepairReport(str(folder), (), verification)
        done += [f"found: {problem}" for problem in verification.problems]
    connection = mend_database(folder / DATABASE, done)
    try:
        manifest = _mend(folder, manifest, connection, done)
        finish_database(connection)
        write_manifest(folder, manifest)
        verification = verify(folder, manifest)
        write_manifest(folder, replace(manifest, verified=verification.to_record()))
    except sqlite3.Error as error:
        raise RecordingError(f"{folder / DATABASE}: cannot be repaired: {error}") from error
    except OSError as error:
        raise RecordingError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        connection.close()
    return RepairReport(str(folder), tuple(done), verification)


def _tried_before(manifest: Manifest, found: Verification) -> bool:
    """Whether a repair has left just this: pictures that are damaged cannot be made anew."""
    left = (manifest.verified or {}).get("problems")
    return bool(manifest.repaired) and left == list(found.problems)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder")
    names = (MANIFEST, DATABASE, MEDIA)
    for name in names:
        path = folder / name
        if path.is_symlink():
            raise RecordingError(f"{path}: is a symbolic link; nothing outside is touched")
    if not any((folder / name).is_file() for name in names):
        raise RecordingError(f"{folder}: is no session: none of {', '.join(names)} is there")


def _old_manifest(folder: Path, done: list[str]) -> Manifest | None:
    try:
        manifest = read_manifest(folder, check_names=False)
    except NewerFormat:
        raise
    except RecordingError as error:
        line = f"the manifest was made anew ({error})"
        if (folder / MANIFEST).is_file():
            line += f"; the old one is kept as {put_aside(folder / MANIFEST).name}"
        done.append(line)
        return None
    named = (manifest.media or MEDIA, manifest.database, manifest.annotations)
    if named != (MEDIA, DATABASE, ANNOTATIONS):
        done.append(
            f"the manifest named other files ({', '.join(named)}): their names were put right"
        )
        media = None if manifest.media is None else MEDIA
        manifest = replace(manifest, media=media, database=DATABASE, annotations=ANNOTATIONS)
    return manifest


def _mend(
    folder: Path, old: Manifest | None, connection: sqlite3.Connection, done: list[str]
) -> Manifest:
    manifest = old
    if manifest is None:
        start_s = recording_start_s(connection)
        consent = recorded_consent(connection)
        manifest = Manifest(
            started_at="",
            start_s=start_s,
            software=software(),
            failure=CUT_OFF,
            consent=None if consent is None else consent.to_record(),
        )
    media = folder / MEDIA
    name: str | None = MEDIA
    if not media.is_file():
        name = None
        if old is None or old.media is not None:
            done.append("there is no media file: numbers only")
    else:
        packets = _mend_media(media, done)
        if packets is None:
            name = None
        else:
            agree_with_media(connection, packets, manifest.start_s, done)
    if not manifest.complete and not manifest.failure:
        manifest = replace(manifest, failure=CUT_OFF)
        done.append("the manifest was completed")
    return replace(
        manifest,
        media=name,
        end_s=last_time_s(connection, manifest.start_s),
        ledger=_ledger(connection),
        complete=True,
        repaired=(*manifest.repaired, *done),
        verified=None,
    )


def _mend_media(media: Path, done: list[str]) -> Packets | None:
    try:
        packets = remux(media)
    except Unreadable as error:
        done.append(f"the media file is lost, and kept as it is ({error})")
        return None
    done.append(
        f"the media file was written anew: {len(packets.video):,} pictures, "
        f"{len(packets.audio):,} blocks of sound"
    )
    return packets


def _ledger(connection: sqlite3.Connection) -> dict[str, int]:
    queries = {
        "frames_written": "SELECT count(*) FROM frames",
        "samples_written": "SELECT total(n_samples) FROM sound WHERE first_sample IS NOT NULL",
        "filler_samples": "SELECT total(n_samples) FROM sound WHERE first_sample IS NULL",
        "estimates": "SELECT count(*) FROM estimates",
    }
    return {name: int(connection.execute(query).fetchone()[0]) for name, query in queries.items()}
