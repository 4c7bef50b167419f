"""Which cameras and microphones there are. Never raises: a reason comes with an empty list."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2

from realtime_er.errors import DeviceNotFound
from realtime_er.sources.portaudio_rest import portaudio_at_rest

PORTAUDIO_HINT = (
    "the PortAudio library is missing; install it"
    " (Debian, Ubuntu: apt install libportaudio2; macOS: brew install portaudio)"
)
_PROBED = 4
_VIDEO4LINUX = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class MicrophoneDevice:
    """A sound input: index and name to ask for it by, its own rate, how many channels it has."""

    index: int
    name: str
    rate_hz: float
    channels: int
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A camera: index and name to ask for it by."""

    index: int
    name: str


D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Listing(Generic[D]):
    """The devices found, and when there are none, why ("" when there are)."""

    devices: tuple[D, ...]
    problem: str = ""


def load_portaudio() -> Any:  # noqa: ANN401 - an untyped module
    """The ``sounddevice`` module; its import loads and starts PortAudio.

    Raises:
        DeviceNotFound: the library is missing, or the sound system does not answer.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise DeviceNotFound(PORTAUDIO_HINT) from error
    except Exception as error:  # its own error class died with the import
        raise DeviceNotFound(f"the sound system does not answer: {error}") from error
    return sounddevice


def list_microphones(library: Any = None) -> Listing[MicrophoneDevice]:  # noqa: ANN401
    """The sound inputs.

    Args:
        library: The ``sounddevice`` module, or a fake; imported when None.
    """
    try:
        library = load_portaudio() if library is None else library
        with portaudio_at_rest() as answers:
            if not answers:
                return Listing((), "the sound system does not answer")
            entries = list(library.query_devices())
            default = library.default.device[0]
    except DeviceNotFound as error:
        return Listing((), str(error))
    except library.PortAudioError as error:
        return Listing((), f"the sound system does not answer: {error}")
    found = tuple(
        MicrophoneDevice(
            index,
            str(entry["name"]),
            float(entry["default_samplerate"]),
            int(entry["max_input_channels"]),
            index == default,
        )
        for index, entry in enumerate(entries)
        if entry["max_input_channels"] > 0
    )
    return Listing(found, "" if found else "no microphone is connected")


def list_cameras(*, try_out: bool = True) -> Listing[CameraDevice]:
    """The webcams: by name on Linux, elsewhere the indices that open.

    Args:
        try_out: Elsewhere, open each to see whether it is there: that takes seconds, and their lights
            go on. False: the first few indices, whether or not there is a camera.
    """
    if sys.platform == "linux":
        found = _linux_cameras(_VIDEO4LINUX)
    elif not try_out:
        found = tuple(CameraDevice(index, f"camera {index}") for index in range(_PROBED))
    else:
        found = tuple(CameraDevice(index, f"camera {index}") for index in _opening())
    return Listing(found, "" if found else "no camera is connected")


def _linux_cameras(folder: Path) -> tuple[CameraDevice, ...]:
    if not folder.is_dir():
        return ()
    found = []
    for entry in folder.iterdir():
        number = entry.name.removeprefix("video")
        index_file = entry / "index"
        try:
            # A webcam has several nodes; all but the first deliver metadata.
            first = not index_file.is_file() or index_file.read_text().strip() == "0"
            if number.isdigit() and first:
                found.append(CameraDevice(int(number), (entry / "name").read_text().strip()))
        except OSError:  # it is being unplugged at this moment
            continue
    return tuple(sorted(found, key=lambda camera: camera.index))


def _opening() -> list[int]:
    library: Any = cv2  # its type stubs lack the log level
    level = library.getLogLevel()
    library.setLogLevel(0)  # an index that is absent is no error here
    try:
        opening = []
        for index in range(_PROBED):
            capture = cv2.VideoCapture(index)
            if capture.isOpened():
                opening.append(index)
            capture.release()
        return opening
    finally:
        library.setLogLevel(level)
