"""Which webcam is meant, the same one again after it was away, and why one cannot be opened."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from realtime_er.errors import DeviceBusy, DeviceNotFound, SourceError
from realtime_er.sources.devices import CameraDevice, list_cameras

_DEV = Path("/dev")
_PROC = Path("/proc")


class Webcam:
    """A webcam that was asked for by index, name or path, wherever it is now.

    Systems give cameras new indices when they are plugged in again, and an index to another camera:
    what was opened first is looked for by its name then. Owned by one thread at a time.

    Args:
        address: Its index or path when it was asked for.
    """

    def __init__(self, address: int | str) -> None:
        self._address = address
        self._name: str | None = None
        self._others: set[int] = set()  # those called the same that are not meant

    def locate(self) -> int | str:
        """Where to open it now.

        Raises:
            DeviceNotFound: it is away, and cameras with other names are not it.
        """
        index = _index(self._address)
        # Elsewhere than on Linux cameras have no names, and listing them would open them.
        if index is None or sys.platform != "linux":
            return self._address
        cameras = list_cameras().devices
        if self._name is None:
            self._name = next((c.name for c in cameras if c.index == index), None)
            self._others = {c.index for c in cameras if c.name == self._name} - {index}
            return self._address
        same = [c.index for c in cameras if c.name == self._name and c.index not in self._others]
        if index in same or not cameras:
            return self._address
        if not same:
            raise DeviceNotFound(f"{self._name} is away; {named(cameras)}")
        return same[0]


def _index(address: int | str) -> int | None:
    if isinstance(address, int):
        return address
    device = re.fullmatch(r"/dev/video(\d+)", address)
    return int(device.group(1)) if device else None


def named(cameras: tuple[CameraDevice, ...]) -> str:
    """Cameras in words."""
    listed = ", ".join(f"{camera.index} {camera.name}" for camera in cameras)
    return f"there are: {listed}" if listed else "no camera is connected"


def cannot_open(address: int | str) -> SourceError:
    """Why a webcam cannot be opened, in one line."""
    index = _index(address)
    if sys.platform != "linux" or index is None:
        return DeviceNotFound(
            "cannot be opened (it is absent, another program has it, or the system's privacy "
            "settings do not let this program use it)"
        )
    device = _DEV / f"video{index}"
    if not device.exists():
        return DeviceNotFound("cannot be opened: it is not connected")
    if not os.access(device, os.R_OK | os.W_OK):
        return DeviceNotFound(
            f"cannot be opened: no permission for {device} (sudo usermod -aG video $USER, then log "
            "in again)"
        )
    return DeviceBusy(f"{holder(device) or 'another program'} has it; close that one")


def holder(device: Path) -> str | None:
    """The other program that has a device open, as far as Linux tells us."""
    for process in _PROC.iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if any(entry.resolve() == device for entry in (process / "fd").iterdir()):
                return (process / "comm").read_text().strip()
        except OSError:  # another user's, or it has just ended
            continue
    return None
