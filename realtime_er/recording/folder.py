"""The files of a session that is being recorded: made together, closed together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av.error

from realtime_er.errors import RecordingError
from realtime_er.recording.database import create_database, finish_database
from realtime_er.recording.manifest import (
    ANNOTATIONS,
    DATABASE,
    MANIFEST,
    MEDIA,
    Manifest,
    software,
    write_manifest,
)
from realtime_er.recording.media_writer import MediaSink, MediaWriter
from realtime_er.recording.options import RecordHeader, RecordOptions
from realtime_er.recording.store import Store

WRITE_ERRORS = (OSError, sqlite3.Error, av.error.FFmpegError)
"""What writing may raise: disk full, permissions, a disk that is gone."""


class SessionFolder:
    """Store, media writer and manifest of one recording.

    Made on the thread that opens the recording, then owned by the recorder's.

    Args:
        folder: New, or empty.
        header: What is known of the session.
        options: What to write.
        make_sink: Makes the media file.

    Attributes:
        store: Writes the database.
        media: Writes the media file; None without pictures and sound.

    Raises:
        RecordingError: the folder holds something already, or cannot be written; it is then as it
            was.
    """

    def __init__(
        self,
        folder: Path,
        header: RecordHeader,
        options: RecordOptions,
        make_sink: Callable[[Path], MediaSink],
    ) -> None:
        self.path = folder
        self.media: MediaWriter | None = None
        self._connection: sqlite3.Connection | None = None
        self._made: list[Path] = []
        try:
            self._make_folder()
            self._connection = create_database(folder / DATABASE)
            self._made.append(folder / DATABASE)
            self.store = Store(self._connection)
            if options.keeps_media and (header.video or header.sound):
                sink = make_sink(folder / MEDIA)
                self._made.append(folder / MEDIA)
                self.media = MediaWriter(
                    sink,
                    start_s=header.start_s,
                    video=header.video,
                    sound=header.sound,
                    lossless=options.lossless,
                    size_px=header.size_px,
                )
            (folder / ANNOTATIONS).mkdir()
            self._made.append(folder / ANNOTATIONS)
            self.manifest = self._first_manifest(header, options)
            write_manifest(folder, self.manifest)
        except RecordingError:
            self._undo()
            raise
        except OSError as error:
            self._undo()
            raise RecordingError(f"{folder}: cannot be written: {error.strerror}") from error

    def _make_folder(self) -> None:
        folder = self.path
        if folder.is_dir():
            if any(folder.iterdir()):
                raise RecordingError(
                    f"{folder}: is not empty; nothing is overwritten, so name another folder"
                )
            return
        folder.mkdir(parents=True)
        self._made.append(folder)

    def _undo(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self.media is not None:
            self.media.abandon()
        for name in (f"{MANIFEST}.new", MANIFEST, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            if self._made:
                (self.path / name).unlink(missing_ok=True)
        for path in reversed(self._made):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)

    def _first_manifest(self, header: RecordHeader, options: RecordOptions) -> Manifest:
        record: dict[str, Any] = {
            "lossless": options.lossless,
            "media": options.keeps_media,
            "blur_faces": options.blur_faces,
            "numbers_only": options.numbers_only,
        }
        if self.media is not None:
            record |= self.media.codecs
        return Manifest(
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            start_s=header.start_s,
            software=software(),
            config=header.config,
            models=header.models,
            devices=header.devices,
            options=record,
            media=MEDIA if self.media is not None else None,
            origin=header.origin,
            consent=None if options.consent is None else options.consent.to_record(),
        )

    def close(self) -> list[BaseException]:
        """Close everything that can be closed; returns what went wrong."""
        errors: list[BaseException] = []
        steps: list[Callable[[], None]] = [self.store.commit]
        if self.media is not None:
            steps.insert(0, self.media.close)
        connection = self._connection
        if connection is not None:
            steps.append(lambda: finish_database(connection))
        for step in steps:
            try:
                step()
            except WRITE_ERRORS as error:
                errors.append(error)
        return errors

    def update_manifest(self, **changes: Any) -> Manifest:  # noqa: ANN401 - the fields' types
        """Write the manifest again with some fields changed.

        Raises:
            OSError: it cannot be written.
        """
        options = dict(self.manifest.options)
        if self.media is not None and self.media.size_px is not None:
            options["width_px"], options["height_px"] = self.media.size_px
        self.manifest = replace(self.manifest, options=options, **changes)
        write_manifest(self.path, self.manifest)
        return self.manifest
