"""``realtime-er evaluate compare``: every fusion head in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.training_options import corpora
from realtime_er.errors import ModelError

NEEDS_TRAIN = 'the comparison needs torch: pip install "realtime_er[train]"'


def evaluate_compare(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The corpora; default: REALTIME_ER_DATA."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the table.")] = Path(
        "evaluation"
    ),
    folds: Annotated[int, typer.Option("--folds", min=3, help="Parts of the data.")] = 4,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Heads per fold.")] = 1,
    heads: Annotated[
        str, typer.Option("--heads", metavar="LIST", help="Only these, such as gated,msaf.")
    ] = "",
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="DIR", help="Keep the heads on vectors, for live --head DIR/NAME."
        ),
    ] = None,
    ravdess: Annotated[
        Path | None,
        typer.Option(
            "--ravdess", metavar="DIR", help="What train cfn-sr and its relatives wrote on videos."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes, if not the usual 10.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")] = 1,
    debug: options.Debug = False,
) -> None:
    """Train and score every fusion head on the same features and folds; print one table.

    Writes compare.md and compare.json. Features are made once and kept in --out.
    """
    folder = corpora(data)
    target = options.output_folder(out)
    try:
        import dataclasses

        import torch

        from realtime_er.encoders.bundle import bundle_dir
        from realtime_er.training.compare.features import read_compact
        from realtime_er.training.compare.run import RECIPE, compare, variants
    except ImportError as error:
        raise ModelError(f"{NEEDS_TRAIN} ({error.name} is missing)") from error
    torch.set_num_threads(threads)
    models = bundle_dir("compact", "face").parent
    chosen = [name.strip() for name in heads.split(",") if name.strip()]
    variants(chosen)  # a misspelt name must not wait for the features

    def say(text: str) -> None:
        typer.echo(text, err=True)

    table = compare(
        read_compact(folder, models, target / "features", say=say),
        target,
        models_dir=models,
        folds=folds,
        seeds=seeds,
        recipe=RECIPE if epochs is None else dataclasses.replace(RECIPE, epochs=epochs),
        heads=chosen,
        save_dir=save,
        ravdess_dir=ravdess,
        say=say,
    )
    typer.echo(table)
    typer.echo(f"written: {target / 'compare.md'}")
    if save is not None:
        typer.echo(f"saved heads: {save} (realtime-er live --head {save}/NAME)")
