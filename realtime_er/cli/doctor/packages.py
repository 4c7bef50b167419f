"""The packages that the program needs: there, loadable, and of versions that it was made for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from realtime_er.cli.doctor.finding import Finding

_IMPORTED = ("numpy", "av", "cv2", "onnxruntime", "pyarrow", "matplotlib", "soxr")
_REINSTALL = "reinstall realtime_er: python -m pip install --force-reinstall realtime_er"


def imports() -> Iterator[Finding]:
    """Whether what everything needs can be loaded."""
    for name in _IMPORTED:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - one built for another NumPy may raise anything
            yield Finding(name, "broken", str(error), _REINSTALL)
            continue
        yield Finding(name, "ok", str(getattr(module, "__version__", "installed")))


def requirements() -> Iterator[Finding]:
    """Installed packages that are not of a version that the program was made for."""
    try:
        declared = metadata.requires("realtime_er") or []
    except metadata.PackageNotFoundError:
        detail = "realtime_er runs from its source folder, so its versions are not checked"
        yield Finding("versions", "note", detail, "python -m pip install -e .")
        return
    wrong = 0
    seen: set[str] = set()
    for text in declared:
        try:
            requirement = Requirement(text)
            found = metadata.version(requirement.name)
        except (InvalidRequirement, metadata.PackageNotFoundError):
            continue  # belongs to an extra that is not installed; what is needed is loaded above
        if requirement.specifier.contains(found, prereleases=True) or requirement.name in seen:
            continue
        seen.add(requirement.name)
        wrong += 1
        wanted = f"{requirement.name}{requirement.specifier}"
        yield Finding(
            requirement.name,
            "note",
            f"{found} is installed, realtime_er was made for {requirement.specifier}",
            f"python -m pip install '{wanted}'",
        )
    if not wrong:
        version = metadata.version("realtime_er")
        yield Finding("versions", "ok", f"realtime_er {version} and all its packages fit together")


def installed() -> dict[str, str]:
    """Every installed package with its version, by name."""
    found = {
        re.sub(r"[-_.]+", "-", distribution.name).lower(): distribution.version
        for distribution in metadata.distributions()
        if distribution.name
    }
    return dict(sorted(found.items()))
