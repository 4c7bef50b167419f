"""Versions and combinations of packages that are known to make trouble, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from realtime_er.cli.doctor.finding import Finding

_PIP = "python -m pip"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Known trouble.

    Attributes:
        package: That makes it.
        versions: Which of its versions; "" for all.
        beside: Only where this one is installed as well; "" for always.
        reason: What goes wrong.
        fix: What to do.
    """

    package: str
    versions: str
    beside: str
    reason: str
    fix: str


TROUBLES = (
    Trouble(
        "opencv-python",
        "",
        "opencv-python-headless",
        "both write into one folder, so what is loaded is a mixture of two versions",
        f"{_PIP} uninstall -y opencv-python opencv-python-headless &&"
        f" {_PIP} install 'opencv-python-headless<5'",
    ),
    Trouble(
        "opencv-python",
        "",
        "PySide6-Essentials",
        "it brings Qt libraries of its own, with which the window cannot start on Linux",
        f"{_PIP} uninstall -y opencv-python && {_PIP} install 'opencv-python-headless<5'",
    ),
    Trouble(
        "opencv-python-headless",
        ">=5",
        "",
        "OpenCV 5 has no Haar cascades, which the face detector 'haar' needs",
        f"{_PIP} install 'opencv-python-headless<5'",
    ),
    Trouble(
        "webrtcvad",
        "<2.0.14",
        "",
        "it imports pkg_resources, which newer versions of setuptools no longer have",
        f"{_PIP} uninstall -y webrtcvad && {_PIP} install --force-reinstall webrtcvad-wheels",
    ),
    Trouble(
        "PySide6-Essentials",
        ">=6.12",
        "pyqtgraph",
        "the window was seen to abort after some hundred paints on Python 3.11",
        f"{_PIP} install 'PySide6-Essentials<6.12'",
    ),
    Trouble(
        "onnxruntime-gpu",
        "",
        "onnxruntime",
        "both write into one folder; which of them is loaded depends on which came last",
        f"{_PIP} uninstall -y onnxruntime-gpu onnxruntime && {_PIP} install onnxruntime",
    ),
)


def known() -> Iterator[Finding]:
    """The trouble that is here."""
    found = [_finding(trouble) for trouble in TROUBLES if _applies(trouble)]
    found += _torchvision()
    yield from found or [Finding("known trouble", "ok", "none of it is here")]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _applies(trouble: Trouble) -> bool:
    version = _version(trouble.package)
    if version is None or not SpecifierSet(trouble.versions).contains(version, prereleases=True):
        return False
    return not trouble.beside or _version(trouble.beside) is not None


def _finding(trouble: Trouble) -> Finding:
    beside = f" beside {trouble.beside}" if trouble.beside else ""
    detail = f"{_version(trouble.package)}{beside}: {trouble.reason}"
    return Finding(trouble.package, "note", detail, trouble.fix)


def _torchvision() -> list[Finding]:
    """Torch and torchvision belong together, version by version; torchvision says which."""
    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return []
    for text in metadata.requires("torchvision") or []:
        requirement = Requirement(text)
        if requirement.name != "torch" or requirement.specifier.contains(torch, prereleases=True):
            continue
        detail = (
            f"{torchvision} was built for torch{requirement.specifier}, {torch} is installed:"
            " its operators do not load"
        )
        fix = f"{_PIP} install torch torchvision --upgrade"
        return [Finding("torchvision", "note", detail, fix)]
    return []
