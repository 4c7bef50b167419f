"""Recorded sessions computed again: from their evidence, to check them, or from their media.

From the evidence (embeddings, words, events) the very same estimates come out. From the media
everything is done again, with the same or with other settings, into a new session beside the old one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

from realtime_er.bundles import KIND_OF
from realtime_er.config import Config
from realtime_er.errors import RecordingError, SpecMismatch
from realtime_er.fusion.head import FusionHead
from realtime_er.messages import Estimate
from realtime_er.models import Models
from realtime_er.recording.database import finish_database, open_database
from realtime_er.recording.manifest import Manifest, read_manifest, write_manifest
from realtime_er.recording.media_source import RecordedMedia
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.rebuild import (
    Comparison,
    Pair,
    compare,
    compare_recordings,
    encoders_used,
    rebuild,
    recorded_config,
)
from realtime_er.recording.verify import Verification, verify
from realtime_er.session import Session

_BATCH_ROWS = 10_000
_MEDIA_TABLES = ("frames", "sound")
_BLURRED = (
    "the recorded picture has its faces blurred: what it read from the face comes out otherwise"
)
_MEDIA_OPTIONS = ("lossless", "media", "blur_faces", "video", "sound", "width_px", "height_px")


def check(
    folder: Path,
    config: Config | None = None,
    *,
    progress: Callable[[Estimate], None] | None = None,
) -> Comparison:
    """Compute the estimates again from the recorded evidence and compare them.

    Args:
        folder: The session; nothing in it is changed.
        config: Other settings; None for those of the recording, with which all must be equal.
        progress: Gets every estimate as it is made again.

    Raises:
        RecordingError: it is none, damaged, or holds numbers only.
        ModelError: the models that it was recorded with are not here.
        ConfigError: a setting that recorded evidence cannot follow.
    """
    with RecordedSession.open(folder) as session:
        if session.manifest.options.get("numbers_only"):
            raise RecordingError(
                f"{folder}: holds numbers only, not the evidence that they came from; there is"
                " nothing to compute again"
            )
        config = config or recorded_config(session.manifest)
        head = _head(config, session)
        pairs = rebuild(session.connection, config, head)
        return compare(pairs if progress is None else _telling(pairs, progress))


def _telling(pairs: Iterator[Pair], progress: Callable[[Estimate], None]) -> Iterator[Pair]:
    for pair in pairs:
        progress(pair[1])
        yield pair


def _head(config: Config, session: RecordedSession) -> FusionHead:
    """The fusion head of a configuration, if it reads what was recorded."""
    models = Models(config)
    encoders = encoders_used(session.connection)
    # Late fusion has to know of an encoder that was in use and had nothing to say, too.
    in_use = {name for name, kind in KIND_OF.items() if kind in session.manifest.models}
    models.load_head(in_use | encoders.keys())
    head = models.head
    for modality, used in encoders.items():
        if head.encoder_ids.get(modality) != used:
            raise SpecMismatch(
                f"{session.path}: its {modality} embeddings come from {used}; head {head.head_id} "
                f"reads {head.encoder_ids.get(modality)} (--recompute runs the media again)"
            )
    recorded = session.manifest.models.get("fusion", {}).get("sha256")
    present = models.describe().get("fusion", {}).get("sha256")
    if recorded and present and recorded != present:
        raise SpecMismatch(
            f"{session.path}: was recorded with fusion head "
            f"{session.manifest.models['fusion'].get('id')} ({recorded[:12]}); the one here is "
            f"{head.head_id} ({present[:12]}), so its estimates would be others"
        )
    return head


# --- from the media ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A session that was computed again from the media of another.

    Attributes:
        folder: The new session.
        comparison: Its estimates against those of the old one.
        verification: What reading it back found.
        notices: What was missing, in one line each.
    """

    folder: Path
    comparison: Comparison
    verification: Verification
    notices: tuple[str, ...]


def recompute(
    folder: Path,
    out: Path | None = None,
    config: Config | None = None,
    *,
    models: Models | None = None,
    progress: Callable[[Estimate], None] | None = None,
) -> Recomputed:
    """Run the recorded media through the pipeline again, into a new session.

    The new session has the very same media (a hard link where the disk allows it) and says in its
    manifest where it comes from.

    Args:
        folder: The recorded session; it stays as it is.
        out: The new one's folder, new or empty; None: beside the old one, "NAME-recomputed".
        config: Settings; None for those of the recording.
        models: Loaded already.
        progress: Gets every estimate as it is made. What it raises ends the run.

    Raises:
        RecordingError: it is no session, it is damaged, or the new one cannot be written.
        SourceError: it has no media, or they cannot be read.
        ModelError, ConfigError: as for any session.
    """
    source = RecordedMedia(folder)
    old = read_manifest(folder)
    config = config or recorded_config(old)
    out = out or free_folder(folder)
    options = RecordOptions(media=False, verify=False, consent=old.given_consent())
    with Session(config, source=source, models=models, record=(out, options)) as session:
        for estimate in session.estimates():
            if progress is not None:
                progress(estimate)
    for report in session.recordings():
        if report.failure:
            raise RecordingError(f"{out}: {report.failure}")
    try:
        _adopt_media(folder, old, out)
        manifest = _manifest(folder, old, out)
        write_manifest(out, manifest)
        verification = verify(out, manifest)
        write_manifest(out, replace(manifest, verified=verification.to_record()))
    except (OSError, sqlite3.Error) as error:
        raise RecordingError(f"{out}: the recorded media cannot be taken over: {error}") from error
    with (
        closing(open_database(old.database_path(folder))) as before,
        closing(open_database(manifest.database_path(out))) as after,
    ):
        comparison = compare_recordings(before, after)
    blurred = (_BLURRED,) if old.options.get("blur_faces") else ()
    return Recomputed(out, comparison, verification, (*session.notices, *blurred))


def free_folder(folder: Path) -> Path:
    """A name for a new session beside this one."""
    name = f"{folder.resolve().name}-recomputed"
    beside = folder.resolve().parent
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(path for path in map(beside.joinpath, names) if not path.exists())


def _adopt_media(folder: Path, old: Manifest, out: Path) -> None:
    """Give the new session the old one's media and their times."""
    media = old.media_path(folder)
    if media is None:
        return
    target = out / media.name
    try:
        os.link(media, target)
    except OSError:  # another disk, or one that has no hard links
        shutil.copy2(media, target)
    with (
        closing(open_database(old.database_path(folder))) as source,
        closing(open_database(read_manifest(out).database_path(out), writable=True)) as connection,
    ):
        connection.execute("BEGIN")
        for table in _MEDIA_TABLES:
            rows = source.execute(f"SELECT * FROM {table} ORDER BY 1")
            marks = ", ".join("?" * len(rows.description))
            while batch := list(islice(rows, _BATCH_ROWS)):
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", batch)
        connection.execute("COMMIT")
        finish_database(connection)


def _manifest(folder: Path, old: Manifest, out: Path) -> Manifest:
    new = read_manifest(out)
    # The last estimate may come before the end of the media, which are part of it now.
    ends = [end_s for end_s in (old.end_s, new.end_s) if end_s is not None]
    with closing(open_database(new.database_path(out))) as connection:
        query = (
            "SELECT (SELECT count(*) FROM frames), total(n_samples * (first_sample IS NOT NULL)), "
            "total(n_samples * (first_sample IS NULL)) FROM sound"
        )
        frames, samples, filler = (int(n) for n in connection.execute(query).fetchone())
    ledger = {
        "frames_written": frames,
        "samples_written": samples,
        "filler_samples": filler,
    }
    options = {name: old.options[name] for name in _MEDIA_OPTIONS if name in old.options}
    return replace(
        new,
        started_at=old.started_at,
        end_s=max(ends, default=None),
        media=old.media,
        options={**new.options, **options},
        ledger={**new.ledger, **ledger},
        origin={
            "session": folder.resolve().name,
            "recomputed_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "from": "media",
        },
    )
