"""Long runs by hand: what becomes of a session that is left on.

    python -m tests.soak accelerated --hours 8 --out DIR     simulated time, the shipped models
    python -m tests.soak live --minutes 30 --out DIR         real time, real device streams
    python -m tests.soak together --minutes 5 --out DIR      real time: are flash and beep recorded together
    python -m tests.soak sounds --minutes 10 --out DIR       no speech: words invented
    python -m tests.soak plot --out DIR --picture FILE       of a run's samples, also of one that goes on

Samples are written as the run goes; a run that is cut short still tells what it saw.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", choices=["accelerated", "live", "together", "sounds", "plot"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    if asked.run == "plot":
        from tests.soak.plot import plot

        plot(asked.out, asked.picture or asked.out / "soak.png")
        return 0
    if asked.run == "accelerated":
        from tests.soak.accelerated import accelerated

        seconds = 3600 * asked.hours if asked.minutes is None else 60 * asked.minutes
        warm_up_s = min(1800.0, seconds / 4)
        told = accelerated(seconds, asked.out, seed=asked.seed, warm_up_s=warm_up_s, say=say)
    elif asked.run == "live":
        from tests.soak.live import live

        told = live(60 * (asked.minutes or 30.0), asked.out, say=say)
    elif asked.run == "together":
        from tests.soak.together import together

        told = together(60 * (asked.minutes or 5.0), asked.out, say=say)
    else:
        from tests.soak.not_speech import not_speech

        told = not_speech(60 * (asked.minutes or 10.0), asked.out, say=say)
    say(
        json.dumps({k: told[k] for k in ("trend", "av_error_s", "verdicts") if k in told}, indent=1)
    )
    return 0 if all(told["verdicts"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
