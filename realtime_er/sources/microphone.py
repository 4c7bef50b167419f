"""The microphone, through PortAudio at its own rate, counted and stamped on the session clock."""

from __future__ import annotations

import threading
from typing import Any, Literal

from realtime_er.clock import Clock, SampleClock
from realtime_er.config import MicrophoneConfig
from realtime_er.errors import DeviceBusy, DeviceNotFound, SourceError
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, Event, FloatArray, Gap
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.sources.arrivals import Arrivals, Captured, capture_into
from realtime_er.sources.base import Emit, Pacer
from realtime_er.sources.blank import BlankSound
from realtime_er.sources.devices import load_portaudio
from realtime_er.sources.microphone_choice import cannot_open, find_microphone
from realtime_er.sources.portaudio_rest import portaudio_at_rest
from realtime_er.sources.resample import StreamingResampler, to_16_bit

_BUFFER_S = 2.0
_BACK_OFF_S = (0.25, 0.5)
_LISTED_EVERY = 5
"""Attempts, 2.5 s: each start of PortAudio costs 12 kB for good, and a microphone may be away all night."""
_FIRST_SOUND_S = 3.0
"""Some devices (Bluetooth, sound servers) take this long from opening to their first block."""
_SETTLED_S = 2.5
"""And some then deliver in steps of two seconds for a while, until the server has found its pace."""
_STEP_S = 1e-4
_MOST_OVERLAP_S = 0.015


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
        self._clock = clock
        self._library = library
        self._lock = threading.Lock()  # over these five: close() and use() meet a reopening
        self._wanted = config.device.strip()
        self._known_name: str | None = None  # of the device that was opened first
        self._changed_to = ""  # by use(), until it is opened
        self._device: Any = None
        self._mailbox: Mailbox[Captured] | None = None
        self._closed = threading.Event()
        self._initialized = True  # by the import
        self._rate_hz = float(SAMPLE_RATE_HZ)
        self._channels = 1
        self._granted: dict[str, Any] = {}
        self._counts = {"overflows": 0, "lost_samples": 0, "damaged_samples": 0, "lost": 0}
        # The 16 kHz side, owned by the producer thread.
        self._resampler = StreamingResampler(SAMPLE_RATE_HZ, 1)
        self._sample_clock = SampleClock(SAMPLE_RATE_HZ)
        self._arrivals = Arrivals()
        self._blank = BlankSound()
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
            DeviceBusy: another program has it.
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
        _index, found = find_microphone(self._library, wanted.strip())
        with self._lock:
            self._wanted, self._changed_to = wanted.strip(), str(found["name"])
            self._known_name = None
            mailbox = self._mailbox
        if mailbox is not None:
            # Only its producer closes the device: PortAudio may be starting anew there.
            mailbox.discard()

    def _start(self) -> None:
        library = self._library
        with self._lock:
            wanted, known_name = self._wanted, self._known_name
            self._changed_to = ""
        index, found = find_microphone(library, wanted, known_name)
        rate_hz = float(found["default_samplerate"])
        failure: Exception = DeviceNotFound("it has no channels")
        for channels in dict.fromkeys((min(2, int(found["max_input_channels"])), 1)):
            # One mailbox per opening, so that a late callback of the last one cannot mix in.
            block = max(1, round(self._config.block_s * rate_hz))
            capacity = max(2, round(_BUFFER_S / self._config.block_s))
            mailbox: Mailbox[Captured] = Mailbox(
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
                    callback=capture_into(mailbox, self._clock),
                )
            except (library.PortAudioError, ValueError) as error:
                failure = error
                continue
            with self._lock:
                if self._closed.is_set() or self._changed_to:
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
            with self._lock:
                if not self._changed_to:
                    self._known_name = str(found["name"])
            self._granted = {"name": found["name"], "rate_hz": rate_hz, "channels": channels}
            return
        raise cannot_open(library, str(found["name"]), failure) from failure

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit sound; when it stops, say so, and reopen until ``stop``."""
        why = ""
        back: str | None = None  # what was lost, until it is back
        heard_s: float | None = None  # when whole sound came last
        settled_s = 0.0  # from when on the time-out holds
        while not self._ended(stop):
            new = heard_s is None or heard_s < settled_s
            item = self._wait(_FIRST_SOUND_S if new else 0.0)
            if item is None and self._ended(stop):
                break
            if item is not None and not item.whole:
                self._counts["damaged_samples"] += len(item.samples)
                heard_s = item.arrival_s if heard_s is None else heard_s
                if item.arrival_s - heard_s < self._config.timeout_s:
                    continue  # the next whole block tells of it as a gap
                item = None
            if item is not None:
                settled_s = item.arrival_s + _SETTLED_S if heard_s is None else settled_s
                heard_s = item.arrival_s
                if back is not None:
                    emit(Event(item.arrival_s, "microphone back", self._instead_of(back)))
                    self._jump_to(item, why, emit)
                    back = None
                self._judge(item, emit)
                continue
            if back is None:
                changed = self._changed_to
                back = changed or str(self._granted.get("name"))
                why = (
                    f"changed to {changed}"
                    if changed
                    else f"no sound for {self._config.timeout_s:g} s"
                )
                self._end_of_sound(emit)
                self._blank.interrupted()
                self._counts["lost"] += 1
                emit(Event(self._clock.now_s(), "microphone lost", why))
            if not self._reopen(emit, stop):
                break
            heard_s = None
        if back is None:
            self._drain(emit)
        elif self._end_s is not None:  # it never came back, or has not been heard yet
            emit(Gap(self.name, self._end_s, max(self._clock.now_s(), self._end_s), why))

    def _wait(self, at_least_s: float) -> Captured | None:
        """The next block; None when none comes in time or the device was taken away."""
        with self._lock:
            mailbox = self._mailbox
        if mailbox is None:
            return None
        try:
            return mailbox.get(max(self._config.timeout_s, at_least_s))
        except MailboxClosed:
            return None

    def _instead_of(self, lost_name: str) -> str:
        name = str(self._granted.get("name"))
        return name if name == lost_name else f"{name}, instead of {lost_name}"

    def _end_of_sound(self, emit: Emit) -> None:
        """Pass on what has come so far; it may have been held back, or be inside the filter."""
        for held, lost_s in self._arrivals.flush():
            self._pass_on(held, lost_s, emit)
        self._emit_samples(self._resampler.flush(), emit)

    def _drain(self, emit: Emit) -> None:
        """At the end: what the device handed over before counts, too."""
        with self._lock:
            mailbox = self._mailbox
        if mailbox is None:
            return
        mailbox.close()
        while (item := self._wait(0.0)) is not None:
            if item.whole:
                self._judge(item, emit)
        self._end_of_sound(emit)

    def _reopen(self, emit: Emit, stop: threading.Event) -> bool:
        """Try until the device opens; False when stopped."""
        self._release()
        attempt = 0
        said = ""
        while not stop.wait(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]):
            attempt += 1
            if self._closed.is_set():
                return False
            try:
                if attempt % _LISTED_EVERY == 1 or not self._initialized:
                    self._list_anew()
                self._start()
            except (SourceError, self._library.PortAudioError) as error:
                kind = "busy" if isinstance(error, DeviceBusy) else "away"
                if kind != said:
                    emit(Event(self._clock.now_s(), f"microphone {kind}", str(error)))
                    said = kind
                continue
            self._expected = 0
            self._origin = self._next
            return True
        return False

    def _list_anew(self) -> None:
        """PortAudio lists devices only when it starts."""
        with portaudio_at_rest():
            if self._initialized:
                self._library._terminate()
                self._initialized = False
            self._library._initialize()
            self._initialized = True

    def _judge(self, item: Captured, emit: Emit) -> None:
        """Find out whether sound is missing before a block, and pass on what is clear."""
        change = self._blank.look(item.samples, item.arrival_s)
        if change is not None:
            emit(Event(item.arrival_s, f"microphone {change}", str(self._granted.get("name"))))
        self._counts["overflows"] += item.overflow
        late_s = self._sample_clock.late_s(self._end(item), item.arrival_s)
        for block, lost_s in self._arrivals.take(item, late_s):
            self._pass_on(block, lost_s, emit)

    def _end(self, item: Captured) -> int:
        """Index after its last sample, at 16 kHz."""
        count = item.first + len(item.samples)
        return self._origin + round(count * SAMPLE_RATE_HZ / self._rate_hz)

    def _pass_on(self, item: Captured, lost_s: float, emit: Emit) -> None:
        count = len(item.samples)
        lost = item.first - self._expected  # blocks that the mailbox dropped, or that were damaged
        self._origin += round(lost_s * SAMPLE_RATE_HZ)
        lost += round(lost_s * self._rate_hz)
        end = self._end(item)
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
                emit(Gap(self.name, start_s, resumed_s, self._why_lost(item, lost_s)))
        self._emit_samples(self._resampler.push(item.samples), emit)

    @staticmethod
    def _why_lost(item: Captured, lost_s: float) -> str:
        if item.overflow:
            return "overflow"
        return "the sound system stalled" if lost_s else "behind, or damaged"

    def _jump_to(self, item: Captured, why: str, emit: Emit) -> None:
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
