"""Which microphone is meant, and the same one again after it was away."""

from __future__ import annotations

from typing import Any

from realtime_er.errors import DeviceBusy, DeviceNotFound, SourceError
from realtime_er.sources.devices import list_microphones
from realtime_er.sources.portaudio_rest import portaudio_at_rest

_UNAVAILABLE = -9985
"""PortAudio's code for a device that is there, but that another program has."""

Found = tuple[int | None, dict[str, Any]]
"""Index (None: the system's default) and PortAudio's description."""


def find_microphone(library: Any, wanted: str, known_name: str | None = None) -> Found:  # noqa: ANN401
    """The microphone that somebody asked for.

    Args:
        library: The ``sounddevice`` module or a fake.
        wanted: Index, part of the name, or "" for the system's default.
        known_name: What was found before: devices change their index when one is unplugged, and
            an index must not end at another one. The default is whatever the system says it is.

    Raises:
        DeviceNotFound: there is no such microphone; the message lists what there is.
    """
    with portaudio_at_rest() as answers:
        if not answers:
            raise DeviceNotFound("microphone: the sound system does not answer")
        return _find(library, wanted, known_name)


def _find(library: Any, wanted: str, known_name: str | None) -> Found:  # noqa: ANN401
    listing = list_microphones(library)
    if not wanted:
        try:
            return None, dict(library.query_devices(None, "input"))
        except (library.PortAudioError, ValueError) as error:
            why = listing.problem or f"no default microphone; {listed(library)}"
            raise DeviceNotFound(f"microphone: {why}") from error
    by_index = wanted.isdigit()
    same = [device.index for device in listing.devices if device.name == known_name]
    if known_name is None and by_index:
        same = [device.index for device in listing.devices if device.index == int(wanted)]
    elif not by_index:
        same += [d.index for d in listing.devices if wanted.casefold() in d.name.casefold()]
    if by_index and int(wanted) in same:
        same = [int(wanted)]
    if not same:
        called = known_name if by_index and known_name is not None else repr(wanted)
        raise DeviceNotFound(f"no microphone {called}; {listed(library)}")
    return same[0], dict(library.query_devices(same[0], "input"))


def cannot_open(library: Any, name: str, failure: Exception) -> SourceError:  # noqa: ANN401
    """Why a microphone that is there cannot be opened, in one line."""
    if _UNAVAILABLE in failure.args or str(_UNAVAILABLE) in str(failure):
        return DeviceBusy(f"microphone {name}: another program has it; close that one")
    why = _why(failure)
    return DeviceNotFound(f"microphone {name}: cannot be opened: {why}; {listed(library)}")


def _why(failure: Exception) -> str:
    """What the system says, where PortAudio only passes it on among its own codes."""
    match failure.args:
        case (_, _, (_, _, str(text))) if text:
            return text
    return str(failure)


def listed(library: Any) -> str:  # noqa: ANN401
    """The microphones there are, in words."""
    found = list_microphones(library)
    names = ", ".join(f"{device.index} {device.name}" for device in found.devices)
    return f"there are: {names}" if names else found.problem
