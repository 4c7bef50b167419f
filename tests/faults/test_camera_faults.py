"""A scripted camera: loss, return, frozen and empty pictures, and which camera it is."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_er.clock import SessionClock
from realtime_er.config import CameraConfig
from realtime_er.errors import DeviceBusy, DeviceLost, DeviceNotFound
from realtime_er.messages import VideoFrame
from realtime_er.sources import camera_access, camera_stream, devices
from realtime_er.sources.camera import OpenCvCapture, open_camera
from realtime_er.sources.camera_access import Webcam, cannot_open
from realtime_er.sources.devices import CameraDevice, Listing
from tests.faults.scripted import TIMEOUT_S, ScriptedCamera
from tests.sources.media import Collected, painted, read_painted


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_stream, "_BACK_OFF_S", (0.005,))


def check_every_frame(played: Collected, in_gaps: int) -> None:
    """Indices jump by what was lost, and by nothing else."""
    indices = [frame.index for frame in played.frames]
    assert indices[0] == 0
    assert indices[-1] + 1 - len(indices) == in_gaps


def test_vanished_and_back_is_one_gap() -> None:
    camera = ScriptedCamera()
    camera.begin()
    camera.cannot_open = DeviceNotFound("cannot be opened: it is not connected")
    camera.queue.put(DeviceLost("its driver failed"))
    camera.wait_for_event("camera away")
    camera.clock.advance_to(8.0)
    camera.cannot_open = None
    camera.queue.put((8.0, painted(500)))
    camera.wait_for_event("camera back")
    camera.play(3)
    played = camera.end()
    assert camera.events() == [
        ("camera lost", "its driver failed"),
        ("camera away", "cannot be opened: it is not connected"),
        ("camera back", "0"),
    ]
    (gap,) = played.gaps
    assert gap.start_s == played.frames[4].time_s
    assert gap.end_s == pytest.approx(8.0, abs=1e-3)
    check_every_frame(played, 0)
    assert camera.stream.info()["lost"] == 1
    assert all(capture.closed for capture in camera.captures)


def test_silence_is_loss() -> None:
    camera = ScriptedCamera()
    camera.begin()
    camera.wait_for_event("camera lost")
    assert camera.events()[0][1] == f"no picture for {TIMEOUT_S:g} s"
    camera.reopened(2)
    camera.frame(painted(77))
    camera.wait_for_event("camera back")
    check_every_frame(camera.end(), 0)


def test_the_last_frame_for_ever_is_a_frozen_camera_until_another_comes() -> None:
    """After unplugging, some drivers repeat the last picture, and reading never fails."""
    camera = ScriptedCamera()
    camera.begin()
    image = painted(camera.shown)
    began_s = camera.clock.now_s()
    while not camera.kinds():
        camera.frame(image)
    assert camera.clock.now_s() - began_s <= TIMEOUT_S + 2 / 30
    assert camera.kinds() == ["camera frozen"]
    camera.reopened(2)
    for _ in range(3):  # opened anew, it still shows the same
        camera.queue.put((camera.clock.now_s(), image))
    camera.queue.put((9.0, painted(600)))
    camera.wait_for_event("camera back")
    camera.clock.advance_to(9.0)
    camera.play(3)
    played = camera.end()
    assert camera.kinds() == ["camera frozen", "camera back"]
    assert camera.n_opened == 2
    (gap,) = played.gaps
    assert gap.end_s == pytest.approx(9.0)
    assert read_painted(played.frames[-4].image) == 600
    check_every_frame(played, 1)  # the frame that gave it away


def test_pictures_that_change_a_little_are_not_frozen() -> None:
    camera = ScriptedCamera()
    camera.begin()
    for shade in range(20):
        image = painted(5)
        image[-1, -1] = shade
        camera.frame(image)
    assert camera.kinds() == []
    camera.end()


def test_a_covered_camera_is_covered_whether_it_has_noise_or_not() -> None:
    rng = np.random.default_rng(3)
    camera = ScriptedCamera()
    camera.begin()
    for _ in range(40):
        camera.frame(rng.integers(0, 24, (64, 128, 3), np.uint8))
    camera.wait_for_event("camera covered")
    black = np.zeros((64, 128, 3), np.uint8)
    for _ in range(40):
        camera.frame(black)
    camera.play(10)
    camera.wait_for_event("camera uncovered")
    played = camera.end()
    assert camera.kinds() == ["camera covered", "camera uncovered"]
    assert played.gaps == []
    check_every_frame(played, 0)


def test_a_dark_room_with_something_in_it_is_not_covered() -> None:
    camera = ScriptedCamera()
    camera.begin()
    for shade in range(60):
        image = np.full((64, 128, 3), 6, np.uint8)
        image[16:48, 40:88] = 30
        image[0, 0] = shade
        camera.frame(image)
    assert camera.kinds() == []
    camera.end()


def test_times_that_go_back_never_do() -> None:
    camera = ScriptedCamera()
    camera.begin()
    for back_s in (0.5, 0.3, 4.0, 0.0):
        camera.shown += 1
        camera.frame(painted(camera.shown), back_s)
    played = camera.end()
    times = [frame.time_s for frame in played.frames]
    assert times == sorted(set(times))
    assert len(times) == 9
    assert times[-1] == pytest.approx(camera.clock.now_s(), abs=0.02)
    assert played.gaps == []


def test_another_size_and_rate_go_through() -> None:
    camera = ScriptedCamera()
    camera.begin()
    camera.play(3, (256, 144))
    camera.play(3, (128, 64))
    played = camera.end()
    assert [f.image.shape[:2] for f in played.frames[4:]] == [(64, 128)] + [(144, 256)] * 3 + [
        (64, 128)
    ] * 3
    check_every_frame(played, 0)


def test_a_long_hole_without_a_loss_is_a_gap() -> None:
    """The program stood still: the driver did not."""
    camera = ScriptedCamera()
    camera.begin()
    camera.clock.advance_to(60.0)
    camera.play(2)
    (gap,) = camera.end().gaps
    assert (gap.end_s - gap.start_s) > 50


def test_what_the_reader_has_when_it_ends_is_counted() -> None:
    camera = ScriptedCamera()
    camera.begin()
    reader = camera.stream._reader
    assert reader is not None
    before = len(camera.messages)
    with camera._changed:  # the producer is held up in its hand-over
        for number in range(3):
            camera.queue.put((camera.clock.now_s() + 0.01 * (number + 1), painted(100 + number)))
        while reader.frames.counts().offered < 8:
            camera._changed.wait(0.001)
        camera._stop.set()
    played = camera.end()
    counts = reader.frames.counts()
    assert counts.in_flight == 0
    assert counts.offered == 8
    assert played.frames[-1].index + 1 == 8
    assert len(camera.messages) > before
    lost = sum(int(gap.reason.split()[0]) for gap in played.gaps)
    check_every_frame(played, lost)
    assert counts.dropped == lost


def test_a_bug_in_the_reader_is_not_taken_for_a_lost_camera() -> None:
    camera = ScriptedCamera()
    camera.begin()
    camera.queue.put(TypeError("a bug"))
    camera.wait_for(lambda run: run.fault is not None)
    assert camera.kinds() == []
    with pytest.raises(TypeError, match="a bug"):
        camera.end()


def test_another_program_takes_it_and_gives_it_back() -> None:
    camera = ScriptedCamera()
    camera.begin()
    camera.cannot_open = DeviceBusy("zoom has it; close that one")
    camera.queue.put(DeviceLost("no picture for 1.25 s"))
    camera.wait_for_event("camera busy")
    camera.cannot_open = None
    camera.reopened(2)
    camera.frame(painted(9))
    camera.wait_for_event("camera back")
    camera.end()
    assert camera.kinds() == ["camera lost", "camera busy", "camera back"]
    busy = ScriptedCamera()
    busy.cannot_open = DeviceBusy("zoom has it; close that one")
    with pytest.raises(DeviceBusy, match="camera 0: zoom has it"):
        busy.stream.open()


# --- which camera it is ---------------------------------------------------------------------------


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[CameraDevice]:
    present = [CameraDevice(0, "HD Webcam"), CameraDevice(2, "Capture Stick")]
    monkeypatch.setattr(camera_access, "list_cameras", lambda: Listing(tuple(present)))
    monkeypatch.setattr(camera_access.sys, "platform", "linux")
    return present


def test_a_camera_is_found_again_under_another_index(cameras: list[CameraDevice]) -> None:
    webcam = Webcam(0)
    assert webcam.locate() == 0
    cameras[0] = CameraDevice(4, "HD Webcam")
    assert webcam.locate() == 4
    cameras[0] = CameraDevice(0, "HD Webcam")
    assert webcam.locate() == 0


def test_another_camera_at_its_index_is_not_taken_for_it(cameras: list[CameraDevice]) -> None:
    webcam = Webcam("/dev/video0")
    assert webcam.locate() == "/dev/video0"
    cameras[0] = CameraDevice(0, "Somebody's Phone")
    with pytest.raises(DeviceNotFound, match="HD Webcam is away; there are: 0 Somebody's Phone"):
        webcam.locate()


def test_a_twin_is_not_taken_for_it(cameras: list[CameraDevice]) -> None:
    cameras.append(CameraDevice(6, "HD Webcam"))
    webcam = Webcam(0)
    webcam.locate()
    del cameras[0]
    with pytest.raises(DeviceNotFound, match="HD Webcam is away"):
        webcam.locate()


def test_why_a_camera_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_access, "_DEV", tmp_path / "dev")
    monkeypatch.setattr(camera_access, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(camera_access.sys, "platform", "linux")
    assert "not connected" in str(cannot_open(3))
    device = tmp_path / "dev" / "video3"
    device.parent.mkdir()
    device.touch()
    (tmp_path / "proc" / "77" / "fd").mkdir(parents=True)
    found = cannot_open(3)
    assert isinstance(found, DeviceBusy)
    assert "another program has it" in str(found)
    (tmp_path / "proc" / "77" / "comm").write_text("zoom\n")
    (tmp_path / "proc" / "77" / "fd" / "5").symlink_to(device)
    assert str(cannot_open(3)) == "zoom has it; close that one"
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert "usermod -aG video" in str(cannot_open(3))
    monkeypatch.setattr(camera_access.sys, "platform", "win32")
    assert "another program" in str(cannot_open(3))


class BadDriver:
    """What OpenCV's drivers do when they are in trouble."""

    def __init__(self, *, opens: bool = True, pictures: tuple[object, ...] = ()) -> None:
        self._opens = opens
        self._pictures = list(pictures)

    def isOpened(self) -> bool:  # noqa: N802
        if not self._opens:
            raise cv2.error("assertion in the driver")
        return True

    def set(self, _prop: int, _value: float) -> bool:
        return False

    def get(self, _prop: int) -> float:
        return 0.0

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, object]:
        picture = self._pictures.pop(0)
        if isinstance(picture, Exception):
            raise picture
        return picture is not None, picture

    def release(self) -> None:
        pass


def test_what_is_no_picture_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    grey = np.full((4, 6, 1), 9, np.uint8)
    bad = (None, np.zeros((0, 0, 3), np.uint8), np.zeros((4, 6, 2), np.uint8), np.zeros((4, 6, 3)))
    driver = BadDriver(pictures=(*bad, grey, cv2.error("lost")))
    config = CameraConfig(timeout_s=5.0)
    capture = OpenCvCapture(lambda: 0, config, SessionClock(), lambda _address: driver)
    capture.open()
    _time_s, image = capture.read(threading.Event())
    assert image.shape == (4, 6, 3)
    assert (image == 9).all()
    with pytest.raises(DeviceLost, match="its driver failed"):
        capture.read(threading.Event())
    broken = OpenCvCapture(lambda: 0, config, SessionClock(), lambda _a: BadDriver(opens=False))
    with pytest.raises(DeviceNotFound, match=r"cannot be opened: .*assertion"):
        broken.open()


def test_frames_carry_who_they_are() -> None:
    camera = ScriptedCamera()
    camera.begin(4)
    frames = [m for m in camera.end().frames if isinstance(m, VideoFrame)]
    assert [read_painted(frame.image) for frame in frames] == [1, 2, 3, 4]


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    """Opening one waits for its writer, and nothing can end that wait."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DeviceNotFound, match="named pipe"):
        open_camera(CameraConfig(source=str(tmp_path / "pipe")), SessionClock())


def test_the_window_lists_cameras_without_opening_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.sys, "platform", "darwin")
    monkeypatch.setattr(devices, "_opening", lambda: pytest.fail("it opens cameras"))
    assert [c.index for c in devices.list_cameras(try_out=False).devices] == [0, 1, 2, 3]
