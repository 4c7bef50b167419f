"""Hours in minutes: the whole session with its shipped models on a simulated computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realtime_er.bench.machine import describe_machine
from realtime_er.config import load_config
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.soak.devices import WorldDevices
from tests.soak.machine import CostlyModels, SoakMachine
from tests.soak.material import FPS, SIZE_PX, Material, Plan, sounds
from tests.soak.watch import (
    Watch,
    accounts,
    av_errors,
    errors_told,
    read_rows,
    replayed,
    trend,
    write_summary,
)

MEDIA = "media.mkv"
STOP = "stop"
"""A file of this name in the folder of a run ends it early, with all that is done at its end."""

BLOCK_S = 0.04
"""Twice the usual: every block wakes four threads, which is most of what a simulated second costs."""


def accelerated(
    seconds: float,
    out: Path,
    *,
    seed: int = 8,
    every_s: float = 60.0,
    warm_up_s: float = 1800.0,
    words: bool = True,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Run a recorded live session for so many simulated seconds; what came of it.

    Args:
        seconds: Of simulated time.
        out: A new folder; the session, the samples and the summary are written there.
        seed: Of the plan.
        every_s: Between two samples.
        warm_up_s: What comes before does not count for growth.
        words: Whether speech is recognised.
        say: Takes a line for each sample.
    """
    heard = sounds()
    plan = Plan(seconds, seed, list(heard))
    machine = SoakMachine()
    world = WorldDevices(machine, Material(plan, heard))
    config = load_config(
        "live",
        {
            "camera.width_px": SIZE_PX[0],
            "camera.height_px": SIZE_PX[1],
            "camera.fps": float(FPS),
            "microphone.block_s": BLOCK_S,
            "asr.enabled": words,
        },
    )
    models = CostlyModels(config, machine, plan.load)
    folder = out / "session"
    out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {"seconds": seconds, "seed": seed, "machine": describe_machine()}
    with pytest.MonkeyPatch.context() as patch:
        machine.install(patch)
        with Session(config, source=world, models=models, record=(folder, RecordOptions())) as run:
            watch = Watch(run, out, every_s=every_s, say=say)
            for estimate in run.estimates():
                watch.see(estimate)
                if estimate.time_s >= seconds or (out / STOP).exists():
                    run.stop()
            notices = run.notices
            kinds = run.devices()
        machine.wait_until(machine.now_s() + 1.0)  # the thread of the sound system ends
    say("the session has ended; reading back what was recorded")
    summary |= {
        "notices": notices,
        "troubles": plan.counts(),
        "handed_over": {"frames": world.frames, "samples": world.samples},
        "devices": kinds,
        "trend": trend(read_rows(out), warm_up_s),
        "after": accounts(run),
    }
    # Kept as it comes: the rest takes minutes.
    write_summary(out, summary)
    summary["av_error_s"] = errors_told(av_errors(folder / MEDIA, plan.troubled))
    write_summary(out, summary)
    say("the pictures and the sound have been compared; computing the estimates again")
    summary["replay"] = replayed(folder)
    return write_summary(out, summary)
