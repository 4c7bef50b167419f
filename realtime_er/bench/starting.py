"""How long until something is seen: fresh processes, from their start on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from realtime_er.bench.tables import Row, Section, absent, median_row

_TIMEOUT_S = 120.0

_ANALYZE = """
import sys
from realtime_er.cli.options import configure
from realtime_er.analyze import Batch
from realtime_er.models import Models
from realtime_er.session import Session
from realtime_er.sources.media_file import MediaFile
config = configure(sys.argv[2], sys.argv[3:], "analyze")
with Session(config, source=MediaFile(sys.argv[1]), models=Models(config)) as session:
    for estimate in session.estimates():
        if estimate.label is not None or estimate.contributions:
            print("scored", flush=True)
            session.stop()
            break
    for estimate in session.estimates():
        pass
"""

_IMPORTS = {
    "import_help": ("--help", "import realtime_er.cli"),
    "import_live": (
        "live and demo in a terminal",
        "import realtime_er.cli.watch, realtime_er.session, realtime_er.sources.live",
    ),
    "import_analyze": (
        "analyze",
        "import realtime_er.analyze, realtime_er.session, realtime_er.sources.media_file",
    ),
}


def starting_section(preset: str, settings: Sequence[str], clip: Path, repeats: int) -> Section:
    """First scores of ``analyze`` and ``demo``, and what importing takes.

    Args:
        preset: of the configuration: "analyze" or "paper".
        settings: KEY=VALUE for both.
        clip: what is analysed.
        repeats: fresh processes for each.
    """
    analyze = [_until_scored(preset, settings, clip) for _ in range(repeats)]
    demo = [_until_json(preset, settings) for _ in range(repeats)]
    rows: list[Row] = []
    for key, what, found in (
        ("analyze", "first score of analyze", analyze),
        ("demo", "first score of demo (paced, it has to see and hear something)", demo),
    ):
        values = [seconds for seconds in found if seconds is not None]
        if values:
            rows.append(median_row(key, what, values, "s", "from the start of the process"))
        else:
            rows.append(absent(key, what, "s", "the process gave no score"))
    for key, (what, code) in _IMPORTS.items():
        rows.append(
            median_row(key, f"imports of {what}", [_import_s(code) for _ in range(repeats)], "s")
        )
    return Section("start", "Start of a fresh process", tuple(rows))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def _until_scored(preset: str, settings: Sequence[str], clip: Path) -> float | None:
    command = [sys.executable, "-c", _ANALYZE, str(clip), preset, *settings]
    return _until(command, lambda line: line.startswith("scored"))


def _until_json(preset: str, settings: Sequence[str]) -> float | None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "realtime_er", "demo", "--json", "--seconds", "8"]
        command += ["--out", folder] + (["--config", preset] if preset == "paper" else [])
        for setting in settings:
            command += ["--set", setting]
        return _until(command, _has_score)


def _has_score(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and any(name.startswith("contribution_") for name in record)


def _until(
    command: list[str], wanted: Callable[[str], bool], patience_s: float = _TIMEOUT_S
) -> float | None:
    """Seconds from starting a process to the line that is wanted; None when it never comes."""
    started_s = time.perf_counter()
    found_s: float | None = None
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None  # it is a pipe
        # A process that says nothing would be waited for as long as it lives.
        watchdog = threading.Timer(patience_s, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                if wanted(line):
                    found_s = time.perf_counter() - started_s
                    break
            process.terminate()
            process.communicate()
        finally:
            watchdog.cancel()
    return found_s


def _import_s(code: str) -> float:
    timed = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    done = subprocess.run(
        [sys.executable, "-c", timed],
        capture_output=True,
        text=True,
        check=True,
        timeout=_TIMEOUT_S,
    )
    return float(done.stdout)
