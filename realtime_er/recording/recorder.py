"""Writes a running session into a folder, without ever making it wait.

    any thread ── offer ──> evidence, sound, pictures (bounded) ──> thread "record": run
                                                                      ├─ Store        session.sqlite
                                                                      ├─ MediaWriter  media.mkv
                                                                      └─ Manifest     manifest.json

Pictures may be dropped when the disk or the processor does not keep up: they are counted and their
times noted as a gap. Sound and everything that estimates depend on are never dropped: when too much
of it waits, the recording ends with a named failure, and the session goes on.
"""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realtime_er.clock import Clock, SessionClock
from realtime_er.errors import RecordingError
from realtime_er.messages import (
    AudioBlock,
    Estimate,
    Event,
    FaceReport,
    Gap,
    Health,
    RecordingStatus,
    VideoFrame,
)
from realtime_er.recording.blur import FaceBlur
from realtime_er.recording.consents import consent_event
from realtime_er.recording.folder import WRITE_ERRORS, SessionFolder
from realtime_er.recording.intake import Evidence, Intake
from realtime_er.recording.media_writer import MediaSink, create_media_file
from realtime_er.recording.numbers import numbers_of
from realtime_er.recording.options import RecordHeader, RecordingReport, RecordOptions
from realtime_er.recording.space import SpaceWatch
from realtime_er.recording.verify import Verification, verify

_WAKE_S = 0.1
_COMMIT_S = 0.3
_HEALTH_S = 1.0
# Sound that comes after all, later than this, is put after the silence that was written for it.
_SILENT_S = 3.0
_FILL_BEHIND_S = 1.5
_TRAILING_S = 0.25


def free_bytes(folder: Path) -> int:
    """Space that is left where ``folder`` is."""
    return shutil.disk_usage(folder).free


class Recorder:
    """One recording.

    ``open`` on the thread that starts it; ``run`` is the body of the thread "record"; ``offer``,
    ``finish`` and ``status`` from any thread.

    Args:
        folder: The session's folder: new, or empty.
        header: What is known of the session.
        options: What to write.
        clock: The session's.
        health: How the session is doing; asked once a second, on the recorder's thread.
        devices: What became of the devices ("granted", how often lost); asked at the end, there too.
        realtime: Time passes by itself: ``offer`` never waits, and silence is written while no
            sound comes. False for a file run as fast as possible: ``offer`` waits for room.
        free: Space left, for tests.
        make_sink: Makes the media file, for tests.
    """

    def __init__(
        self,
        folder: Path,
        header: RecordHeader,
        options: RecordOptions | None = None,
        *,
        clock: Clock,
        health: Callable[[], Health] | None = None,
        devices: Callable[[], dict[str, dict[str, Any]]] | None = None,
        realtime: bool = True,
        free: Callable[[Path], int] = free_bytes,
        make_sink: Callable[[Path], MediaSink] = create_media_file,
    ) -> None:
        self._folder = folder
        self._header = header
        self._options = options or RecordOptions()
        self._clock = clock
        self._health = health
        self._devices = devices
        self._realtime = realtime
        self._make_sink = make_sink
        self._intake = Intake(header.start_s, media=self._options.keeps_media, wait=not realtime)
        self._space = SpaceWatch(folder, free)
        self._timer = SessionClock()  # the session's clock may be a file's
        self._blur = FaceBlur() if self._options.blur_faces else None
        self._finished = threading.Event()
        self._skip_verify = threading.Event()
        self._wake = threading.Event()
        self._files: SessionFolder | None = None
        self._verification: Verification | None = None
        self._failure = ""
        self._stage = "waiting"
        self._end_s = header.start_s
        self._committed_at_s = self._health_at_s = 0.0
        self._fits = True
        self._unwritten_frames = self._unwritten_samples = 0
        self._accounting: dict[str, Any] | None = None

    # --- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the folder and its files. All or nothing.

        Raises:
            RecordingError: the folder holds something already, cannot be written, or the disk is
                nearly full.
        """
        self._space.require_room()
        self._files = SessionFolder(self._folder, self._header, self._options, self._make_sink)
        if self._options.consent is not None:
            # In the manifest as well; but that one can be lost, and exports have all events.
            self._intake.offer(consent_event(self._options.consent, self._header.start_s))
        self._stage = "recording"

    def offer(self, message: Evidence | AudioBlock | VideoFrame) -> None:
        """Record a message. Any thread; those of the fusion thread in their order."""
        if self._intake.offer(message):
            self._wake.set()

    def finish(self, accounting: dict[str, Any] | None = None) -> None:
        """Ask for the end: what was offered so far is written, what comes is ignored. Any thread.

        Args:
            accounting: Where the session's frames and samples went, for the manifest.
        """
        if accounting is not None:
            self._accounting = accounting
        self._intake.close()
        self._finished.set()
        self._wake.set()

    def skip_verification(self) -> None:
        """Do not wait for the recording to be read back. Any thread."""
        self._skip_verify.set()

    @property
    def stage(self) -> str:
        """One of "waiting", "recording", "finishing", "verifying", "done". Any thread."""
        return self._stage

    def status(self) -> RecordingStatus:
        """How it is going. Any thread."""
        return RecordingStatus(
            folder=str(self._folder),
            started_s=self._header.start_s,
            n_bytes=self._space.n_bytes,
            left_s=self._space.left_s,
            failure=self._failure or self._intake.failure,
        )

    def report(self) -> RecordingReport:
        """What was recorded; after ``run`` has returned."""
        return RecordingReport(
            folder=str(self._folder),
            duration_s=max(0.0, self._end_s - self._header.start_s),
            ledger=self._ledger(),
            failure=self._failure,
            verification=self._verification,
        )

    # --- the recorder's thread ----------------------------------------------------------------

    def run(self) -> None:
        """Write until ``finish`` or a failure; then close, verify and say so in the manifest.

        Raises:
            RecordingError: ``open`` was not called.
        """
        files = self._files
        if files is None:
            raise RecordingError(f"{self._folder}: the recording was never opened")
        try:
            self._record(files)
        except WRITE_ERRORS as error:
            self._fail(error)
        except Exception as error:  # a bug: it is raised, but what was recorded is closed well
            self._fail(error)
            raise
        finally:
            self._intake.close()  # nobody waits for room any more
            self._end(files)

    def _end(self, files: SessionFolder) -> None:
        self._stage = "finishing"
        if self._failure:
            self._take_evidence(files)  # the database may be on its feet yet
            files.store.add(Event(self._end_s, "recording failed", self._failure))
        errors = files.close()
        for what in errors:
            self._fail(what)
        try:
            self._finish_manifest(files, complete=not errors)
        except OSError as error:
            self._fail(error)
        self._stage = "done"

    def _record(self, files: SessionFolder) -> None:
        while True:
            # Read before taking: what was offered before the end was asked for is then taken.
            finished = self._finished.is_set()
            self._work(files)
            if finished:
                break
            self._wake.wait(_WAKE_S)
            self._wake.clear()
        self._write_ready(files, math.inf)
        self._fill(files, self._end_s, _TRAILING_S, 0.0)
        self._note_drops(files, last=True)

    def _work(self, files: SessionFolder) -> None:
        while True:
            self._take_evidence(files)
            frame = self._intake.pop_frame()
            # In order of time, also when much of both waits: players read them side by side.
            self._take_sound(files, math.inf if frame is None else frame.time_s)
            if frame is not None:
                self._take_frame(files, frame)
            self._note_drops(files, last=False)
            self._keep_house(files, idle=frame is None)
            if frame is None:
                return

    def _take_evidence(self, files: SessionFolder) -> None:
        for message in self._intake.take_evidence():
            if isinstance(message, Estimate):
                self._end_s = max(self._end_s, message.time_s)
            elif isinstance(message, FaceReport) and self._blur is not None:
                self._blur.add_report(message)
            kept = numbers_of(message) if self._options.numbers_only else message
            if kept is None:
                files.store.n_left_out += 1
            else:
                files.store.add(kept)

    def _take_sound(self, files: SessionFolder, until_s: float) -> None:
        blocks = self._intake.take_sound(until_s)
        if files.media is None or not self._header.sound:
            return
        # Until it is written it counts as lost.
        self._unwritten_samples += sum(len(block.samples) for block in blocks)
        for block in blocks:
            for row in files.media.write_sound(block):
                files.store.add_sound(*row.values())
            self._unwritten_samples -= len(block.samples)
            self._end_s = max(self._end_s, block.end_s)

    def _take_frame(self, files: SessionFolder, frame: VideoFrame) -> None:
        if files.media is None or not self._header.video:
            return
        self._unwritten_frames += 1
        self._end_s = max(self._end_s, frame.time_s)
        if self._blur is None:
            self._write_frame(files, frame)
        else:
            self._blur.add_frame(frame)
            self._write_ready(files, self._clock.now_s() if self._realtime else -math.inf)

    def _write_ready(self, files: SessionFolder, now_s: float) -> None:
        if self._blur is not None:
            for frame in self._blur.ready(now_s):
                self._write_frame(files, frame)

    def _write_frame(self, files: SessionFolder, frame: VideoFrame) -> None:
        media = files.media
        if media is None:
            return
        fits = media.fits(frame.image)
        if not fits and self._fits:
            height, width = frame.image.shape[:2]
            detail = f"pictures of {width}x{height} are fitted into the size of the first"
            files.store.add(Event(frame.time_s, "recording rescaled", detail))
        self._fits = fits
        pts_ms = media.write_frame(frame.image, frame.time_s)
        files.store.add_frame(frame.index, frame.time_s, pts_ms)
        self._unwritten_frames -= 1

    def _fill(self, files: SessionFolder, now_s: float, after_s: float, behind_s: float) -> None:
        """Write silence when no sound has come for ``after_s``, up to ``behind_s`` before now."""
        media = files.media
        if media is None or not self._header.sound or now_s - media.sound_end_s <= after_s:
            return
        for row in media.fill(now_s - behind_s):
            files.store.add_sound(*row.values())

    def _note_drops(self, files: SessionFolder, *, last: bool) -> None:
        for start_s, end_s, count in self._intake.take_drops(last=last):
            reason = f"{count} pictures not recorded: the recorder did not keep up"
            files.store.add(Gap("recording", start_s, end_s, reason))

    def _keep_house(self, files: SessionFolder, *, idle: bool) -> None:
        """What is done by the clock: commit, health, silence, space."""
        now_s = self._timer.now_s()
        if self._realtime:
            session_s = self._clock.now_s()
            self._write_ready(files, session_s)
            if idle:  # else the sound is here, and waits for its turn
                self._fill(files, session_s, _SILENT_S, _FILL_BEHIND_S)
        if self._health is not None and now_s - self._health_at_s >= _HEALTH_S:
            self._health_at_s = now_s
            files.store.add_health(self._clock.now_s(), self._health())
        if now_s - self._committed_at_s >= _COMMIT_S:
            self._committed_at_s = now_s
            files.store.commit()
        failure = self._intake.failure or self._space.look(now_s)
        if failure and not self._failure:
            # There is still room and a disk: what waits is written, as at any other end.
            self._failure = failure
            self._intake.close()
            self._finished.set()
            self._wake.set()

    def _fail(self, error: BaseException) -> None:
        """Writing failed; what waits cannot be written."""
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self._failure = (
            self._failure or f"{self._folder}: the recording ended, it cannot be written: {text}"
        )
        self._intake.close()

    def _finish_manifest(self, files: SessionFolder, *, complete: bool) -> None:
        # Before the verification, which may take a while.
        devices = self._header.devices if self._devices is None else self._devices()
        manifest = files.update_manifest(
            devices=devices,
            end_s=self._end_s,
            ledger=self._ledger(),
            accounting=self._accounting,
            complete=complete,
            failure=self._failure,
        )
        if self._options.verify and complete:
            self._stage = "verifying"
            self._verification = verify(self._folder, manifest, self._skip_verify)
            files.update_manifest(verified=self._verification.to_record())

    def _ledger(self) -> dict[str, int]:
        counts = self._intake.counts()
        media = self._files.media if self._files else None
        store = self._files.store if self._files else None
        ledger = {
            "frames_offered": counts.frames,
            "frames_written": media.n_frames if media else 0,
            "frames_dropped": counts.frames_dropped,
            "frames_unwritten": self._unwritten_frames + counts.frames_waiting,
            "samples_offered": counts.samples,
            "samples_written": media.n_samples if media else 0,
            "samples_unwritten": self._unwritten_samples + counts.samples_waiting,
            "filler_samples": media.n_filler_samples if media else 0,
            "samples_rounded": media.n_rounded if media else 0,
            "messages_offered": counts.messages,
            "messages_written": store.n_committed if store else 0,
            "messages_unwritten": counts.messages_waiting
            + (store.n_messages - store.n_committed if store else 0),
            "messages_left_out": store.n_left_out if store else 0,
            "estimates": store.n_committed_estimates if store else 0,
        }
        if self._blur is not None:
            ledger["frames_blurred_whole"] = self._blur.n_whole
        return ledger
