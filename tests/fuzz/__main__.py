"""Long runs by hand: ``python -m tests.fuzz KIND --seconds N --seed S [--keep FOLDER]``.

Inputs are read in a child process, so that a crash of a library, a hang or a full memory is a finding
and not the end of the run. A finding's input is kept in the folder; ``--input FILE`` reads one again.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from time import perf_counter

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, Target

LONGEST_S = 20.0
"""One input may take this long, on a machine that does other work besides."""
MOST_BYTES = 6 << 30
"""Address space of the child: what asks for more finds none."""
GROWTH_MB = 700
"""An input that lifts the highest memory so far by more than this is a finding."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", choices=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    parser.add_argument("--input", type=Path, help="read this file once, with its traceback")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    target = TARGETS[given.kind]
    if given.input:
        target.run(given.input.read_bytes())
        return 0
    given.keep.mkdir(parents=True, exist_ok=True)
    if given.child:
        _try_many(given.kind, target, given.seconds, given.seed, given.keep)
        return 0
    return _watch(given)


def _watch(given: argparse.Namespace) -> int:
    """Start children until the time is over; count what they did and how they ended."""
    start_s, seed, executions = perf_counter(), given.seed, 0
    findings: dict[str, int] = {}
    while (left_s := given.seconds - (perf_counter() - start_s)) > 1:
        command = [sys.executable, "-m", "tests.fuzz", given.kind, "--child"]
        command += ["--seconds", str(left_s), "--seed", str(seed), "--keep", str(given.keep)]
        ended = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        report = given.keep / f"{given.kind}-{seed}.json"
        told = json.loads(report.read_text()) if report.is_file() else {"executions": 0}
        executions += told["executions"]
        for what, count in told.get("findings", {}).items():
            findings[what] = findings.get(what, 0) + count
        if ended.returncode != 0:
            name = signal.Signals(-ended.returncode).name if ended.returncode < 0 else "exit"
            what = f"{'hang' if name == 'SIGALRM' else 'crash'} ({name})"
            findings[what] = findings.get(what, 0) + 1
            kept = given.keep / f"{given.kind}-{seed}.{name}"
            current = given.keep / f"{given.kind}.current"
            if not current.is_file():
                return ended.returncode  # not even the good inputs could be read
            current.replace(kept)
            sys.stdout.write(f"{what}: {kept}\n")
        seed += 1
    sys.stdout.write(f"{given.kind}: {executions} executions in {given.seconds:g} s, ")
    sys.stdout.write(f"{len(findings)} kinds of findings\n")
    for what, count in findings.items():
        sys.stdout.write(f"  {count} x {what}\n")
    return 1 if findings else 0


def _try_many(kind: str, target: Target, seconds: float, seed: int, keep: Path) -> None:
    good = target.seeds()
    for data in good:
        target.run(data)  # loads what is loaded once
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    rng, current = random.Random(seed), keep / f"{kind}.current"
    findings: dict[str, int] = {}
    executions, start_s, peak_kb = 0, perf_counter(), _peak_kb()
    slowest_s = 0.0
    while perf_counter() - start_s < seconds:
        data = mutated(good, rng)
        current.write_bytes(data)
        began_s = perf_counter()
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)  # unhandled: it ends the process
        what = _finding(target, data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest_s = max(slowest_s, perf_counter() - began_s)
        executions += 1
        peak_kb, before_kb = _peak_kb(), peak_kb
        if not what and peak_kb - before_kb > GROWTH_MB * 1024:
            what = f"memory grew by {GROWTH_MB} MB and more"
        if what:
            findings[what] = findings.get(what, 0) + 1
            if findings[what] == 1:
                kept = keep / f"{kind}-{seed}-{len(findings)}"
                kept.write_bytes(data)
                sys.stderr.write(f"{kept}: {what}\n")
        if executions % 20 == 1 or what:
            _report(keep / f"{kind}-{seed}.json", executions, findings)
    _report(keep / f"{kind}-{seed}.json", executions, findings)
    sys.stderr.write(f"slowest {slowest_s:.2f} s, peak {peak_kb // 1024} MB\n")


def _finding(target: Target, data: bytes) -> str:
    """Where and what was raised; "" when all was well."""
    try:
        target.run(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        ours = [
            f for f in traceback.extract_tb(error.__traceback__) if "realtime_er/" in f.filename
        ]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "target"
        return f"{type(error).__name__} at {where}"
    return ""


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _report(path: Path, executions: int, findings: dict[str, int]) -> None:
    path.write_text(json.dumps({"executions": executions, "findings": findings}))


if __name__ == "__main__":
    sys.exit(main())
