"""The form of a network that is fastest on this machine and gives what torch gives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from realtime_er.encoders.runtimes.machine import processor
from realtime_er.encoders.runtimes.opening import Place, candidates, open_form
from realtime_er.encoders.runtimes.parity import N_INPUTS, Reference, compare
from realtime_er.encoders.runtimes.protocol import (
    REFERENCE,
    Example,
    Form,
    Network,
    Precision,
    Runtime,
    RuntimeName,
)
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime
from realtime_er.errors import ModelError

MEASURED_S = 2.0
"""How long all forms of a network are timed, together; each three times at least."""
_PARITY_SEED = 2


@dataclass(frozen=True)
class Choice:
    """What was decided for one network on one machine.

    Attributes:
        form: what is used.
        cost_ms: form to the time of one call, in milliseconds of processor time (wall time on
            CUDA).
        refused: form to the reason why it is not used though it would have been faster.
        agreement: how near the form that is used comes to torch; empty for torch itself.
    """

    form: Form
    cost_ms: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    agreement: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "form": list(self.form),
            "cost_ms": dict(self.cost_ms),
            "refused": dict(self.refused),
            "agreement": self.agreement,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Choice | None:
        """Of what ``to_record`` gave; None where it is something else."""
        try:
            runtime, precision = (str(part) for part in record["form"])
            return cls(
                Form(cast("RuntimeName", runtime), cast("Precision", precision)),
                {str(name): float(ms) for name, ms in record["cost_ms"].items()},
                {str(name): str(why) for name, why in record["refused"].items()},
                str(record["agreement"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def key_of(runtime: str, precision: str, place: Place) -> str:
    """What a choice is remembered by: what was asked for, and the machine."""
    return f"{runtime} {precision} on {place.device}, {place.threads} threads, {processor()}"


def recall(runtime: str, precision: str, place: Place) -> Choice | None:
    """The choice that was made on this machine; None where there was none."""
    found = place.store.recall(key_of(runtime, precision, place))
    return None if found is None else Choice.from_record(found)


def choose(
    network: Network,
    runtime: str,
    precision: str,
    place: Place,
    *,
    tell: Callable[[str], None] | None = None,
) -> Choice:
    """Exports what is not there, times every form, compares the fastest with torch, remembers.

    Takes minutes for full-size networks: torch itself runs ``N_INPUTS`` times.

    Args:
        network: what is run.
        runtime: "auto" or the only one to consider.
        precision: likewise.
        place: where.
        tell: gets a line about what is going on.

    Raises:
        ModelError: what was asked for is not installed, or no form of it gives what torch gives;
            the message has the reasons.
        ConfigError: there is no such form on this machine.
    """
    tell = tell or (lambda _line: None)
    refused: dict[str, str] = {}
    opened: dict[Form, Runtime] = {}
    for form in candidates(runtime, precision, place.device):
        tell(f"{network.name}: making {form}")
        try:
            opened[form] = open_form(form, network, place)
        except ModelError as error:
            refused[str(form)] = str(error)
    cost_ms = _timed(opened, network.example, on_cuda=place.device == "cuda")
    reference: Reference | None = None
    for form in sorted(opened, key=lambda form: cost_ms[str(form)]):
        agreement = ""
        if form != REFERENCE:
            if reference is None:
                torch_fp32 = opened.get(REFERENCE) or TorchRuntime(network.module, place.device)
                reference = Reference(torch_fp32, place.material(N_INPUTS, _PARITY_SEED))
            tell(f"{network.name}: comparing {form} with torch on {len(reference.inputs)} inputs")
            agreement = str(parity := compare(reference, opened[form]))
            if not parity.passed:
                refused[str(form)] = agreement
                del opened[form]  # several hundred megabytes
                continue
        choice = Choice(form, cost_ms, refused, agreement)
        place.store.remember(key_of(runtime, precision, place), choice.to_record())
        return choice
    reasons = "; ".join(f"{form}: {reason}" for form, reason in refused.items())
    raise ModelError(
        f"the {network.name} encoder cannot run as models.runtime={runtime}, "
        f"models.precision={precision} ({reasons}); leave both at auto"
    )


def _timed(
    runtimes: Mapping[Form, Runtime], example: Example, *, on_cuda: bool
) -> dict[str, float]:
    """Median milliseconds of one call, the forms taking turns so that all meet the same load."""
    # On a busy machine the processor's time says what a form costs; of CUDA it says nothing.
    clock = time.perf_counter if on_cuda else time.process_time
    for runtime in runtimes.values():
        runtime.run(*example)
    found: dict[Form, list[float]] = {form: [] for form in runtimes}
    until_s = time.perf_counter() + MEASURED_S
    rounds = 0
    while rounds < 3 or time.perf_counter() < until_s:
        rounds += 1
        for form, runtime in runtimes.items():
            before_s = clock()
            runtime.run(*example)
            found[form].append(1000.0 * (clock() - before_s))
    return {str(form): round(statistics.median(taken), 3) for form, taken in found.items()}
