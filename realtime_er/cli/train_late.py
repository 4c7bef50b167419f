"""``realtime-er train late``: the temperatures of late fusion, from extracted features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.train_mer import Features, PublishedSplit
from realtime_er.cli.training_options import NEEDS_TORCH, Threads
from realtime_er.errors import ConfigError, ModelError


def train_late(
    features: Features = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that gets late.json and its card.")
    ] = Path("models"),
    encoders: Annotated[
        str,
        typer.Option(
            "--encoders", metavar="DIR|IDS", help="Those of the features, as for extract."
        ),
    ] = "paper",
    labels: Annotated[
        str, typer.Option("--labels", metavar="NAME|FILE", help="Label maps onto the seven.")
    ] = "seven",
    published_split: PublishedSplit = False,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Calibrate late fusion of the published encoders' own classifiers.

    One temperature for each modality, from the validation part. Use the folder as paper.head.
    """
    if not features:
        raise ConfigError("train late needs --features FILE; write it with: realtime-er extract")
    try:
        import torch

        from realtime_er.training.corpora.label_schemes import load_scheme
        from realtime_er.training.features import joint_encoders, load_features
        from realtime_er.training.mer.encoders import load_encoders
        from realtime_er.training.mer.late_fusion import own_heads_of
        from realtime_er.training.mer.late_fusion import train_late as trainer
    except ImportError as error:
        raise ModelError(f"{NEEDS_TORCH} ({error.name} is missing)") from error
    torch.set_num_threads(threads)
    parts = [load_features(path) for path in features]
    found = load_encoders(encoders, list(joint_encoders(parts)), device="cpu")
    card = trainer(
        parts,
        own_heads_of(found),
        found.identities(),
        load_scheme(labels),
        options.output_folder(out),
        published_split=published_split,
    )
    for name, one in card.raw["calibration"].items():
        typer.echo(f"{name}: temperature {one['temperature']} ({one['n']} clips)")
    for name in card.raw["headline"]:
        typer.echo(f"{name} {card.raw['metrics'][name]['value']}")
    typer.echo(f"written: {out}")
