"""What of a machine decides which form of a network is fast on it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ("realtime_er", "torch", "transformers", "onnx", "onnxruntime", "openvino")
_CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's name, what it can do as far as that is told, and how many there are."""
    told = _cpuinfo()
    name = told.get("model name") or platform.processor() or platform.machine()
    able = [flag for flag in _FLAGS if flag in told.get("flags", "").split()]
    return ", ".join([name, *able, f"{os.cpu_count()} processors"])


_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def sums_saturate() -> bool:
    """Whether 8-bit products overflow 16 bits on their way, as on x86 before VNNI.

    True where nothing is known: weights of seven bits are right everywhere.
    """
    return "vnni" not in processor()


def has_bf16() -> bool:
    """Whether products of bfloat16 are done by the processor itself."""
    return "bf16" in processor()


def versions() -> dict[str, str]:
    """Package to version of everything that makes or runs a form; absent ones are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries on Linux; nothing elsewhere."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _colon, value in pairs}
