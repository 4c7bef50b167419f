"""Webcams and folders: times, loss and return, and clear errors, with a fake driver."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realtime_er.clock import SessionClock, VirtualClock
from realtime_er.config import CameraConfig, Config, MicrophoneConfig
from realtime_er.errors import DeviceNotFound, MediaError, SourceError
from realtime_er.messages import Event, Gap, VideoFrame
from realtime_er.sources import camera as camera_module
from realtime_er.sources import camera_stream
from realtime_er.sources.base import SourceMessage, Stream, Switchable
from realtime_er.sources.camera import open_camera
from realtime_er.sources.devices import _linux_cameras, list_cameras
from realtime_er.sources.image_folder import ImageFolder
from realtime_er.sources.live import LiveDevices
from tests.sources.media import Collected, OpenPacer, collect, painted, read_painted


class FakeCapture:
    """Delivers ``frames`` frames and then fails; ``stuck`` blocks instead."""

    def __init__(self, frames: int, first: int = 0, stuck: threading.Event | None = None) -> None:
        self._left = frames
        self._index = first
        self._stuck = stuck
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self._left > 0

    def set(self, prop: int, value: float) -> bool:
        return True

    def get(self, prop: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 128, cv2.CAP_PROP_FRAME_HEIGHT: 64}.get(prop, 30.0)

    def grab(self) -> bool:
        threading.Event().wait(0.002)  # what a driver does: block until the next frame
        if self._left <= 0 and self._stuck is not None:
            self._stuck.wait(5)
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        self._index += 1
        return True, painted(self._index - 1)

    def release(self) -> None:
        self.released = True


def _run(stream: Stream, until: str, count: int = 1) -> Collected:
    """Run until ``count`` events of a kind, or frames, were emitted."""
    stop = threading.Event()
    messages: list[SourceMessage] = []
    seen = 0

    def emit(message: SourceMessage) -> None:
        nonlocal seen
        messages.append(message)
        kind = message.kind if isinstance(message, Event) else type(message).__name__
        seen += kind == until
        if seen >= count:
            stop.set()

    stream.open()
    try:
        stream.run(emit, OpenPacer(), stop)
    finally:
        stream.close()
    collected = Collected(messages)
    collected.check_contract()
    return collected


def test_frames_come_in_order_with_the_time_of_the_grab() -> None:
    clock = SessionClock()
    capture = FakeCapture(10_000)
    config = CameraConfig(latency_s=0.5)
    played = _run(open_camera(config, clock, lambda _address: capture), "VideoFrame", 5)
    painted_in = [read_painted(frame.image) for frame in played.frames]
    assert painted_in == sorted(set(painted_in))
    assert [frame.index for frame in played.frames] == list(range(5))
    assert all(-0.5 < frame.time_s < clock.now_s() - 0.5 for frame in played.frames)
    assert capture.released


def test_what_was_granted_is_told() -> None:
    stream = open_camera(CameraConfig(), SessionClock(), lambda _address: FakeCapture(10_000))
    stream.open()
    stream.close()
    info = stream.info()
    assert info["requested"]["width_px"] == 640
    assert info["granted"] == {"width_px": 128, "height_px": 64, "fps": 30.0}


def test_another_camera_takes_over_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_stream, "_BACK_OFF_S", (0.01,))
    captures = {0: FakeCapture(10_000), 1: FakeCapture(10_000, first=100)}
    opened: list[int | str] = []

    def factory(address: int | str) -> FakeCapture:
        opened.append(address)
        return captures[int(address)]

    stream = open_camera(CameraConfig(), SessionClock(), factory)
    assert isinstance(stream, Switchable)
    with pytest.raises(DeviceNotFound, match="/dev/nothing: no such device"):
        stream.use("/dev/nothing")
    messages: list[SourceMessage] = []
    stop = threading.Event()

    def emit(message: SourceMessage) -> None:
        messages.append(message)
        if isinstance(message, VideoFrame) and message.index == 3:
            stream.use("1")
        if isinstance(message, VideoFrame) and message.index == 6:
            stop.set()

    stream.open()
    stream.run(emit, OpenPacer(), stop)
    stream.close()
    assert opened == [0, 1]
    played = Collected(messages)
    played.check_contract()
    assert [read_painted(frame.image) >= 100 for frame in played.frames] == [False] * 4 + [True] * 3
    assert [gap.reason for gap in played.gaps] == ["changed to 1"]
    events = [message for message in messages if isinstance(message, Event)]
    assert [(e.kind, e.detail) for e in events] == [
        ("camera lost", "changed to 1"),
        ("camera back", "1"),
    ]
    assert captures[0].released
    assert stream.info()["requested"]["source"] == "1"


def test_loss_and_return_are_said_once_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_stream, "_BACK_OFF_S", (0.01,))
    captures = [FakeCapture(5), FakeCapture(0), FakeCapture(0), FakeCapture(10_000, first=100)]
    stream = open_camera(CameraConfig(), SessionClock(), lambda _address: captures.pop(0))
    played = _run(stream, "camera back")
    kinds = [event.kind for event in played.events]
    assert kinds == ["camera lost", "camera away", "camera back"]
    assert "not connected" in played.events[1].detail
    # On a busy machine frames that came faster than they went are gaps too.
    (gap,) = (gap for gap in played.gaps if gap.reason == played.events[0].detail)
    assert gap.end_s > gap.start_s
    assert gap.start_s == max(f.time_s for f in played.frames if f.time_s < gap.end_s)
    assert stream.info()["lost"] == 1


def test_a_driver_that_blocks_counts_as_lost_and_close_returns() -> None:
    release = threading.Event()
    capture = FakeCapture(5, stuck=release)
    config = CameraConfig(timeout_s=0.1)
    stream = open_camera(config, SessionClock(), lambda _address: capture)
    stop = threading.Event()
    messages: list[SourceMessage] = []
    lost = threading.Event()

    def emit(message: SourceMessage) -> None:
        messages.append(message)
        if isinstance(message, Event):
            lost.set()

    stream.open()
    producer = threading.Thread(target=stream.run, args=(emit, OpenPacer(), stop))
    producer.start()
    assert lost.wait(2)
    stop.set()
    release.set()
    stream.close()
    producer.join(2)
    assert not producer.is_alive()
    assert capture.released
    assert [type(message) for message in messages[-2:]] == [Event, Gap]


def test_an_absent_camera_is_one_line_with_a_list() -> None:
    stream = open_camera(CameraConfig(source="7"), SessionClock(), lambda _address: FakeCapture(0))
    with pytest.raises(DeviceNotFound, match="camera 7: cannot be opened") as caught:
        stream.open()
    assert "\n" not in str(caught.value)
    with pytest.raises(DeviceNotFound, match="no camera is called 'nonesuch'"):
        open_camera(CameraConfig(source="nonesuch"), SessionClock())
    with pytest.raises(DeviceNotFound, match="no such device"):
        open_camera(CameraConfig(source="/dev/video987"), SessionClock())


def test_a_silent_camera_is_refused_at_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_stream, "FIRST_FRAME_S", 0.05)
    release = threading.Event()

    class Silent(FakeCapture):
        def grab(self) -> bool:
            release.wait(0.2)
            return False

    stream = open_camera(CameraConfig(), SessionClock(), lambda _address: Silent(1))
    with pytest.raises(DeviceNotFound, match="no picture within"):
        stream.open()


def test_linux_cameras_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, name, index in (
        ("video0", "HD Webcam", 0),
        ("video1", "HD Webcam", 1),
        ("video2", "Capture Stick", 0),
    ):
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(name + "\n")
        (tmp_path / node / "index").write_text(f"{index}\n")
    (tmp_path / "video4").mkdir()  # one that is being unplugged
    found = _linux_cameras(tmp_path)
    assert [(item.index, item.name) for item in found] == [(0, "HD Webcam"), (2, "Capture Stick")]
    listing = type(list_cameras())(found)
    monkeypatch.setattr(camera_module, "list_cameras", lambda: listing)
    asked: list[int | str] = []

    def factory(address: int | str) -> FakeCapture:
        asked.append(address)
        return FakeCapture(1000)

    stream = open_camera(CameraConfig(source="stick"), SessionClock(), factory)
    stream.open()
    stream.close()
    assert asked == [2]


def test_image_folder_in_order_of_names(tmp_path: Path) -> None:
    for index in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), painted(index))
    (tmp_path / "003.jpg").write_bytes(b"not an image")
    (tmp_path / "004.png").symlink_to("/proc/self/mem")  # opens, and cannot be read
    (tmp_path / "notes.txt").write_text("x")
    os.mkfifo(tmp_path / "005.png")  # nobody writes to it
    (stream,) = ImageFolder(tmp_path, fps=5).streams(Config(), VirtualClock())
    played = collect(stream)
    assert [read_painted(frame.image) for frame in played.frames] == [0, 1, 2]
    np.testing.assert_allclose([frame.time_s for frame in played.frames], [0.0, 0.2, 0.4])
    assert [gap.reason.split()[0] for gap in played.gaps] == ["003.jpg", "004.png"]
    as_camera = open_camera(CameraConfig(source=str(tmp_path), fps=500), SessionClock())
    assert isinstance(collect(as_camera).frames[0], VideoFrame)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    (stream,) = ImageFolder(tmp_path).streams(Config(), VirtualClock())
    with pytest.raises(MediaError, match="no jpg or png"):
        stream.open()


def test_live_devices_follow_the_configuration() -> None:
    live = LiveDevices()
    assert live.realtime
    names = [stream.name for stream in live.streams(Config(), SessionClock())]
    assert names == ["camera", "microphone"]
    off = Config(camera=CameraConfig(enabled=False), microphone=MicrophoneConfig(enabled=False))
    with pytest.raises(SourceError, match="both disabled"):
        live.streams(off, SessionClock())
