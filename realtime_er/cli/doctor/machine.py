"""The computer: system, memory, disk, clock, graphics card."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from realtime_er.cli.doctor.finding import Finding

_ANSWER_S = 5.0
_BYTES_PER_HOUR = 2e9
"""Of a recording at 720p."""
_LITTLE_BYTES = 5e9
_MEMORY_BYTES = 1e9
_COARSE_S = 0.005


def output_of(*command: str) -> str | None:
    """What a program of the system prints; "" when it fails, None when it is not there."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_ANSWER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def system() -> Iterator[Finding]:
    """System, Python and memory."""
    yield Finding("system", "ok", f"{platform.platform()}, {os.cpu_count()} CPU cores")
    yield Finding("python", "ok", platform.python_version())
    free = _free_memory(Path("/proc/meminfo"))
    if free is not None and free < _MEMORY_BYTES:
        fix = "close other programs; the published encoders need 2 GB"
        yield Finding("memory", "note", f"only {free / 1e9:.1f} GB are free", fix)
    elif free is not None:
        yield Finding("memory", "ok", f"{free / 1e9:.1f} GB free")


def _free_memory(table: Path) -> float | None:
    """Bytes that are available; None where the system does not say so in this way."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(kilobytes[0]) if kilobytes else None


def graphics() -> Iterator[Finding]:
    """The graphics card; nothing needs one, training is faster with it."""
    cards = output_of("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv")
    if cards is None:
        yield Finding("graphics card", "ok", "no NVIDIA card; none is needed")
        return
    names = ", ".join(cards.splitlines()[1:])
    if not names:
        fix = "look at what nvidia-smi says; only training uses the card"
        yield Finding("graphics card", "note", "the NVIDIA driver does not answer", fix)
    elif not _torch_sees_it():
        fix = "install torch for CUDA (pytorch.org); only training uses the card"
        yield Finding("graphics card", "note", f"{names}; torch does not see it", fix)
    else:
        yield Finding("graphics card", "ok", names)


def _torch_sees_it() -> bool:
    try:
        import torch
    except (ImportError, OSError):
        return False
    return bool(torch.cuda.is_available())


def folders() -> Iterator[Finding]:
    """Where models, settings and recordings go: room, and permission to write."""
    import platformdirs

    from realtime_er.cli.window_recording import DEFAULT_FOLDER

    cache = Path(platformdirs.user_cache_dir("realtime_er")) / "models"
    state = platformdirs.user_state_path("realtime_er", appauthor=False)
    for what, folder in (("model cache", cache), ("state folder", state)):
        place = _existing(folder)
        if os.access(place, os.W_OK):
            there = "" if folder.is_dir() else " (not there yet)"
            yield Finding(what, "ok", f"{folder}{there}")
        else:
            fix = f"give yourself permission for {place}"
            yield Finding(what, "note", f"{folder} cannot be written", fix)
    yield _disk(DEFAULT_FOLDER)


def _existing(folder: Path) -> Path:
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _disk(folder: Path) -> Finding:
    place = _existing(folder)
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("disk", "note", f"{place}: {error.strerror}", "record into another folder")
    room = f"{free / 1e9:.1f} GB free where recordings go, about {free / _BYTES_PER_HOUR:.0f} h"
    if not os.access(place, os.W_OK):
        fix = "go to another folder, or name one: realtime-er live --record DIR"
        return Finding("disk", "note", f"{place} cannot be written", fix)
    if free < _LITTLE_BYTES:
        fix = "free some, or record elsewhere: --record DIR; --no-media needs hardly any"
        return Finding("disk", "note", room, fix)
    return Finding("disk", "ok", room)


def clock() -> Iterator[Finding]:
    """The computer's date, which consents and recordings go by, and its finest tick."""
    now = datetime.now(UTC)
    written = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    fix = "set it (Linux: sudo timedatectl set-ntp true); consents and recordings go by it"
    synchronised = ""
    if sys.platform == "linux":
        synchronised = output_of("timedatectl", "show", "--property=NTPSynchronized") or ""
    if now < written - timedelta(days=1):
        detail = f"it is {now:%Y-%m-%d} here, but this program was installed on {written:%Y-%m-%d}"
        yield Finding("clock", "note", detail, fix)
    elif synchronised.strip().endswith("=no"):
        yield Finding("clock", "note", f"{now:%Y-%m-%d %H:%M} UTC, not synchronised", fix)
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")
    tick_s = time.get_clock_info("perf_counter").resolution
    if tick_s > _COARSE_S:
        detail = f"the finest tick is {1000 * tick_s:.0f} ms, too coarse for pictures and sound"
        yield Finding("ticks", "note", detail, "use a newer system or Python")
