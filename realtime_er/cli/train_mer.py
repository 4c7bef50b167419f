"""``realtime-er train mer``: the publication's fusion head on extracted features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.training_options import (
    NEEDS_TORCH,
    Epochs,
    RecipeFile,
    Seed,
    Threads,
    recipe,
    report,
)
from realtime_er.errors import ConfigError, ModelError

Features = Annotated[
    list[Path] | None,
    typer.Option("--features", metavar="FILE", help="Features of a corpus; may be repeated."),
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", metavar="NAME|FILE", help="Classes and their label maps."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--recipe", metavar="KEY=VALUE", help="Change one setting; may be repeated."),
]
PublishedSplit = Annotated[
    bool, typer.Option("--published-split", help="AFEW's val part chooses and is the test.")
]


def train_mer(
    features: Features = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that gets the head and its card.")
    ] = Path("models"),
    config: RecipeFile = None,
    settings: Settings = None,
    seed: Seed = None,
    epochs: Epochs = None,
    labels: Labels = None,
    modalities: Annotated[
        str, typer.Option("--modalities", metavar="LIST", help="Which are read.")
    ] = "face,audio,text",
    published_split: PublishedSplit = False,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda; default: the best.")
    ] = "auto",
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train the published fusion on extracted features.

    Writes the head under its published names, its card and its history.
    """
    if not features:
        raise ConfigError("train mer needs --features FILE; write it with: realtime-er extract")
    try:
        import torch

        from realtime_er.training.corpora.label_schemes import load_scheme
        from realtime_er.training.features import load_features
        from realtime_er.training.mer.encoders import choose_device
        from realtime_er.training.mer.recipe import MerRecipe, modalities_from, recipe_from
        from realtime_er.training.mer.train import scheme_for
        from realtime_er.training.mer.train import train_mer as trainer
    except ImportError as error:
        raise ModelError(f"{NEEDS_TORCH} ({error.name} is missing)") from error
    usual = recipe(MerRecipe, "mer", config, seed=seed, epochs=epochs)
    changed = dict(options.parse_setting(one) for one in settings or [])
    chosen = recipe_from(dataclasses.asdict(usual) | changed)
    torch.set_num_threads(threads)
    parts = [load_features(path) for path in features]
    card = trainer(
        parts,
        load_scheme(labels) if labels else scheme_for(parts),
        chosen,
        options.output_folder(out),
        modalities=modalities_from(modalities),
        device=choose_device(device),
        published_split=published_split,
        progress=report,
    )
    if card is not None:
        for name in card.raw["headline"]:
            typer.echo(f"{name} {card.raw['metrics'][name]['value']}")
        typer.echo(f"written: {out}")
