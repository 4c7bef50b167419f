"""The machine and the packages that figures were measured with; never whose it is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from realtime_er.errors import ModelError

_PACKAGES = (
    "realtime_er",
    "numpy",
    "av",
    "opencv-python-headless",
    "onnxruntime",
    "ctranslate2",
    "faster-whisper",
    "soxr",
    "torch",
    "transformers",
    "openvino",
    "PySide6-Essentials",
    "pyqtgraph",
)


def need_psutil() -> None:
    """Say so when the package that reads memory and processors is not there.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import psutil  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "bench needs psutil, which is not installed; run: pip install psutil"
        ) from error


def describe_machine() -> dict[str, Any]:
    """Processor, memory, system, Python and package versions; no name and no address."""
    import psutil

    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "os": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "niceness": os.nice(0) if hasattr(os, "nice") else None,
    }


def usable_cores() -> int:
    """Logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def rss_mb() -> float:
    """Memory that this process holds now."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 2**20


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "Hardware"):
                return value.strip()
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()
