"""``realtime-er train``."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.errors import ConfigError, ModelError

NEEDS_TORCH = 'training needs torch: pip install "realtime_er[train]"'


class Kind(enum.StrEnum):
    """What can be trained."""

    DETECTOR = "detector"
    FACE = "face"
    SPEECH = "speech"
    TEXT = "text"
    FUSION = "fusion"
    MER = "mer"


def train(
    kind: Annotated[Kind, typer.Argument(help="Which model.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The corpora; default: REALTIME_ER_DATA."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that gets the model's folder.")
    ] = Path("models"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the data, if not the usual.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")] = 1,
    features: Annotated[
        list[Path] | None,
        typer.Option(
            "--features", metavar="FILE", help="mer: features of a corpus; may be repeated."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="NAME|FILE", help="mer: classes and their label maps."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe", metavar="KEY=VALUE", help="mer: change one setting; may be repeated."
        ),
    ] = None,
    modalities: Annotated[
        str, typer.Option("--modalities", metavar="LIST", help="mer: which are read.")
    ] = "face,audio,text",
    published_split: Annotated[
        bool,
        typer.Option("--published-split", help="mer: AFEW's val part chooses and is the test."),
    ] = False,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="mer: cpu, cuda; default: the best.")
    ] = "auto",
    debug: options.Debug = False,
) -> None:
    """Train a model of the compact bundle, or the published fusion (mer) on extracted features.

    Writes the model and its card into a folder of --out.
    """
    if kind is Kind.MER:
        wanted = {"epochs": epochs} if epochs is not None else {}
        _train_mer(
            features or [], out, labels, [f"seed={seed}", *(recipe or [])], wanted,
            modalities=modalities, published_split=published_split, device=device,
            threads=threads,
        )  # fmt: skip
        return
    if features:
        raise ConfigError(f"--features is for mer; {kind.value} is trained from --data")
    folder = corpora(data)
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise ModelError(NEEDS_TORCH) from error
    module = importlib.import_module(f"realtime_er.training.{kind.value}")
    target = options.output_folder(out) / f"compact-{kind.value}"
    trainer: Callable[..., object] = getattr(module, f"train_{kind.value}")
    folders = [folder, target]
    if kind is Kind.FUSION:
        folders.insert(1, encoders_for_fusion(out))
    usual = {} if epochs is None else {"epochs": epochs}
    trainer(*folders, seed=seed, threads=threads, progress=_report, **usual)
    typer.echo(f"written: {target}")


def _train_mer(
    files: list[Path],
    out: Path,
    labels: str | None,
    settings: list[str],
    usual: dict[str, int],
    *,
    modalities: str,
    published_split: bool,
    device: str,
    threads: int,
) -> None:
    if not files:
        raise ConfigError("train mer needs --features FILE; write it with: realtime-er extract")
    try:
        import torch

        from realtime_er.training.corpora.label_schemes import load_scheme
        from realtime_er.training.features import load_features
        from realtime_er.training.mer import scheme_for, train_mer
        from realtime_er.training.mer_encoders import choose_device
        from realtime_er.training.mer_recipe import modalities_from, recipe_from
    except ImportError as error:
        raise ModelError(f"{NEEDS_TORCH} ({error.name} is missing)") from error
    chosen = recipe_from(dict(options.parse_setting(one) for one in settings) | usual)
    torch.set_num_threads(threads)
    parts = [load_features(path) for path in files]
    card = train_mer(
        parts,
        load_scheme(labels) if labels else scheme_for(parts),
        chosen,
        options.output_folder(out),
        modalities=modalities_from(modalities),
        device=choose_device(device),
        published_split=published_split,
        progress=_report,
    )
    if card is not None:
        for name in card.raw["headline"]:
            typer.echo(f"{name} {card.raw['metrics'][name]['value']}")
        typer.echo(f"written: {out}")


def _report(progress: object) -> None:
    """One line for each of a trainer's reports, whatever fields it has."""
    if not dataclasses.is_dataclass(progress):
        typer.echo(str(progress))
        return
    shown = []
    for field in dataclasses.fields(progress):
        value = getattr(progress, field.name)
        shown.append(
            f"{field.name} {value:.4g}" if isinstance(value, float) else f"{field.name} {value}"
        )
    typer.echo("  ".join(shown))


def corpora(data: Path | None) -> Path:
    """The folder of corpora, from the option or the environment.

    Raises:
        ConfigError: neither says where, or there is no such folder.
    """
    named = data or (
        Path(os.environ["REALTIME_ER_DATA"]) if "REALTIME_ER_DATA" in os.environ else None
    )
    if named is None:
        raise ConfigError("where are the corpora? give --data DIR or set REALTIME_ER_DATA")
    if not named.is_dir():
        raise ConfigError(f"--data {named}: no such folder")
    return named


def encoders_for_fusion(out: Path) -> Path:
    """Where the three encoders are: ``out`` when they were trained into it, else those shipped."""
    from realtime_er.resources import resource_dir

    kinds = [kind for kind in Kind if kind not in (Kind.DETECTOR, Kind.FUSION, Kind.MER)]
    own = [kind for kind in kinds if (out / f"compact-{kind.value}" / "card.json").is_file()]
    if not own:
        return resource_dir("assets") / "models"
    if own != kinds:
        missing = ", ".join(kind.value for kind in kinds if kind not in own)
        raise ConfigError(f"--out {out}: has some encoders but not {missing}; train them first")
    return out
