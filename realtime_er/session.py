"""The composition root: builds everything in flow order, owns every thread, closes in reverse.

    source ─> microphone ─┬─> speech ─> asr ─┐
              (producer)  └─> audio ─────────┤
              camera ────────> face ─────────┴─> fuse ─> estimates()

What is connected to what stands in ``graph.py``. Only this module, and ``recordings.py`` for it, starts
or joins a thread.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from realtime_er.accounting import Accounting
from realtime_er.clock import Clock, SessionClock, VirtualClock
from realtime_er.config import Config
from realtime_er.decision import attribute
from realtime_er.errors import (
    ClosedError,
    ConfigError,
    SessionError,
    SourceError,
    WorkerFault,
)
from realtime_er.graph import Graph
from realtime_er.heap import Heap
from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Estimate,
    Event,
    FloatArray,
    Gap,
    Hypothesis,
    Snapshot,
)
from realtime_er.models import Models
from realtime_er.recording.options import RecordHeader, RecordingReport, RecordOptions
from realtime_er.recordings import Recordings
from realtime_er.runtime import EdgeCounts, MailboxClosed
from realtime_er.sources.base import Source, Stream, Switchable
from realtime_er.view import Summary, View

if TYPE_CHECKING:
    from realtime_er.recording.reader import RecordedSession

_JOIN_S = 10.0
_DRAIN_S = 20.0
_STUCK_S = 0.3


class _State(enum.Enum):
    UNOPENED = "not opened yet"
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """A running recogniser.

    Use as a context manager; ``estimates()`` yields until the source ends or ``stop()`` is called.
    Opening is all-or-nothing, closing is idempotent.

    Args:
        config: What ``load_config`` returned.
        source: Where sound and pictures come from; the webcam and microphone by default.
        models: Loaded models, to share between sessions that run one after another.
        record: A folder and what to write there, from the first moment on.
    """

    def __init__(
        self,
        config: Config,
        *,
        source: Source | None = None,
        models: Models | None = None,
        record: tuple[Path, RecordOptions] | None = None,
    ) -> None:
        if source is None:
            from realtime_er.sources.live import LiveDevices

            source = LiveDevices()
        self.config = config
        self._source = source
        self._models = models
        self._state = _State.UNOPENED
        self._stop = threading.Event()
        self._streams: list[Stream] = []
        self._clock: Clock = VirtualClock()
        self._graph: Graph | None = None
        self._sources_ended = False  # reader's thread only
        self._silent_since: SessionClock | None = None  # reader's thread only
        self._heap = Heap()  # reader's thread only
        self._record_at_open = record
        self._recordings = Recordings()
        self.notices: tuple[str, ...] = ()
        self._view = View()

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Session:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @staticmethod
    def open(path: str | Path) -> RecordedSession:
        """Open a recorded session, to read it: pandas frames of everything in it. Any thread.

        Raises:
            RecordingError: it is no recorded session, or it is damaged; the message says what helps.
        """
        from realtime_er.recording.reader import RecordedSession

        return RecordedSession.open(Path(path))

    def start(self) -> None:
        """Load the models, open the devices, start the threads. All or nothing.

        Raises:
            ClosedError: it has been opened before.
            SourceError, ModelError, ConfigError: something is missing; nothing is left open.
        """
        if self._state is not _State.UNOPENED:
            raise ClosedError(f"the session is {self._state.value}; make a new Session")
        cv2.setNumThreads(1)  # frames are small: OpenCV's thread pool costs more than it saves
        # Our own errors say what is wrong with a camera, in one line.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._heap.settle()
        try:
            graph = self._build()
        except BaseException:
            self._state = _State.CLOSED
            self._close_streams()
            raise
        self._state = _State.OPEN
        try:
            if self._record_at_open is not None:
                self.start_recording(*self._record_at_open)
            for worker in graph.workers:
                worker.start()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Ask for the end; ``estimates()`` then ends once everything is drained. Any thread."""
        self._stop.set()
        if self._graph is not None:
            self._graph.stop()

    def close(self) -> None:
        """Stop and join everything, sources first. Idempotent.

        A recording is finished and read back first, which may take a while; interrupting that
        (Ctrl-C) leaves it unverified but whole.

        Raises:
            SessionError: a thread did not end in time.
        """
        graph = self._graph
        if self._state is not _State.OPEN or graph is None:
            self._state = _State.CLOSED
            return
        self._state = _State.CLOSED
        try:
            self.stop()
            # Nobody reads estimates any more: what still comes is counted as dropped, and the
            # fusion thread is not left waiting for a reader.
            graph.estimates.discard()
            self._end_sources(graph)
            # Once more: a second Ctrl-C may have cut the first time short.
            self._close_streams()
            hung = [worker.name for worker in graph.workers if not worker.join(_JOIN_S)]
        finally:  # also when a Ctrl-C cut the joining short: a recorder waits for its end
            self._recordings.finish(graph.accounting().to_record())
        if hung:
            raise SessionError(f"thread {', '.join(hung)} did not end within {_JOIN_S:.0f} s")

    def _end_sources(self, graph: Graph) -> None:
        """After ``stop``: let producers end by themselves, then release those stuck in a read."""
        if not self._sources_ended:
            self._sources_ended = True
            for producer in graph.workers[: len(self._streams)]:
                producer.join(_STUCK_S)
            self._close_streams()

    def _close_streams(self) -> None:
        for stream in self._streams:
            stream.close()

    def _build(self) -> Graph:
        config, realtime = self.config, self._source.realtime
        if not (config.camera.enabled or config.microphone.enabled):
            raise ConfigError("camera and microphone are both off; there is nothing to read")
        self._models = models = self._models or Models(config)
        models.load(
            video=config.camera.enabled,
            audio=config.microphone.enabled,
            text=config.microphone.enabled and config.asr.enabled,
        )
        self.notices = models.notices
        self._clock = SessionClock() if realtime else VirtualClock()
        streams = list(self._source.streams(config, self._clock))
        for stream in streams:
            self._streams.append(stream)  # before open(): a failed open is closed as well
            stream.open()
        graph = Graph(config, models, self._clock, self._view, self._stop, realtime=realtime)
        graph.build(streams)
        self._graph = graph
        return graph

    def _opened(self) -> Graph:
        if self._graph is None:
            raise ClosedError(f"the session is {self._state.value}; use it inside 'with Session'")
        return self._graph

    # --- reading --------------------------------------------------------------------------------

    def estimates(self) -> Iterator[Estimate]:
        """Yield estimates in order, waiting for the next; ends with the source or ``stop()``.

        Raises:
            ClosedError: the session is not open.
            WorkerFault: a worker died; its exception is the cause.
            SessionError: a worker hangs and the session does not end after ``stop()``.
        """
        self._check_open()
        while True:
            try:
                # The timeout lets a signal handler run while nothing comes.
                estimate = self._next(0.1)
            except MailboxClosed:
                return
            if estimate is not None:
                yield estimate

    def poll(self) -> list[Estimate] | None:
        """The estimates that wait, without waiting for more; None once all have been read.

        For those who have a loop of their own, such as a window. Like ``estimates()`` for one
        thread only.

        Raises:
            ClosedError: the session is not open.
            WorkerFault: a worker died; its exception is the cause.
        """
        self._check_open()
        waiting: list[Estimate] = []
        try:
            while (estimate := self._next(0.0)) is not None:
                waiting.append(estimate)
        except MailboxClosed:
            return waiting or None
        return waiting

    def _check_open(self) -> None:
        if self._state is not _State.OPEN:
            raise ClosedError(f"the session is {self._state.value}; use it inside 'with Session'")

    def _next(self, timeout_s: float) -> Estimate | None:
        graph = self._opened()
        if self._stop.is_set():
            self._end_sources(graph)
        try:
            estimate = graph.estimates.get(timeout_s)
            self._check_progress(estimate)
            if estimate is not None:
                self._heap.look(estimate.time_s)
            return estimate
        except MailboxClosed:
            if graph.fault is not None:
                name, error = graph.fault
                raise WorkerFault(f"the {name} thread failed: {error}") from error
            raise

    def _check_progress(self, estimate: Estimate | None) -> None:
        """After ``stop``: a model or driver that hangs must not keep the reader waiting for good.

        Raises:
            SessionError: nothing has come for a long time.
        """
        if estimate is not None or not self._stop.is_set():
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = SessionClock()
        elif self._silent_since.now_s() > _DRAIN_S:
            graph = self._opened()
            alive = ", ".join(worker.name for worker in graph.workers if worker.alive)
            raise SessionError(f"the session did not end within {_DRAIN_S:.0f} s; hanging: {alive}")

    # --- controls -------------------------------------------------------------------------------

    def select_target(self, track_id: int) -> None:
        """Follow this face from the next encoded frame on. Any thread."""
        graph = self._opened()
        if graph.perception is not None:
            graph.perception.select(track_id)
            graph.note(Event(self._clock.now_s(), "target selected", str(track_id)))

    def set_muted(self, muted: bool) -> None:
        """Mute or unmute the microphone: what it hears is neither read nor kept. Any thread."""
        self._opened().set_muted(muted)

    def change_device(self, stream: str, wanted: str) -> None:
        """Change to another camera or microphone while the session runs. Any thread.

        Args:
            stream: "camera" or "microphone".
            wanted: Index, part of the name, or address, as in the configuration.

        Raises:
            SourceError: there is no such device, or this source cannot change it; nothing changed.
        """
        for candidate in self._streams:
            if candidate.name == stream and isinstance(candidate, Switchable):
                candidate.use(wanted)
                return
        raise SourceError(f"the {stream} of this session cannot be changed while it runs")

    def devices(self) -> dict[str, dict[str, Any]]:
        """What each stream asked for and was granted, by the stream's name. Any thread."""
        return {stream.name: stream.info() for stream in self._streams}

    # --- recording ------------------------------------------------------------------------------

    def start_recording(self, folder: Path, options: RecordOptions | None = None) -> None:
        """Record into a new folder from now on. Any thread.

        Raises:
            ClosedError: the session is not open, or has ended.
            RecordingError: it is being recorded already, or the folder cannot be used.
        """
        from realtime_er.recording.recorder import Recorder  # most sessions are never recorded

        self._check_open()
        with self._recordings.lock:
            self._recordings.refuse_second(folder)
            header = self._header()
            recorder = Recorder(
                folder,
                header,
                options,
                clock=self._clock,
                health=lambda: self.snapshot().health,
                devices=self.devices,
                realtime=self._source.realtime,
            )
            self._recordings.start(recorder, self._opened(), header.start_s)

    def _header(self) -> RecordHeader:
        kinds = {stream.kind for stream in self._streams}
        return RecordHeader(
            start_s=self._clock.now_s(),
            video="video" in kinds,
            sound="audio" in kinds,
            size_px=(self.config.camera.width_px, self.config.camera.height_px),
            config=self.config.to_dict(),
            models=self._models.describe() if self._models is not None else {},
            devices=self.devices(),
        )

    def stop_recording(self) -> None:
        """End the recording; it drains and is read back on its own thread. Any thread."""
        recorder = self._recordings.running()
        if recorder is not None:
            self._opened().detach(recorder.finish)

    def recordings(self) -> tuple[RecordingReport, ...]:
        """What became of each recording that has ended, in order. Any thread."""
        return self._recordings.reports()

    # --- accounts -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What a display shows, read at once. Any thread; never delays the pipeline."""
        graph = self._graph
        frames, samples = (graph.dropped("frames"), graph.dropped("samples")) if graph else (0, 0)
        return self._view.snapshot(
            self._clock.now_s(),
            self.notices,
            frames,
            samples,
            muted=graph.muted if graph else False,
            recording=self._recordings.status(),
        )

    def edges(self) -> tuple[EdgeCounts, ...]:
        """Counters of every edge. Any thread."""
        return self._opened().edges()

    def accounting(self) -> Accounting:
        """Where every frame and sample went; exact once the session has ended. Any thread."""
        return self._opened().accounting()

    @property
    def finals(self) -> tuple[Hypothesis, ...]:
        """Final hypotheses with text so far, in order. Any thread."""
        return self._view.finals()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Known spans without data so far. Any thread."""
        return self._view.gaps()

    def text(self) -> str:
        """Everything that was said so far, finals only."""
        return self._view.text()

    def summary(self) -> Summary:
        """The session so far in numbers. Any thread."""
        return self._view.summary()

    def whole(self) -> dict[str, Any]:
        """One score for the whole recording, with its final text; call after the last estimate.

        The statistics run over every face of the person seen most and every spoken step, as MER
        scores a file. Values are None where there was nothing to read.
        """
        graph = self._opened()
        if self._models is None:
            raise ClosedError("the session was never opened")
        transcript = self.text()
        vector = self._models.encode_text(transcript)
        result = attribute(self._models.head, graph.whole.fusion_input(vector), 1.0)
        record: dict[str, Any] = {"label": None, "confidence": None}
        if result is None:
            record |= dict.fromkeys(LABELS)
            contributions: dict[str, FloatArray] = {}
        else:
            scores, contributions = result
            record["label"] = LABELS[int(np.argmax(scores))]
            record["confidence"] = float(scores.max())
            record |= {name: float(score) for name, score in zip(LABELS, scores, strict=True)}
        for modality in MODALITIES:
            contribution = contributions.get(modality)
            leading = LABELS.index(record["label"]) if record["label"] else 0
            record[f"contribution_{modality}"] = (
                float(contribution[leading]) if contribution is not None else None
            )
        return record | {"transcript": transcript}
