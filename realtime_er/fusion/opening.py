"""A live session's fusion head: which folder holds it, and whether it can be live at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import platformdirs

from realtime_er.encoders.bundle import bundle_dir, load_card
from realtime_er.errors import ConfigError, SpecMismatch, WeightsMissing
from realtime_er.fusion.head import FusionHead, OnnxFusionHead
from realtime_er.fusion.registry import HEADS, heads_reading, kind_of


def saved_heads_dir() -> Path:
    """Where ``evaluate compare --save`` writes heads unless told otherwise."""
    return Path(platformdirs.user_cache_dir("realtime_er")) / "heads"


def head_folder(chosen: str, bundle: str, directory: str = "") -> Path:
    """The folder of a live session's head.

    Args:
        chosen: empty for the bundle's own; a name, for ``BUNDLE-fusion-NAME`` among the models or
            among saved heads; or a folder.
        bundle: "compact" for instance.
        directory: folder of the bundle's models; empty for those that ship.

    Raises:
        ConfigError: there is no such head, or what it reads does not exist live.
        WeightsMissing: a head of that name has not been trained.
    """
    usual = bundle_dir(bundle, "fusion", directory)
    if not chosen:
        return usual
    if (Path(chosen) / "card.json").is_file():
        return Path(chosen)
    if "/" in chosen or "\\" in chosen:
        raise WeightsMissing(f"models.head {chosen}: no folder of a head there (no card.json)")
    if "statistics" not in kind_of(chosen).reads:
        told = " or ".join(kind_of(chosen).reads)
        raise ConfigError(
            f"head {chosen} reads {told}, which a live session does not make; live there are "
            f"{', '.join(heads_reading('statistics'))}"
        )
    if _architecture(usual) == chosen:
        return usual
    places = [usual.with_name(f"{usual.name}-{chosen}"), saved_heads_dir() / chosen]
    for folder in places:
        if (folder / "card.json").is_file():
            return folder
    raise WeightsMissing(
        f"head {chosen}: no trained weights in {' or '.join(map(str, places))}; train it with: "
        f"realtime-er evaluate compare --data DIR --save {saved_heads_dir()}"
    )


def _architecture(folder: Path) -> str:
    there = (folder / "card.json").is_file()
    return str(load_card(folder, verify=False).raw.get("architecture", "")) if there else ""


def open_head(folder: Path, encoders: Mapping[str, str], threads: int = 1) -> FusionHead:
    """A trained head, by what its card says it is.

    Args:
        folder: ``model.onnx`` and ``card.json``.
        encoders: modality to the id of the encoder in use; those switched off may be left out.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: the folder lacks its card or model.
        SpecMismatch: the card contradicts the model, names a head that is not live, or was trained
            on other encoders.
    """
    card = load_card(folder)
    architecture = str(card.raw.get("architecture", "gated"))
    if architecture not in HEADS:
        raise SpecMismatch(
            f"{folder}: architecture {architecture!r} is not one of {', '.join(HEADS)}"
        )
    reads = card.raw.get("reads", HEADS[architecture].reads[0])
    if reads != "statistics":
        raise SpecMismatch(
            f"{folder}: this {architecture} head reads {reads}, which a live session does not make; "
            f"live there are {', '.join(heads_reading('statistics'))}"
        )
    return OnnxFusionHead(folder, encoders, threads)
