"""A scripted microphone: what each fault costs, how it is said, and that every sample is counted."""

from __future__ import annotations

import numpy as np
import pytest

from realtime_er.errors import DeviceBusy, DeviceNotFound
from realtime_er.sources import microphone as microphone_module
from tests.faults.scripted import ScriptedMicrophone, noise
from tests.sources.media import Collected


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_module, "_BACK_OFF_S", (0.005,))
    monkeypatch.setattr(microphone_module, "_SETTLED_S", 0.0)


def started(**device: object) -> ScriptedMicrophone:
    microphone = ScriptedMicrophone(**device)  # type: ignore[arg-type]
    microphone.start()
    microphone.play(50)
    return microphone


def check_every_sample(played: Collected, lost: int) -> None:
    """Nothing is missing but what the index says is missing, and times follow the index."""
    end = played.blocks[-1].first_sample + len(played.blocks[-1].samples)
    assert end - len(played.samples()) == pytest.approx(lost, abs=3)
    for before, after in zip(played.blocks, played.blocks[1:], strict=False):
        jump_s = (after.first_sample - before.first_sample) / 16000
        assert after.start_s - before.start_s == pytest.approx(jump_s, abs=1e-3)


@pytest.mark.parametrize("stall_s", [0.1, 0.5, 1.2])
def test_a_stall_that_loses_sound_is_one_gap_of_its_length(stall_s: float) -> None:
    """PortAudio says nothing; before, the sound's time was wrong for minutes after this."""
    microphone = started()
    microphone.pass_time(stall_s)
    microphone.play(100)
    microphone.settle()
    played = microphone.end()
    assert microphone.kinds() == []
    (gap,) = played.gaps
    assert (gap.start_s, gap.end_s) == pytest.approx((2.0, 2.0 + stall_s), abs=2e-3)
    assert gap.reason == "the sound system stalled"
    assert microphone.stream.info()["lost_samples"] == pytest.approx(stall_s * 16000, abs=3)
    np.testing.assert_array_equal(played.samples(), noise(0, 150 * 320))
    check_every_sample(played, round(stall_s * 16000))


@pytest.mark.parametrize("stall_s", [0.1, 0.5, 1.2])
def test_a_stall_that_is_caught_up_with_loses_nothing(stall_s: float) -> None:
    microphone = started()
    microphone.pass_time(stall_s)
    microphone.play(round(stall_s / 0.02), burst=True)
    microphone.play(50)
    microphone.settle()
    played = microphone.end()
    assert played.gaps == []
    n = (100 + round(stall_s / 0.02)) * 320
    np.testing.assert_array_equal(played.samples(), noise(0, n))
    check_every_sample(played, 0)


def test_a_burst_that_brings_only_a_part_of_it_is_a_gap_of_the_rest() -> None:
    microphone = started()
    microphone.pass_time(0.8)
    microphone.play(10, burst=True)  # 0.2 s of them
    microphone.play(50)
    microphone.settle()
    played = microphone.end()
    (gap,) = played.gaps
    assert gap.end_s - gap.start_s == pytest.approx(0.6, abs=2e-3)
    check_every_sample(played, 9600)


def test_damaged_sound_is_a_gap_and_never_reaches_a_model() -> None:
    microphone = started()

    def garbage(first: int, n: int) -> np.ndarray:
        return np.where(np.arange(n) % 7 == 0, np.nan, 1e30).astype(np.float32)

    microphone.play(2, sound=garbage)
    microphone.play(50)
    microphone.settle()
    played = microphone.end()
    assert np.abs(played.samples()).max() <= 1.0
    assert microphone.stream.info()["damaged_samples"] == 640
    (gap,) = played.gaps
    assert gap.end_s - gap.start_s == pytest.approx(0.04, abs=1e-3)
    check_every_sample(played, 640)


def test_nothing_but_damaged_sound_is_a_lost_microphone() -> None:
    microphone = started()
    microphone.play(20, sound=lambda _first, n: np.full(n, np.inf, np.float32))
    microphone.wait_for_event("microphone lost")
    microphone.reopened(2)
    microphone.play(10)
    microphone.wait_for_event("microphone back")
    microphone.settle()
    check_every_sample(microphone.end(), 20 * 320)


def test_vanished_and_back_under_another_index() -> None:
    microphone = started(device="1")
    assert microphone.library.opened[0]["name"] == "USB Headset"
    microphone.library.plug("Built-in Mic")
    microphone.wait_for_event("microphone away")
    assert microphone.kinds() == ["microphone lost", "microphone away"]
    assert "no microphone USB Headset; there are: 0 Built-in Mic" in microphone.events()[1][1]
    microphone.pass_time(5.0)
    microphone.library.plug("USB Headset", "Built-in Mic")
    microphone.reopened(2)
    microphone.play(50)
    microphone.wait_for_event("microphone back")
    microphone.settle()
    played = microphone.end()
    assert [opened["name"] for opened in microphone.library.opened] == ["USB Headset"] * 2
    (gap,) = played.gaps
    assert gap.end_s - gap.start_s == pytest.approx(5.0, abs=2e-3)
    check_every_sample(played, 80_000)
    assert microphone.stream.info()["lost"] == 1


def test_another_device_at_its_index_is_not_taken_for_it() -> None:
    microphone = started(device="0")
    microphone.library.plug("Webcam Mic")
    microphone.wait_for_event("microphone away")
    assert len(microphone.library.opened) == 1
    assert "Webcam Mic" in microphone.events()[-1][1]
    microphone.pass_time(5.0)
    (gap,) = microphone.end().gaps  # it has not come back
    assert gap.end_s - gap.start_s == pytest.approx(5.0, abs=2e-3)


def test_another_one_chosen_while_it_is_away() -> None:
    microphone = started(device="0")
    microphone.library.plug("Webcam Mic")
    microphone.wait_for_event("microphone away")
    microphone.stream.use("webcam")
    microphone.reopened(2)
    microphone.play(50)
    microphone.wait_for_event("microphone back")
    microphone.settle()
    microphone.library.plug()
    microphone.wait_for_event("microphone lost", 2)
    microphone.end()
    details = dict(microphone.events())
    assert details["microphone back"] == "Webcam Mic, instead of Built-in Mic"
    assert details["microphone lost"] == "no sound for 0.25 s"  # the second: nobody chose that


def test_another_one_chosen_while_the_old_one_opens() -> None:
    microphone = started()
    library = microphone.library
    open_it = library.InputStream

    def choose_meanwhile(**settings: object) -> object:
        if len(library.opened) == 1:
            microphone.stream.use("headset")
        return open_it(**settings)

    library.InputStream = choose_meanwhile  # type: ignore[method-assign]
    microphone.reopened(3)
    microphone.play(5)
    microphone.wait_for_event("microphone back")
    microphone.settle()
    microphone.end()
    assert [opened["name"] for opened in library.opened][1:] == ["Built-in Mic", "USB Headset"]
    assert microphone.stream.info()["granted"]["name"] == "USB Headset"


def test_the_default_follows_the_system_and_says_so() -> None:
    microphone = started()
    microphone.library.plug("USB Headset", rate_hz=48000.0, channels=2)
    microphone.wait_for_event("microphone lost")
    microphone.pass_time(2.0)
    microphone.reopened(2)
    microphone.play(50)
    microphone.wait_for_event("microphone back")
    microphone.settle()
    played = microphone.end()
    assert microphone.events()[-1][1] == "USB Headset, instead of Built-in Mic"
    assert microphone.stream.info()["granted"]["rate_hz"] == 48000.0
    check_every_sample(played, 32_000)


def test_another_program_has_it() -> None:
    microphone = started()
    microphone.library.failure = ScriptedMicrophone().library.PortAudioError(
        "Error opening InputStream: Device unavailable [PaErrorCode -9985]", -9985
    )
    microphone.wait_for_event("microphone busy")
    assert "another program has it" in microphone.events()[-1][1]
    microphone.library.failure = None
    microphone.reopened(2)
    microphone.play(5)
    microphone.wait_for_event("microphone back")
    microphone.end()
    busy = ScriptedMicrophone()
    busy.library.failure = busy.library.PortAudioError("Device unavailable", -9985)
    with pytest.raises(DeviceBusy, match="another program has it"):
        busy.stream.open()
    busy.library.failure = busy.library.PortAudioError("Invalid sample rate", -9997)
    with pytest.raises(DeviceNotFound, match="Invalid sample rate"):
        busy.stream.open()


def test_one_that_is_away_all_night_costs_few_starts_of_portaudio() -> None:
    """Each leaks some memory."""
    microphone = started()
    library = microphone.library
    library.failure = library.PortAudioError("Device unavailable", -9985)
    microphone.wait_for_event("microphone busy")
    attempts, starts = library.attempts, library.starts
    library.wait_attempts(attempts + 50)
    assert 9 <= library.starts - starts <= 12
    library.failure = None
    microphone.reopened(2)
    microphone.end()


def constant(value: float) -> object:
    return lambda _first, n: np.full(n, value, np.float32)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_muted_at_its_switch_is_not_a_dead_microphone(value: float) -> None:
    microphone = started()
    microphone.play(140, sound=constant(value))  # type: ignore[arg-type]
    microphone.settle()
    assert microphone.kinds() == []
    microphone.play(20, sound=constant(value))  # type: ignore[arg-type]
    microphone.wait_for_event("microphone silent")
    microphone.play(5)
    microphone.wait_for_event("microphone sounding")
    microphone.settle()
    played = microphone.end()
    assert microphone.kinds() == ["microphone silent", "microphone sounding"]
    assert played.gaps == []
    check_every_sample(played, 0)


def test_the_time_of_an_absence_does_not_count_as_silence() -> None:
    microphone = started()
    microphone.play(50, sound=constant(0.0))  # type: ignore[arg-type]
    microphone.wait_for_event("microphone lost")
    microphone.pass_time(5.0)
    microphone.reopened(2)
    microphone.play(50, sound=constant(0.0))  # type: ignore[arg-type]
    microphone.settle()
    microphone.end()
    assert microphone.kinds() == ["microphone lost", "microphone back"]


def test_what_waits_when_it_ends_is_counted() -> None:
    microphone = started()
    microphone.settle()
    before = len(Collected(microphone.messages).samples())
    microphone.play(1)
    microphone.pass_time(0.2)
    microphone.play(3)  # held back: late, and nobody knows yet whether something is missing
    microphone.settle()
    played = microphone.end()
    assert len(played.samples()) == before + 4 * 320
