"""``realtime-er evaluate foal``: trained Foal-Nets beside the published figures, or new recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.train_foal import (
    NEEDS_PAPER,
    Clip,
    Device,
    Download,
    Features,
    open_clip,
    open_preparer,
)
from realtime_er.cli.training_options import Threads
from realtime_er.errors import ConfigError, ModelError


def evaluate_foal(
    head: Annotated[
        Path,
        typer.Option("--head", metavar="DIR", help="What train foal wrote; nothing is trained."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR|FILE.scp",
            help="Read the test sessions again; default: the predictions that training left.",
        ),
    ] = None,
    media: Annotated[
        list[Path] | None,
        typer.Option("--media", metavar="FILE", help="Read new recordings instead; repeatable."),
    ] = None,
    clip: Clip = "openai/clip-vit-large-patch14",
    features: Features = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the tables.")
    ] = Path("evaluation"),
    device: Device = "auto",
    threads: Threads = 1,
    download: Download = False,
    debug: options.Debug = False,
) -> None:
    """Score trained Foal-Nets beside the published figures, without training or labels at input.

    Writes foal.md and foal.json, or with --media foal-media.csv.
    """
    if data is not None and media:
        raise ConfigError("--data scores labelled clips, --media reads new ones; give one of them")
    try:
        import torch

        from realtime_er.training.foal import evaluate as foal_evaluate
        from realtime_er.training.foal.corpus import read_foal_corpus
        from realtime_er.training.mer.encoders import choose_device
    except ImportError as error:
        raise ModelError(f"{NEEDS_PAPER} ({error.name} is missing)") from error
    torch.set_num_threads(threads)
    target = options.output_folder(out)
    if data is None and not media:
        found = foal_evaluate.stored_predictions(head)
        typer.echo(foal_evaluate.write_tables(head, found, target))
        typer.echo(f"written: {target / 'foal.md'}")
        return
    how = foal_evaluate.common_recipe(head)
    where = choose_device(device)
    encoder = None if features is not None else open_clip(clip, where, download=download)
    foal_evaluate.check_clip(head, encoder)
    preparer = open_preparer(_clips(head, target), encoder, features, how)
    if data is None:
        typer.echo(foal_evaluate.read_media(head, media or [], preparer, target, device=where))
        typer.echo(f"written: {target / 'foal-media.csv'}")
        return
    found = foal_evaluate.rescore(
        head, read_foal_corpus(data, excited=how.excited), preparer, target, device=where,
        say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    typer.echo(foal_evaluate.write_tables(head, found, target))
    typer.echo(f"written: {target / 'foal.md'}")


def _clips(head: Path, target: Path) -> Path:
    """Where prepared clips are: beside the networks since training, else with the tables."""
    known = (head / "clips", head.parent / "clips")
    return next((folder for folder in known if folder.is_dir()), target / "clips")
