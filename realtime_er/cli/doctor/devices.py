"""Cameras, sound and the window: there, allowed, not muted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.cli.doctor.finding import Finding
from realtime_er.cli.doctor.machine import output_of

if TYPE_CHECKING:
    from realtime_er.sources.devices import CameraDevice, Listing, MicrophoneDevice

_PRIVACY = {
    "darwin": "System Settings > Privacy & Security > {}: allow your terminal, then start it again",
    "win32": "Settings > Privacy & security > {}: allow desktop apps to use it",
}
"""Systems that keep programs away from devices until they are allowed."""


def _hint(device: str, plug_in: str) -> str:
    allow = _PRIVACY.get(sys.platform, "").format(device)
    return f"{plug_in}; {allow}" if allow else plug_in


def _listed(
    what: str, listing: Listing[CameraDevice] | Listing[MicrophoneDevice], fix: str
) -> Finding:
    if listing.problem:
        return Finding(what, "note", listing.problem, fix)
    found = ", ".join(f"{device.index}: {device.name}" for device in listing.devices)
    return Finding(what, "ok", found)


def cameras() -> Iterator[Finding]:
    """The webcams, and whether this user may open them."""
    from realtime_er.sources.devices import list_cameras

    listing = list_cameras()
    fix = _hint("Camera", "plug one in, give an address (--camera http://...), or --no-video")
    yield _listed("cameras", listing, fix)
    if sys.platform == "linux":
        nodes = [Path(f"/dev/video{camera.index}") for camera in listing.devices]
        yield from _permissions("camera access", nodes, "video")
        yield from _in_use(nodes)


def _in_use(nodes: list[Path]) -> Iterator[Finding]:
    from realtime_er.sources.camera_access import holder

    for node in nodes:
        if program := holder(node):
            yield Finding("camera in use", "note", f"{program} has {node}", "close that program")


def _permissions(what: str, nodes: list[Path], group: str) -> Iterator[Finding]:
    closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        fix = f"sudo usermod -aG {group} $USER, then log out and in again"
        yield Finding(what, "note", f"no permission for {', '.join(closed)}", fix)


def sound() -> Iterator[Finding]:
    """PortAudio, the microphones, and on Linux the sound server below it."""
    from realtime_er.errors import DeviceNotFound
    from realtime_er.sources.devices import list_microphones, load_portaudio

    try:
        library = load_portaudio()
    except DeviceNotFound as error:
        yield Finding("sound", "note", "PortAudio cannot be used", str(error))
        return
    yield Finding("sound", "ok", str(library.get_portaudio_version()[1]))
    listing = list_microphones(library)
    yield _listed("microphones", listing, _hint("Microphone", "plug one in, or --no-audio"))
    if sys.platform == "linux":
        yield from _linux_sound()


def _linux_sound() -> Iterator[Finding]:
    snd = Path("/dev/snd")
    if snd.is_dir():
        inputs = sorted(node for node in snd.iterdir() if node.name.endswith("c"))
        yield from _permissions("sound access", inputs, "audio")
    server = output_of("pactl", "info")
    if server is None:
        return  # no PulseAudio or PipeWire: PortAudio speaks to ALSA, which is as good
    if not server:
        fix = "systemctl --user restart pipewire pipewire-pulse (or: pulseaudio --start)"
        yield Finding("sound server", "note", "PulseAudio or PipeWire does not answer", fix)
        return
    name = next((x.split(": ", 1)[1] for x in server.splitlines() if "Server Name" in x), "there")
    muted = output_of("pactl", "get-source-mute", "@DEFAULT_SOURCE@") or ""
    if "yes" in muted:
        fix = "pactl set-source-mute @DEFAULT_SOURCE@ 0, or its switch in the system settings"
        yield Finding("sound server", "note", f"{name}: the default microphone is muted", fix)
    else:
        yield Finding("sound server", "ok", name)


def window() -> Finding:
    """Whether the live window can be opened."""
    from realtime_er.cli.display import why_no_window

    why_not = why_no_window(os.environ)
    if why_not:
        return Finding("window", "note", why_not, "without it there is the terminal")
    return Finding("window", "ok", "can be opened")
