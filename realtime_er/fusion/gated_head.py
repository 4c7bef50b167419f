"""The published gated fusion at run time: torch, every subset of the modalities in one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from realtime_er.encoders.bundle import Card, sha256_of
from realtime_er.encoders.model_files import file_of_card
from realtime_er.errors import ConfigError, SpecMismatch, WeightsMissing
from realtime_er.fusion.gated import Gate, GatedAttentionFusion, load_head
from realtime_er.fusion.head import SUBSETS, FusionInput, subset_name
from realtime_er.fusion.head_classes import MULTI_LABEL, SIX_CLASSES, Classes
from realtime_er.fusion.late import checked_vector, label_columns
from realtime_er.messages import LABELS, MODALITIES, FloatArray

Missing = Literal["mask", "zero", "subset"]
"""What stands for an absent modality in a gated head.

"mask": its terms are left out of the pairs, see ``GatedFeatureLayer``. "zero": a vector of zeros,
as in the publication's Setup 1. "subset": a head of its own for every subset, as in Setup 2.
"""


class GatedHead:
    """A fusion head of MER for live use. One owning thread.

    A modality that the head was not trained with is not read: a subset with it has the
    probabilities of the subset without it, and none left to read gives the prior.

    Args:
        nets: subset of the modalities to what scores it, in evaluation mode on the CPU.
        classes: what the outputs mean.
        trained: modalities that the head was trained with.
        encoders: modality to encoder id.
        missing: what stands for an absent modality.
        temperatures: subset to divisor of the logits.
        head_id: identity.
        notices: one-line notices for the user.
    """

    def __init__(
        self,
        nets: Mapping[frozenset[str], GatedAttentionFusion],
        classes: Classes,
        trained: frozenset[str],
        encoders: Mapping[str, str],
        missing: Missing,
        temperatures: Mapping[frozenset[str], float],
        head_id: str,
        notices: tuple[str, ...],
    ) -> None:
        self._nets = dict(nets)
        self._classes = classes
        self._trained = trained
        self._encoder_ids = dict(encoders)
        self._missing = missing
        self._temperatures = dict(temperatures)
        self._head_id = head_id
        self._notices = notices
        self.lengths = input_lengths(next(iter(self._nets.values())))
        """Modality to the length of its vector."""

    @property
    def head_id(self) -> str:
        """Identity of the head."""
        return self._head_id

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to the id of the encoder that the head is used with."""
        return self._encoder_ids

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the head knows, in the project's order."""
        known = ~np.isnan(self._classes.prior)
        return tuple(label for label, there in zip(LABELS, known, strict=True) if there)

    @property
    def prior(self) -> FloatArray:
        """float32 [7], the probabilities without any evidence; NaN where a label is not known."""
        return self._classes.prior.copy()

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices for the user."""
        return self._notices

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        """Calibrated probabilities of each non-empty subset of the present modalities.

        Returns:
            Subset to float32 [7], NaN where the head does not know a label; the others sum to one
            unless the head is multi-label. Empty when nothing is present.

        Raises:
            ValueError: a vector has the wrong length or is not finite.
        """
        present = fusion_input.present
        vectors = {
            name: checked_vector(name, fusion_input.of(name), self.lengths[name])
            for name in MODALITIES
            if name in present & self._trained
        }
        read = [subset for subset in SUBSETS if subset <= vectors.keys()]
        values = self._scored(read, vectors) if read else {}
        values[frozenset()] = self._classes.prior
        return {
            subset: values[subset & self._trained].copy() for subset in SUBSETS if subset <= present
        }

    def _scored(
        self, subsets: list[frozenset[str]], vectors: Mapping[str, FloatArray]
    ) -> dict[frozenset[str], FloatArray]:
        values = {}
        rows = self._rows(subsets, vectors)
        with torch.inference_mode():
            # One batch for each network: all subsets in one, unless every subset has its own.
            for net in {id(net): net for net in self._nets.values()}.values():
                own = [row for row, subset in enumerate(subsets) if self._nets[subset] is net]
                if not own:
                    continue
                logits = net(*(rows[name][own] for name in (*MODALITIES, "mask"))).numpy()
                for place, row in enumerate(own):
                    subset = subsets[row]
                    values[subset] = label_columns(
                        logits[place],
                        self._classes.names,
                        self._temperatures[subset],
                        multi=self._classes.multi,
                    )
        return values

    def _rows(
        self, subsets: list[frozenset[str]], vectors: Mapping[str, FloatArray]
    ) -> dict[str, torch.Tensor]:
        there = np.array([[name in subset for name in MODALITIES] for subset in subsets])
        mask = there
        if self._missing == "zero":
            # Setup 1: the network is not told that a modality is absent.
            mask = np.repeat(
                np.array([[name in self._trained for name in MODALITIES]]), len(there), 0
            )
        rows = {"mask": torch.from_numpy(mask.astype(np.float32))}
        for column, name in enumerate(MODALITIES):
            vector = vectors.get(name, np.zeros(self.lengths[name], np.float32))
            rows[name] = torch.from_numpy(
                np.where(there[:, column : column + 1], vector, np.float32(0.0))
            )
        return rows


def input_lengths(net: GatedAttentionFusion) -> dict[str, int]:
    """Length of the vector of every modality."""
    layers = (net.fc_video, net.fc_audio, net.fc_text)
    return {name: layer.in_features for name, layer in zip(MODALITIES, layers, strict=True)}


@dataclass(frozen=True)
class GatedSettings:
    """How a gated head is used, see ``paper_head.load_paper_head``."""

    gate: Gate = "softmax"
    missing: Missing = "mask"
    temperatures: Mapping[str, float] = field(default_factory=dict)


def gated_from_file(path: Path, encoders: Mapping[str, str], settings: GatedSettings) -> GatedHead:
    """A head from a bare checkpoint, which names neither its classes nor its encoders.

    Raises:
        WeightsMissing: there is no such file.
        SpecMismatch: it is another model's, or has classes that cannot be told.
        ConfigError: heads of subsets are asked for.
    """
    if settings.missing == "subset":
        raise _no_subset_heads(path)
    net = load_head(path, gate=settings.gate)
    n_classes = net.classifier.out_features
    corpus = next((name for name in SIX_CLASSES if name in path.resolve().parent.name.upper()), "")
    if n_classes == len(LABELS):
        names: tuple[str, ...] = LABELS
        corpus = ""
    elif corpus and n_classes == len(SIX_CLASSES[corpus]):
        names = SIX_CLASSES[corpus]
    else:
        raise SpecMismatch(
            f"{path}: {n_classes} classes, and the file does not name them; one of six must lie in "
            f"a folder named after its corpus ({' or '.join(SIX_CLASSES)})"
        )
    uniform = np.full(n_classes, 1.0 / n_classes, np.float32)
    classes = Classes.of(names, uniform, multi=corpus in MULTI_LABEL, where=path)
    head_id = f"mer-{path.stem}/{sha256_of(path)[:12]}"
    unchecked = f"{path.name} names no encoders, so nothing says that those in use are its own"
    return GatedHead(
        dict.fromkeys(SUBSETS, net),
        classes,
        frozenset(MODALITIES),
        encoders,
        settings.missing,
        _temperatures({}, settings.temperatures),
        head_id,
        (unchecked, *classes.notices(head_id, names)),
    )


def gated_from_card(
    card: Card, trained: frozenset[str], encoders: Mapping[str, str], settings: GatedSettings
) -> GatedHead:
    """A head that ``train mer`` wrote; the gate is that of its card.

    Args:
        card: of the head's folder.
        trained: modalities that it was trained with.
        encoders: modality to encoder id, checked against the card.
        settings: how it is used.

    Raises:
        WeightsMissing: a file is not there.
        SpecMismatch: card and files contradict each other.
        ConfigError: heads of subsets are asked for and there are none.
    """
    gate = card.raw.get("gate", "softmax")
    net = load_head(card.path, gate=gate)
    if net.classifier.out_features != len(card.labels):
        raise SpecMismatch(
            f"{card.path}: {net.classifier.out_features} classes, its card names {len(card.labels)}"
        )
    nets = dict.fromkeys(SUBSETS, net)
    if settings.missing == "subset":
        nets |= _subset_nets(card, trained, gate, net)
    notices = tuple(
        f"head {card.id} was trained without {name}: it is shown and does not count"
        for name in MODALITIES
        if name in encoders and name not in trained
    )
    classes = Classes.of(
        card.labels, _prior(card), multi=bool(card.raw.get("multi_label")), where=card.folder
    )
    return GatedHead(
        nets,
        classes,
        trained,
        encoders,
        settings.missing,
        _temperatures(card.raw, settings.temperatures),
        card.id,
        (*notices, *classes.notices(card.id, card.labels)),
    )


def _prior(card: Card) -> FloatArray:
    given = card.raw.get("prior")
    if given is None:
        return np.full(len(card.labels), 1.0 / len(card.labels), np.float32)
    try:
        return np.array([given[name] for name in card.labels], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise SpecMismatch(f"{card.folder}: its card's prior lacks {error}") from error


def _subset_nets(
    card: Card, trained: frozenset[str], gate: Gate, whole: GatedAttentionFusion
) -> dict[frozenset[str], GatedAttentionFusion]:
    listed: Mapping[str, Any] = card.raw.get("subset_heads") or {}
    nets = {}
    for subset in SUBSETS:
        if not subset < trained:
            continue
        entry = listed.get(subset_name(subset))
        if entry is None:
            raise _no_subset_heads(card.folder)
        if not isinstance(entry, Mapping):
            raise SpecMismatch(f"{card.folder}: its card's subset_heads are not as they should be")
        path = file_of_card(card.folder, entry.get("file"))
        if not path.is_file():
            raise WeightsMissing(f"{path}: missing; copy the whole folder of the head")
        if sha256_of(path) != entry.get("sha256"):
            raise SpecMismatch(f"{path}: not the file its card describes (sha256)")
        net = load_head(path, gate=gate)
        same = net.classifier.out_features == whole.classifier.out_features
        if not same or input_lengths(net) != input_lengths(whole):
            raise SpecMismatch(f"{path}: other classes or inputs than {card.file}")
        nets[subset] = net
    return nets


def _no_subset_heads(where: Path) -> ConfigError:
    return ConfigError(
        f"{where}: has no head for every subset; train them with: realtime-er train mer --recipe "
        'subset_heads=true, or set missing to "mask" or "zero"'
    )


def _temperatures(
    card: Mapping[str, Any], given: Mapping[str, float]
) -> dict[frozenset[str], float]:
    """Of every subset: what is given, else the card's for it, else the card's one, else 1."""
    every = card.get("temperature", 1.0)
    own: Mapping[str, float] = card.get("temperatures") or {}
    found = {}
    for subset in SUBSETS:
        name = subset_name(subset)
        found[subset] = float(given.get(name, own.get(name, every)))
    if not all(value > 0.0 for value in found.values()):
        raise SpecMismatch(f"head {card.get('id')}: temperatures must be positive")
    return found
