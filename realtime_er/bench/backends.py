"""One runtime against another: the published encoders in every form that runs here, in turn.

A figure is processor time of one call (one face, one window of 4 s, one utterance); the ratio is
against torch in fp32, round by round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from realtime_er.bench.tables import Row, Section, absent, alternate, median_row, ratios
from realtime_er.config import Config
from realtime_er.errors import ModelError

if TYPE_CHECKING:
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder
    from realtime_er.encoders.runtimes.protocol import Material

    Encoder: TypeAlias = EmoAffectNetEncoder | Wav2Vec2Encoder | DistilRobertaEncoder

_CALLS = 2
_REFERENCE = "torch fp32"
_TITLE = "Runtimes: processor time of one call, and how many times less than torch fp32"
Call: TypeAlias = Callable[[], object]


def backends_section(config: Config, repeats: int) -> Section:
    """Every form of every encoder of the bundle, taking turns.

    Args:
        config: names the encoders and how many processors a call may use.
        repeats: rounds; each has a few calls of every form.

    Raises:
        ModelError: the encoders cannot be loaded.
    """
    if config.models.bundle == "compact":
        why = "the compact models ship as ONNX and run with ONNX Runtime alone"
        return Section("backends", _TITLE, (absent("forms", "forms", "ms", why),))
    rows: list[Row] = []
    for name, encoder, material in _encoders(config):
        calls, refused = _forms(name, encoder, material, config.models.threads)
        measured = alternate({form: _timed(call) for form, call in calls.items()}, repeats)
        for form, values in measured.items():
            key = f"{name} {form}"
            rows.append(median_row(key, key, [1e3 * value for value in values], "ms"))
            if form != _REFERENCE:
                gained = ratios(measured[_REFERENCE], values)
                rows.append(median_row(f"{key} ratio", "  times less than torch", gained, "x"))
        rows += [
            absent(f"{name} {form}", f"{name} {form}", "ms", why) for form, why in refused.items()
        ]
    return Section("backends", _TITLE, tuple(rows))


def _timed(call: Call) -> Callable[[], float]:
    """Processor seconds of one call, threads of libraries included."""

    def run() -> float:
        since_s = time.process_time()
        for _ in range(_CALLS):
            call()
        return (time.process_time() - since_s) / _CALLS

    return run


def _encoders(config: Config) -> Iterator[tuple[str, Encoder, Material]]:
    """One after the other, so that memory holds one at a time."""
    from functools import partial

    from realtime_er.bundles import paper_material
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder

    paper = config.paper
    yield "face", EmoAffectNetEncoder(paper.face), paper_material.faces
    yield "audio", Wav2Vec2Encoder(paper.audio), paper_material.windows
    text = DistilRobertaEncoder(paper.text, tokenizer=paper.tokenizer or None)
    yield "text", text, partial(paper_material.tokens, text)


def _forms(
    name: str, encoder: Encoder, material: Material, threads: int
) -> tuple[dict[str, Call], dict[str, str]]:
    """What runs this encoder here, the reference first; and what does not, with the reason."""
    from realtime_er.encoders.runtimes.opening import (
        Place,
        candidates,
        open_form,
        set_torch_threads,
    )
    from realtime_er.encoders.runtimes.protocol import REFERENCE
    from realtime_er.encoders.runtimes.store import Store

    set_torch_threads(threads)
    network = encoder.network
    if network is None:
        raise ModelError(f"the {name} encoder gives its network to no other runtime")
    place = Place("cpu", threads, material, Store(name, network.identity))
    example = material(1, 0)[0]
    calls: dict[str, Call] = {}
    refused: dict[str, str] = {}
    for form in sorted(candidates("auto", "auto", "cpu"), key=lambda form: form != REFERENCE):
        try:
            runtime = open_form(form, network, place)
        except ModelError as error:
            refused[str(form)] = str(error)
            continue
        calls[str(form)] = lambda runtime=runtime: runtime.run(*example)  # type: ignore[misc]
    return calls, refused
