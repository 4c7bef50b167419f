"""The microphone, through PortAudio at its own rate, counted and stamped on the session clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from realtime_er.clock import Clock, SampleClock
from realtime_er.config import MicrophoneConfig
from realtime_er.errors import DeviceNotFound
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, Event, FloatArray, Gap
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.sources.base import Emit, Pacer
from realtime_er.sources.devices import list_microphones, load_portaudio
from realtime_er.sources.resample import StreamingResampler, to_16_bit

_BUFFER_S = 2.0
_BACK_OFF_S = (0.25, 0.5, 1.0)
_FIRST_SOUND_S = 3.0
"""Some devices (Bluetooth, sound servers) take this long from opening to their first block."""
_MIN_LOSS_S = 0.01
"""An overflow that cost less than this cannot be told from a late callback."""
_STEP_S = 1e-4
_MOST_OVERLAP_S = 0.015


@dataclass(frozen=True, slots=True)
class _Captured:
    """One callback: ``first`` counts the device's samples, dropped ones included."""

    first: int
    samples: FloatArray
    arrival_s: float
    overflow: bool


class Microphone:
    """Sound from a microphone.

    Args:
        config: Which one, block length, time-out.
        clock: The session's clock.
        library: The ``sounddevice`` module or a fake; imported on ``open`` when None.
    """

    def __init__(
        self,
        config: MicrophoneConfig,
        clock: Clock,
        library: Any = None,  # noqa: ANN401 - an untyped module
    ) -> None:
        self._config = config
        # Set by use(), read by the producer: a plain reference, swapped at once.
        self._wanted = config.device.strip()
        self._changed_to = ""
        self._clock = clock
        self._library = library
        self._lock = threading.Lock()  # over _device and _mailbox as close() meets a reopening
        self._device: Any = None
        self._mailbox: Mailbox[_Captured] | None = None
        self._closed = threading.Event()
        self._initialized = True  # by the import
        self._rate_hz = float(SAMPLE_RATE_HZ)
        self._channels = 1
        self._granted: dict[str, Any] = {}
        self._counts = {"overflows": 0, "lost_samples": 0, "lost": 0}
        # The 16 kHz side, owned by the producer thread.
        self._resampler = StreamingResampler(SAMPLE_RATE_HZ, 1)
        self._sample_clock = SampleClock(SAMPLE_RATE_HZ)
        self._next = 0
        self._expected = 0
        self._origin = 0
        self._end_s: float | None = None
        self._last_start_s = float("-inf")

    @property
    def kind(self) -> Literal["audio"]:
        """What it emits."""
        return "audio"

    @property
    def name(self) -> str:
        """Always "microphone"."""
        return "microphone"

    def open(self) -> None:
        """Open the device and start it.

        Raises:
            DeviceNotFound: PortAudio is missing, no such device, or it cannot be opened.
        """
        if self._library is None:
            try:
                self._library = load_portaudio()
            except DeviceNotFound as error:
                raise DeviceNotFound(f"microphone: {error}") from error
        self._start()

    def use(self, wanted: str) -> None:
        """Change to another microphone while this one runs; "" is the default. Any thread.

        Raises:
            DeviceNotFound: there is no such microphone; nothing has changed.
        """
        _index, found = self._find(wanted.strip())
        self._wanted, self._changed_to = wanted.strip(), str(found["name"])
        self._release()

    def _find(self, wanted: str) -> tuple[int | None, dict[str, Any]]:
        """Index (None: the system's default) and description of a device."""
        library = self._library
        listing = list_microphones(library)
        if not wanted:
            try:
                return None, dict(library.query_devices(None, "input"))
            except (library.PortAudioError, ValueError) as error:
                why = listing.problem or f"no default microphone; {_listed(library)}"
                raise DeviceNotFound(f"microphone: {why}") from error
        for device in listing.devices:
            by_index = wanted.isdigit() and device.index == int(wanted)
            if by_index or (not wanted.isdigit() and wanted.casefold() in device.name.casefold()):
                return device.index, dict(library.query_devices(device.index, "input"))
        raise DeviceNotFound(f"no microphone {wanted!r}; {_listed(library)}")

    def _start(self) -> None:
        library = self._library
        index, found = self._find(self._wanted)
        rate_hz = float(found["default_samplerate"])
        failure: Exception | None = None
        for channels in dict.fromkeys((min(2, int(found["max_input_channels"])), 1)):
            # One mailbox per opening, so that a late callback of the last one cannot mix in.
            block = max(1, round(self._config.block_s * rate_hz))
            capacity = max(2, round(_BUFFER_S / self._config.block_s))
            mailbox: Mailbox[_Captured] = Mailbox(
                "portaudio>microphone",
                capacity,
                "drop_oldest",
                unit="samples",
                size=lambda item: len(item.samples),
            )
            try:
                device = library.InputStream(
                    device=index,
                    samplerate=rate_hz,
                    channels=channels,
                    dtype="float32",
                    blocksize=block,
                    callback=self._callback(mailbox),
                )
            except (library.PortAudioError, ValueError) as error:
                failure = error
                continue
            with self._lock:
                if self._closed.is_set():
                    device.close()
                    return
                self._device, self._mailbox = device, mailbox
            try:
                device.start()
            except library.PortAudioError as error:
                self._release()
                failure = error
                continue
            self._rate_hz, self._channels = rate_hz, channels
            self._resampler = StreamingResampler(rate_hz, channels)
            self._sample_clock = SampleClock(SAMPLE_RATE_HZ)
            self._granted = {"name": found["name"], "rate_hz": rate_hz, "channels": channels}
            return
        raise DeviceNotFound(
            f"microphone {found['name']}: cannot be opened: {failure}; {_listed(library)}"
        ) from failure

    def _callback(self, mailbox: Mailbox[_Captured]) -> Any:  # noqa: ANN401
        first = 0

        def callback(indata: FloatArray, frames: int, _time: object, status: Any) -> None:  # noqa: ANN401
            # On PortAudio's thread: copy, hand over, nothing else.
            nonlocal first
            overflow = bool(status and status.input_overflow)
            item = _Captured(first, np.array(indata), self._clock.now_s(), overflow)
            first += frames
            try:
                mailbox.put(item)
            except MailboxClosed:
                return  # the stream is being closed

        return callback

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit sound; when it stops, say so, and reopen until ``stop``."""
        why = ""
        back: Event | None = None
        heard = False
        while not self._ended(stop):
            with self._lock:
                mailbox = self._mailbox
            item = None
            if mailbox is not None:
                try:
                    item = mailbox.get(max(self._config.timeout_s, 0 if heard else _FIRST_SOUND_S))
                except MailboxClosed:
                    if self._ended(stop):
                        return
            if self._ended(stop):
                return
            if item is not None:
                heard = True
                if back is not None:
                    emit(Event(item.arrival_s, "microphone back", str(self._granted.get("name"))))
                    self._jump_to(item, why, emit)
                    back = None
                self._pass_on(item, emit)
                continue
            if back is None:
                why, self._changed_to = self._changed_to, ""
                why = f"changed to {why}" if why else f"no sound for {self._config.timeout_s:g} s"
                back = Event(self._clock.now_s(), "microphone lost", why)
                self._counts["lost"] += 1
                self._emit_samples(self._resampler.flush(), emit)
                emit(back)
            if not self._reopen(stop):
                return
            heard = False

    def _reopen(self, stop: threading.Event) -> bool:
        """Try until the device opens; False when stopped."""
        self._release()
        attempt = 0
        while not stop.wait(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]):
            attempt += 1
            if self._closed.is_set():
                return False
            try:
                # PortAudio lists devices only when it starts.
                if self._initialized:
                    self._library._terminate()
                    self._initialized = False
                self._library._initialize()
                self._initialized = True
                self._start()
            except (DeviceNotFound, self._library.PortAudioError):
                continue  # still away; said once already
            self._expected = 0
            self._origin = self._next
            return True
        return False

    def _pass_on(self, item: _Captured, emit: Emit) -> None:
        count = len(item.samples)
        lost = item.first - self._expected  # blocks that the mailbox dropped
        end = self._origin + round((item.first + count) * SAMPLE_RATE_HZ / self._rate_hz)
        if item.overflow:
            # PortAudio does not say how much was lost; the clock does, roughly.
            self._counts["overflows"] += 1
            late_s = item.arrival_s - self._sample_clock.time_s(end)
            late_s = late_s if late_s >= _MIN_LOSS_S else 0.0
            self._origin += round(late_s * SAMPLE_RATE_HZ)
            end += round(late_s * SAMPLE_RATE_HZ)
            lost += round(late_s * self._rate_hz)
        self._expected = item.first + count
        if lost > 0:
            self._counts["lost_samples"] += lost
            self._emit_samples(self._resampler.flush(), emit)
        self._sample_clock.observe(end, item.arrival_s)
        if lost > 0:
            first = end - round(count * SAMPLE_RATE_HZ / self._rate_hz)
            start_s, self._next = self._end_s, max(self._next, first)
            resumed_s = self._sample_clock.time_s(self._next)
            if start_s is not None and resumed_s > start_s:
                reason = "overflow" if item.overflow else "behind"
                emit(Gap(self.name, start_s, resumed_s, reason))
        self._emit_samples(self._resampler.push(item.samples), emit)

    def _jump_to(self, item: _Captured, why: str, emit: Emit) -> None:
        """Count the samples that an absence cost."""
        start_s = item.arrival_s - len(item.samples) / self._rate_hz
        if self._end_s is None:
            return
        away = max(0, round((start_s - self._end_s) * SAMPLE_RATE_HZ))
        self._counts["lost_samples"] += away
        self._next += away
        self._origin = self._next - round(item.first * SAMPLE_RATE_HZ / self._rate_hz)
        self._expected = item.first
        emit(Gap(self.name, self._end_s, max(start_s, self._end_s), why))

    def _emit_samples(self, samples: FloatArray, emit: Emit) -> None:
        if not len(samples):
            return
        samples = to_16_bit(samples)
        start_s = max(self._sample_clock.time_s(self._next), self._last_start_s + _STEP_S)
        if self._end_s is not None:
            # The clock may find that the first blocks were late. Times inside the stream then run
            # together a little, but never back: what is made of them must come in order.
            held_s = min((self._end_s - self._last_start_s) / 2, _MOST_OVERLAP_S)
            start_s = max(start_s, self._end_s - held_s)
        samples.setflags(write=False)
        block = AudioBlock(self._next, start_s, samples)
        self._next += len(samples)
        self._last_start_s, self._end_s = start_s, block.end_s
        emit(block)

    def _ended(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._closed.is_set()

    def _release(self) -> None:
        with self._lock:
            device, self._device = self._device, None
            mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.discard()
        if device is not None:
            device.close()

    def close(self) -> None:
        """Stop the device; a ``run`` that waits for sound returns at once."""
        self._closed.set()
        self._release()

    def info(self) -> dict[str, Any]:
        """What was requested and granted, and what was lost."""
        requested = {"device": self._wanted, "block_s": self._config.block_s}
        return {"requested": requested, "granted": self._granted, **self._counts}


def _listed(library: Any) -> str:  # noqa: ANN401
    found = list_microphones(library)
    names = ", ".join(f"{device.index} {device.name}" for device in found.devices)
    return f"there are: {names}" if names else found.problem
