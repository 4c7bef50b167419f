"""The run-time head of the ``paper`` bundle: published gated fusion, or calibrated late fusion.

Vectors in are those of MER: mean and population spread over recent windows of face and voice, and
the description of the utterance. A label that a head lacks is NaN (null in files), never zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from realtime_er.encoders.bundle import Card, load_card
from realtime_er.errors import ConfigError, SpecMismatch, WeightsMissing
from realtime_er.fusion.head import SUBSETS, FusionHead, subset_name
from realtime_er.fusion.late import LateFusionHead, LateWeights, OwnHead
from realtime_er.messages import MODALITIES

if TYPE_CHECKING:
    from realtime_er.fusion.gated import Gate
    from realtime_er.fusion.gated_head import Missing

PUBLISHED_FILE = "fusion.pth"


class PaperHead(FusionHead, Protocol):
    """A fusion head with something to say to the user."""

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices for the user, what could not be checked for instance."""
        ...


def load_paper_head(
    head: Path | None,
    *,
    encoders: Mapping[str, str],
    own_heads: Mapping[str, OwnHead],
    gate: Gate = "softmax",
    late_weights: LateWeights = "equal",
    missing: Missing = "mask",
    temperatures: Mapping[str, float] | None = None,
) -> PaperHead:
    """The head of a session with the published encoders.

    Args:
        head: a published checkpoint (``fusion.pth``, or the folder it lies in), safetensors, a
            folder that ``train mer`` or ``train late`` wrote, or None for late fusion of the
            encoders' own classifiers.
        encoders: modality to the id of the encoder in use; those switched off may be left out.
        own_heads: modality to its encoder's own classifier (``encoder.own_head``).
        gate: of a bare checkpoint, which does not say; a folder's card does.
        late_weights: of late fusion, see ``late.class_weights``.
        missing: what stands for an absent modality in a gated head, see ``gated_head.Missing``.
        temperatures: divisors of the logits by name of a subset ("face", "face+audio+text"), over
            those of the card; late fusion reads those of the single modalities.

    Raises:
        WeightsMissing: a file is not there.
        SpecMismatch: it is another model's, its card contradicts it, or it was trained on other
            encoders.
        ConfigError: the settings ask for what the head does not have, or for no temperature.
    """
    given = _checked_temperatures(temperatures or {})
    card = None
    if head is not None:
        path = head_file(head)
        if path.is_file():
            return _gated(path, encoders, own_heads, gate, missing, given)
        card = load_card(path)
        kind = card.raw.get("architecture") if card.kind == "fusion" else card.kind
        if kind == "gated":
            return _gated(card, encoders, own_heads, gate, missing, given)
        if kind != "late":
            raise SpecMismatch(
                f"{path}: a {kind} model, not a head for the published encoders; give one of "
                "realtime-er train mer, or none for late fusion"
            )
    return _late(card, encoders, own_heads, late_weights, given)


def head_file(head: Path) -> Path:
    """The checkpoint that ``paper.head`` names, or its folder where that has a card.

    Raises:
        WeightsMissing: there is no fusion head.
    """
    path = head.expanduser()
    if path.is_file() or (path / "card.json").is_file():
        return path
    if (path / PUBLISHED_FILE).is_file():
        return path / PUBLISHED_FILE
    found = f"neither card.json nor {PUBLISHED_FILE}" if path.is_dir() else "no such file or folder"
    raise WeightsMissing(
        f"{path}: no fusion head there: {found}; give the checkpoint itself, train one "
        "(realtime-er train mer), or leave paper.head empty for late fusion"
    )


def _gated(
    source: Path | Card,
    encoders: Mapping[str, str],
    own_heads: Mapping[str, OwnHead],
    gate: Gate,
    missing: Missing,
    temperatures: Mapping[str, float],
) -> PaperHead:
    from realtime_er.fusion import gated_head

    settings = gated_head.GatedSettings(gate, missing, temperatures)
    if isinstance(source, Card):
        trained = _trained(source, encoders)
        head = gated_head.gated_from_card(source, trained, encoders, settings)
    else:
        trained = frozenset(MODALITIES)
        head = gated_head.gated_from_file(source, encoders, settings)
    for name in trained & own_heads.keys() & encoders.keys():
        given = own_heads[name].dim * (1 if name == "text" else 2)
        if given != head.lengths[name]:
            where = source.folder if isinstance(source, Card) else source
            raise SpecMismatch(
                f"{where}: reads {head.lengths[name]} numbers of {name}, the encoder in use "
                f"({encoders[name]}) gives {given}; use the encoder that it was trained on"
            )
    return head


def _late(
    card: Card | None,
    encoders: Mapping[str, str],
    own_heads: Mapping[str, OwnHead],
    weights: LateWeights,
    temperatures: Mapping[str, float],
) -> PaperHead:
    if card is None:
        return LateFusionHead(own_heads, encoders, weights=weights, temperatures=temperatures)
    fitted = _trained(card, encoders)
    try:
        own = json.loads(card.path.read_text(encoding="utf-8"))["temperatures"]
        missing = fitted - own.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecMismatch(f"{card.path}: not what train late writes ({error})") from error
    if missing:
        raise SpecMismatch(f"{card.path}: no temperature of {', '.join(sorted(missing))}")
    return LateFusionHead(
        own_heads,
        encoders,
        weights=weights,
        temperatures={**_checked_temperatures(own), **temperatures},
        head_id=f"{card.id}-{weights}",
        notices=tuple(
            f"head {card.id} was fitted without {name}, which counts uncalibrated"
            for name in MODALITIES
            if name in encoders and name not in fitted
        ),
    )


def _trained(card: Card, encoders: Mapping[str, str]) -> frozenset[str]:
    """The modalities that a head was trained with, after checking that their encoders are its own."""
    known = card.raw.get("encoders")
    if not isinstance(known, dict) or not set(known) <= set(MODALITIES):
        raise SpecMismatch(f"{card.folder}: card.json names no encoders; train the head again")
    trained = frozenset(known) & frozenset(card.raw.get("modalities", MODALITIES))
    for modality in (name for name in MODALITIES if name in trained & encoders.keys()):
        if encoders[modality] != known[modality]:
            raise SpecMismatch(
                f"{card.folder}: head {card.id} was trained on {modality} encoder "
                f"{known[modality]}, not {encoders[modality]}; use that encoder, or train a head "
                "for this one (realtime-er train mer)"
            )
    if not trained & encoders.keys():
        reads = ", ".join(name for name in MODALITIES if name in trained) or "nothing"
        raise SpecMismatch(f"{card.folder}: head {card.id} reads {reads}, which is switched off")
    return trained


def _checked_temperatures(given: Mapping[str, object]) -> dict[str, float]:
    names = {subset_name(subset) for subset in SUBSETS}
    checked = {}
    for name, value in given.items():
        if name not in names:
            raise ConfigError(f"temperature of {name!r}: not one of {', '.join(sorted(names))}")
        if not isinstance(value, int | float) or not 0.0 < value < math.inf:
            raise ConfigError(f"temperature of {name}: must be above 0, not {value!r}")
        checked[name] = float(value)
    return checked
