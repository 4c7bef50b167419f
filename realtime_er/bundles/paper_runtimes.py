"""What runs the published encoders on this machine, see ``encoders/runtimes``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, TypeAlias

from realtime_er.config import ModelsConfig
from realtime_er.errors import ModelError

if TYPE_CHECKING:
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
    from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder
    from realtime_er.encoders.runtimes.choice import Choice
    from realtime_er.encoders.runtimes.opening import Place
    from realtime_er.encoders.runtimes.protocol import Material

    Encoder: TypeAlias = EmoAffectNetEncoder | Wav2Vec2Encoder | DistilRobertaEncoder

TUNE = "realtime-er models tune"
NOT_TUNED = (
    f"the published encoders run with torch; {TUNE} finds what is faster here (minutes, once)"
)
_PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}


class Preparer:
    """Gives encoders the runtime that the settings and this machine ask for.

    Args:
        models: ``runtime``, ``precision`` and ``threads`` count.
    """

    def __init__(self, models: ModelsConfig) -> None:
        self._models = models
        self._done: set[str] = set()
        self.notices: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """CUDA where torch has it and nothing else is asked for."""
        import torch

        wanted = self._models.runtime in ("auto", "torch") and self._models.precision != "int8"
        return "cuda" if wanted and torch.cuda.is_available() else "cpu"

    def prepare(self, name: str, encoder: Encoder) -> None:
        """Put the runtime into an encoder that is to be used; once.

        Nothing is exported and nothing is timed unless the settings name what they want: "auto"
        uses what ``tune`` found, and torch where it was never run. On CUDA forms are made in
        seconds, so there they are tried at once.

        Raises:
            ModelError: what was asked for is not installed, or does not give what torch gives.
        """
        from realtime_er.encoders.runtimes.choice import recall
        from realtime_er.encoders.runtimes.opening import open_form
        from realtime_er.encoders.runtimes.protocol import REFERENCE

        models = self._models
        if name in self._done or encoder.network is None:
            return
        self._done.add(name)
        if models.runtime == "torch" and models.precision in ("auto", "fp32"):
            return
        place = self._place(name, encoder)
        found = recall(models.runtime, models.precision, place)
        asked = models.runtime != "auto" or models.precision != "auto"
        if found is None and not asked and place.device == "cpu":
            self.notices = (NOT_TUNED,)
            return
        choice = found or self.choice(name, encoder)
        if choice.form == REFERENCE:
            return
        encoder.runtime = open_form(choice.form, encoder.network, place)
        if choice.form.runtime != "torch":
            encoder.network = None  # half a gigabyte that is not needed any more

    def choice(
        self,
        name: str,
        encoder: Encoder,
        *,
        redo: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> Choice:
        """The fastest form on this machine that gives what torch gives; found out if need be.

        Raises:
            ModelError, ConfigError: see ``runtimes.choice.choose``.
        """
        from realtime_er.encoders.runtimes.choice import choose, recall

        models, place = self._models, self._place(name, encoder)
        known = None if redo else recall(models.runtime, models.precision, place)
        if known is not None:
            return known
        if encoder.network is None:
            raise ModelError(f"the {name} encoder is in use already; run: {TUNE}")
        return choose(encoder.network, models.runtime, models.precision, place, tell=tell)

    def remembered(self, name: str, identity: str) -> str:
        """The form that an encoder will have, after a space; empty for torch in fp32.

        From the files alone, so nothing of what ``prepare`` would find out anew.
        """
        from realtime_er.encoders.runtimes.choice import recall
        from realtime_er.encoders.runtimes.opening import Place
        from realtime_er.encoders.runtimes.protocol import REFERENCE
        from realtime_er.encoders.runtimes.store import Store

        models = self._models
        place = Place(self.device, models.threads, lambda *_: (), Store(name, identity))
        found = recall(models.runtime, models.precision, place)
        return "" if found is None or found.form == REFERENCE else f" {found.form}"

    def _place(self, name: str, encoder: Encoder) -> Place:
        from realtime_er.encoders.runtimes.opening import Place
        from realtime_er.encoders.runtimes.store import Store

        identity = "" if encoder.network is None else encoder.network.identity
        store = Store(name, identity)
        return Place(self.device, self._models.threads, _material(name, encoder), store)

    def describe(self, encoder: Encoder) -> dict[str, str]:
        """Runtime, precision and version, for a manifest."""
        runtime, precision = encoder.runtime.form
        version = metadata.version(_PACKAGES[runtime])
        return {"runtime": runtime, "precision": precision, "runtime_version": version}


def _material(name: str, encoder: Encoder) -> Material:
    from realtime_er.bundles import paper_material
    from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder

    if isinstance(encoder, DistilRobertaEncoder):
        return partial(paper_material.tokens, encoder)
    return paper_material.faces if name == "face" else paper_material.windows
