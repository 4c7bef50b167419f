"""The microphone with a fake PortAudio: counting, loss, return, choice of device."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from realtime_er.clock import SessionClock, VirtualClock
from realtime_er.config import MicrophoneConfig
from realtime_er.errors import DeviceNotFound
from realtime_er.messages import AudioBlock, Event, FloatArray
from realtime_er.sources import microphone as microphone_module
from realtime_er.sources.base import SourceMessage
from realtime_er.sources.devices import list_microphones
from realtime_er.sources.microphone import Microphone
from tests.pulse import missing_for_null_sink, null_sink_microphone
from tests.sources.media import Collected, OpenPacer


def ramp(first: int, n: int) -> FloatArray:
    """Samples that carry their own index, modulo what 16 bits can say."""
    values = np.arange(first, first + n) % 65536 - 32768
    return (values / 32768).astype(np.float32)


class FakePortAudio:
    """The part of ``sounddevice`` that is used."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate_hz: float = 16000.0, channels: int = 1) -> None:
        self.default = SimpleNamespace(device=(1, 0))
        self.opened: list[dict[str, Any]] = []
        self.broken = False
        self.reopened = threading.Event()
        self.devices = [
            {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48000.0},
            {"name": "Built-in Mic", "max_input_channels": channels, "default_samplerate": rate_hz},
            {"name": "USB Headset", "max_input_channels": 1, "default_samplerate": 44100.0},
        ]

    def query_devices(self, device: int | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        return self.devices[1 if device is None else device]

    def InputStream(self, **settings: Any) -> Any:  # noqa: N802
        if self.broken:
            raise self.PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.opened.append(settings)
        if len(self.opened) > 1:
            self.reopened.set()
        return SimpleNamespace(start=lambda: None, close=lambda: None)

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        pass

    def deliver(self, samples: Any, overflow: bool = False) -> None:
        """What PortAudio's thread does."""
        settings = self.opened[-1]
        block = np.asarray(samples, np.float32).reshape(-1, settings["channels"])
        settings["callback"](block, len(block), None, SimpleNamespace(input_overflow=overflow))


def _play(microphone: Microphone, deliver: Callable[[], None], blocks: int) -> Collected:
    """Deliver everything, then run until ``blocks`` blocks came out."""
    messages: list[SourceMessage] = []
    stop = threading.Event()

    def emit(message: SourceMessage) -> None:
        messages.append(message)
        if sum(isinstance(item, AudioBlock) for item in messages) >= blocks:
            stop.set()

    microphone.open()
    deliver()
    microphone.run(emit, OpenPacer(), stop)
    microphone.close()
    collected = Collected(messages)
    collected.check_contract()
    return collected


def test_every_sample_comes_through_with_its_time() -> None:
    clock, library = VirtualClock(), FakePortAudio()

    def deliver() -> None:
        for index in range(50):
            clock.advance_to(1.0 + (index + 1) * 0.02)
            library.deliver(ramp(index * 320, 320))

    played = _play(Microphone(MicrophoneConfig(), clock, library), deliver, 50)
    np.testing.assert_array_equal(played.samples(), ramp(0, 16000))
    for block in played.blocks:
        assert block.start_s == pytest.approx(1.0 + block.first_sample / 16000, abs=1e-6)
    assert not played.gaps


def test_stereo_at_48_khz_becomes_mono_at_16() -> None:
    clock, library = VirtualClock(), FakePortAudio(48000.0, 2)
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(48000) / 48000)

    def deliver() -> None:
        for index in range(50):
            clock.advance_to((index + 1) * 0.02)
            library.deliver(np.repeat(tone[index * 960 : (index + 1) * 960], 2))

    played = _play(Microphone(MicrophoneConfig(), clock, library), deliver, 25)
    assert library.opened[0]["samplerate"] == 48000.0
    assert library.opened[0]["channels"] == 2
    got = played.samples()
    expected = 0.3 * np.sin(2 * np.pi * 300 * np.arange(len(got)) / 16000)
    np.testing.assert_allclose(got[200:], expected[200:], atol=1e-3)


def test_dropped_blocks_are_a_gap_and_an_index_jump() -> None:
    clock, library = VirtualClock(), FakePortAudio()

    def deliver() -> None:  # the mailbox holds 100 blocks of 20 ms; 20 are dropped at the front
        library.deliver(ramp(0, 320))
        for index in range(120):
            clock.advance_to((index + 1) * 0.02)
            if index:
                library.deliver(ramp(index * 320, 320))

    microphone = Microphone(MicrophoneConfig(), clock, library)
    played = _play(microphone, deliver, 100)
    assert played.blocks[0].first_sample == 20 * 320
    np.testing.assert_array_equal(played.samples(), ramp(20 * 320, 32000))
    assert microphone.info()["lost_samples"] == 20 * 320


def test_another_microphone_takes_over_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_module, "_BACK_OFF_S", (0.01,))
    clock, library = VirtualClock(), FakePortAudio()
    microphone = Microphone(MicrophoneConfig(), clock, library)
    microphone.open()
    with pytest.raises(DeviceNotFound, match="no microphone 'theremin'; there are: 1 Built-in Mic"):
        microphone.use("theremin")
    clock.advance_to(0.02)
    library.deliver(ramp(0, 320))
    messages: list[SourceMessage] = []
    stop = threading.Event()

    def emit(message: SourceMessage) -> None:
        messages.append(message)
        if len([m for m in messages if isinstance(m, AudioBlock)]) == 1 and len(messages) == 1:
            microphone.use("headset")
            clock.advance_to(1.0)
        if isinstance(message, Event) and message.kind == "microphone back":
            stop.set()

    def speak() -> None:
        assert library.reopened.wait(5)
        library.deliver(ramp(0, 882))

    speaker = threading.Thread(target=speak)
    speaker.start()
    microphone.run(emit, OpenPacer(), stop)
    speaker.join()
    microphone.close()
    events = [m for m in messages if isinstance(m, Event)]
    assert [(e.kind, e.detail) for e in events] == [
        ("microphone lost", "changed to USB Headset"),
        ("microphone back", "USB Headset"),
    ]
    assert [settings["device"] for settings in library.opened] == [None, 2]
    assert microphone.info()["requested"]["device"] == "headset"


def test_overflow_is_estimated_from_the_clock() -> None:
    clock, library = VirtualClock(), FakePortAudio()

    def deliver() -> None:
        for index in range(20):
            clock.advance_to((index + 1) * 0.02)
            library.deliver(np.zeros(320))
        clock.advance_to(0.4 + 0.5 + 0.02)  # half a second never arrived
        library.deliver(np.zeros(320), overflow=True)
        for index in range(20):  # it is judged by whether it catches up
            clock.advance_to(0.92 + (index + 1) * 0.02)
            library.deliver(np.zeros(320))

    microphone = Microphone(MicrophoneConfig(), clock, library)
    played = _play(microphone, deliver, 41)
    (gap,) = played.gaps
    assert (gap.start_s, gap.end_s) == pytest.approx((0.4, 0.9), abs=1e-3)
    assert gap.reason == "overflow"
    assert played.blocks[20].first_sample == pytest.approx(0.9 * 16000, abs=16)
    assert microphone.info()["overflows"] == 1


def test_loss_and_return_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_module, "_SETTLED_S", 0.0)
    monkeypatch.setattr(microphone_module, "_BACK_OFF_S", (0.01,))
    clock, library = SessionClock(), FakePortAudio()
    microphone = Microphone(MicrophoneConfig(timeout_s=0.1), clock, library)
    messages: list[SourceMessage] = []
    stop, lost = threading.Event(), threading.Event()

    def emit(message: SourceMessage) -> None:
        messages.append(message)
        if isinstance(message, Event) and message.kind == "microphone lost":
            library.broken = True
            lost.set()
        if isinstance(message, AudioBlock) and lost.is_set():
            stop.set()

    microphone.open()
    library.deliver(np.zeros(320))
    producer = threading.Thread(target=microphone.run, args=(emit, OpenPacer(), stop))
    producer.start()
    assert lost.wait(2)
    assert not library.reopened.wait(0.05)
    library.broken = False
    assert library.reopened.wait(2)
    # The stream is taken over just after it is constructed; deliver until it is heard.
    while not stop.wait(0.01):
        library.deliver(np.zeros(320))
    producer.join(2)
    microphone.close()
    assert not producer.is_alive()
    played = Collected(messages)
    played.check_contract()
    assert [event.kind for event in played.events] == [
        "microphone lost",
        "microphone busy",
        "microphone back",
    ]
    (gap,) = played.gaps
    assert gap.end_s - gap.start_s > 0.1
    jump = played.blocks[1].first_sample - 320
    assert jump == pytest.approx((gap.end_s - gap.start_s) * 16000, abs=2)


def test_close_ends_a_run_that_waits() -> None:
    microphone = Microphone(MicrophoneConfig(timeout_s=60.0), SessionClock(), FakePortAudio())
    microphone.open()
    producer = threading.Thread(
        target=microphone.run, args=(lambda _message: None, OpenPacer(), threading.Event())
    )
    producer.start()
    microphone.close()
    producer.join(2)
    assert not producer.is_alive()


def test_device_by_index_and_by_part_of_its_name() -> None:
    for wanted in ("2", "usb head"):
        library = FakePortAudio()
        microphone = Microphone(MicrophoneConfig(device=wanted), SessionClock(), library)
        microphone.open()
        microphone.close()
        assert library.opened[0]["device"] == 2
        assert microphone.info()["granted"]["rate_hz"] == 44100.0


@pytest.mark.parametrize("wanted", ["nonesuch", "0", "17"])
def test_an_unknown_device_is_one_line_with_a_list(wanted: str) -> None:
    microphone = Microphone(MicrophoneConfig(device=wanted), SessionClock(), FakePortAudio())
    with pytest.raises(DeviceNotFound, match="1 Built-in Mic, 2 USB Headset") as caught:
        microphone.open()
    assert "\n" not in str(caught.value)


def test_without_portaudio_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceNotFound, match="apt install libportaudio2"):
        Microphone(MicrophoneConfig(), SessionClock()).open()
    assert list_microphones().devices == ()
    assert "libportaudio2" in list_microphones().problem


@pytest.mark.device
@pytest.mark.slow
def test_a_real_sound_system_delivers_what_is_played(tmp_path: Path) -> None:
    missing = missing_for_null_sink()
    if missing:
        pytest.skip(f"needs {missing}")
    import wave

    tone = (0.5 * 32767 * np.sin(2 * np.pi * 500 * np.arange(32000) / 16000)).astype(np.int16)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(tone.tobytes())
    with null_sink_microphone() as play:
        microphone = Microphone(MicrophoneConfig(device="pulse"), SessionClock())
        messages: list[SourceMessage] = []
        stop = threading.Event()

        def emit(message: SourceMessage) -> None:
            messages.append(message)
            sound = [item for item in messages if isinstance(item, AudioBlock)]
            heard = sum(len(b.samples) for b in sound if np.abs(b.samples).max() > 0.3)
            if heard > 8000 or sum(len(block.samples) for block in sound) > 160_000:
                stop.set()

        microphone.open()
        play(tmp_path / "tone.wav")
        microphone.run(emit, OpenPacer(), stop)
        microphone.close()
    played = Collected(messages)
    played.check_contract()
    loud = np.concatenate([b.samples for b in played.blocks if np.abs(b.samples).max() > 0.3])
    assert len(loud) > 8000
    spectrum = np.abs(np.fft.rfft(loud[1600:8000]))
    assert np.argmax(spectrum) * 16000 / 6400 == pytest.approx(500, abs=5)


@pytest.mark.parametrize("n_late", [2, 5, 10, 20])
@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_a_burst_at_the_start_never_turns_time_back(rate_hz: int, n_late: int) -> None:
    """Sound servers hand over what they had queued; the clock then finds that it was late."""
    clock = VirtualClock()
    portaudio = FakePortAudio(float(rate_hz))
    microphone = Microphone(MicrophoneConfig(), clock, portaudio)
    n = rate_hz // 50

    def deliver() -> None:
        for index in range(60):
            clock.advance_to(1.0 + max(index + 1, n_late) * 0.02 + 0.002)
            portaudio.deliver(np.zeros(n))

    blocks = _play(microphone, deliver, 25).blocks
    # Any instant inside the stream: the middle of each 80 ms step, whatever block it falls into.
    ends = [b.start_s + np.arange(1, len(b.samples) + 1) / 16_000 for b in blocks]
    instants = np.concatenate(ends)[1279::1280]
    assert len(instants) > 3
    assert np.diff(instants).min() > 0.03
