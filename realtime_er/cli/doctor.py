"""``realtime-er doctor``: is everything here that the program needs, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, notice

if TYPE_CHECKING:
    from realtime_er.config import Config

State = Literal["ok", "note", "broken"]
_STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}
_PACKAGES = ("numpy", "av", "cv2", "onnxruntime", "pyarrow", "matplotlib", "soxr")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``broken``: nothing works without it; ``note``: something does not."""

    what: str
    state: State
    detail: str


def doctor(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    debug: options.Debug = False,
) -> None:
    """Check installation, models and devices.

    Exit code 1 when something is broken that everything needs.
    """
    from rich.console import Console
    from rich.table import Table

    settled = options.configure(config, settings, "live")
    findings = list(examine(settled))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    from rich.text import Text

    for finding in findings:
        state = Text(finding.state, _STYLES[finding.state])
        table.add_row(finding.what, state, Text(finding.detail))
    Console(highlight=False).print(table)
    broken = [finding.what for finding in findings if finding.state == "broken"]
    if broken:
        notice(f"error: broken: {', '.join(broken)}; what to do stands in the table above")
        raise typer.Exit(FAILED)


def examine(config: Config) -> Iterator[Finding]:
    """All findings, in the order of the data flow."""
    import os
    import platform

    yield Finding("system", "ok", f"{platform.platform()}, {os.cpu_count()} CPU cores")
    yield Finding("python", "ok", platform.python_version())
    yield _model_cache()
    missing = []
    for name in _PACKAGES:
        finding = _package(name)
        if finding.state == "broken":
            missing.append(name)
        yield finding
    if missing:
        return  # the checks below need them
    yield from _models(config)
    yield _detector(config)
    yield _speech_recognition(config)
    yield _cameras()
    yield _microphones()
    yield _window()


def _package(name: str) -> Finding:
    import importlib

    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Finding(name, "broken", f"{error}; reinstall realtime_er")
    detail = str(getattr(module, "__version__", "installed"))
    if name == "onnxruntime":
        detail += f" ({', '.join(module.get_available_providers())})"
    return Finding(name, "ok", detail)


def _model_cache() -> Finding:
    from pathlib import Path

    import platformdirs

    folder = Path(platformdirs.user_cache_dir("realtime_er")) / "models"
    return Finding("model cache", "ok", f"{folder}{'' if folder.is_dir() else ' (not there yet)'}")


def _models(config: Config) -> Iterator[Finding]:
    from realtime_er.cli.models import verify

    for kind, problem in verify(config):
        name = f"{kind} model"
        yield Finding(name, "broken", problem) if problem else Finding(name, "ok", "intact")


def _detector(config: Config) -> Finding:
    from realtime_er.errors import ModelError
    from realtime_er.perception.detectors import make_detector

    try:
        name = make_detector(config.face).name
    except ModelError as error:
        return Finding("face detector", "broken", str(error))
    return Finding("face detector", "ok", name)


def _speech_recognition(config: Config) -> Finding:
    from realtime_er.errors import ModelError
    from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model

    try:
        path = find_model(config.asr.model)
    except ModelError as error:
        return Finding("words", "note", str(error))
    if path is None:
        return Finding("words", "note", HOW_TO_INSTALL)
    return Finding("words", "ok", str(path))


def _cameras() -> Finding:
    from realtime_er.sources.devices import list_cameras

    listing = list_cameras()
    if listing.problem:
        return Finding("cameras", "note", f"{listing.problem}; 'live' needs one, or --no-video")
    found = ", ".join(f"{camera.index}: {camera.name}" for camera in listing.devices)
    return Finding("cameras", "ok", found)


def _microphones() -> Finding:
    from realtime_er.sources.devices import list_microphones

    listing = list_microphones()
    if listing.problem:
        return Finding("microphones", "note", f"{listing.problem}; 'live' needs one, or --no-audio")
    found = ", ".join(f"{mic.index}: {mic.name}" for mic in listing.devices)
    return Finding("microphones", "ok", found)


def _window() -> Finding:
    import os

    from realtime_er.cli.display import why_no_window

    why_not = why_no_window(os.environ)
    if why_not:
        return Finding("window", "note", f"{why_not}; without it there is the terminal")
    return Finding("window", "ok", "can be opened")
