"""Writes ``constraints.txt``: the exact versions with which everything here was tested.

    .venv/bin/python scripts/constraints.py          after: make test
    pip install -c constraints.txt -e ".[offline,window]"

It walks what the project's extras require, as installed, so that what somebody else put into the
environment stays out. A local part of a version ("+cpu") is left off: it says which index was used.
"""

from __future__ import annotations

import platform
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "constraints.txt"


def required() -> list[Requirement]:
    """What the project and all its extras name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in named for line in lines]


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Name to version of everything that they need here."""
    waiting = [
        (canonicalize_name(one.name), part) for one in requirements for part in ["", *one.extras]
    ]
    seen: set[tuple[str, str]] = set()
    found: dict[str, str] = {}
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed, or another platform's
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                key = canonicalize_name(needed.name)
                waiting += [(key, part) for part in ["", *needed.extras]]
    return found


def main() -> None:
    """Write the file beside pyproject.toml."""
    version = ".".join(platform.python_version_tuple()[:2])
    head = [
        "# Exact versions with which all tests pass; made by scripts/constraints.py, not by hand.",
        f"# Python {version}, {platform.system()} {platform.machine()}.",
        '# Use: pip install -c constraints.txt -e ".[offline,window]"',
    ]
    found = closure(required())
    lines = [f"{name}=={version.partition('+')[0]}" for name, version in sorted(found.items())]
    OUT.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    sys.stdout.write(f"{OUT.name}: {len(lines)} packages\n")


if __name__ == "__main__":
    main()
