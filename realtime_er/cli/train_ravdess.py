"""``realtime-er train cfn-sr`` and its relatives: networks on RAVDESS videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.training_options import (
    Data,
    Epochs,
    RecipeFile,
    Seed,
    Threads,
    corpora,
    need_torch,
    recipe,
    report,
)
from realtime_er.errors import ConfigError
from realtime_er.fusion.registry import heads_reading

RAVDESS_HEADS = heads_reading("maps")
"""Names of the commands that are all :func:`train_ravdess`."""


def train_ravdess(
    ctx: typer.Context,
    data: Data = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that gets the network's folder.")
    ] = Path("ravdess"),
    landmarks: Annotated[
        Path | None,
        typer.Option(
            "--landmarks",
            metavar="DIR",
            help="OpenFace's CSV files; default: faces are found by the detector.",
        ),
    ] = None,
    splits: Annotated[
        str,
        typer.Option(
            "--splits", metavar="NAME|FILE", help="cfn-sr-5, msaf-6, or a JSON file of folds."
        ),
    ] = "cfn-sr-5",
    fold: Annotated[
        list[int] | None,
        typer.Option("--fold", metavar="N", help="Only this fold; may be repeated."),
    ] = None,
    published_split: Annotated[
        bool,
        typer.Option(
            "--published-split",
            help="Choose the epoch on the test fold, as published; every output says so.",
        ),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            metavar="KEY=VALUE",
            help="Switch: released=true, residual=false, block=false ...; may be repeated.",
        ),
    ] = None,
    video_weights: Annotated[
        str,
        typer.Option(
            "--video-weights",
            metavar="FILE",
            help="Begin from this 3-D ResNeXt-50; {fold} stands for the fold's number.",
        ),
    ] = "",
    audio_weights: Annotated[
        str,
        typer.Option(
            "--audio-weights", metavar="FILE", help="Begin from this MFCC network; {fold} likewise."
        ),
    ] = "",
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Faces and cepstra [the user's cache]."),
    ] = None,
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda; default: the best.")
    ] = "auto",
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Threads that decode clips.")
    ] = 2,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train this network on RAVDESS videos, over folds by actors; goes on where it was stopped.

    The epoch is chosen on held-out actors of the training part. Writes weights, card, predictions
    and curves of every fold, and results.md.
    """
    name = str(ctx.info_name)
    if name not in RAVDESS_HEADS:
        raise ConfigError(f"no network on RAVDESS is named {name}: {', '.join(RAVDESS_HEADS)}")
    folder = corpora(data)
    need_torch()
    import torch

    from realtime_er.config import FaceConfig
    from realtime_er.perception.detectors import make_detector
    from realtime_er.training.mer.encoders import choose_device
    from realtime_er.training.ravdess.cache import prepare_ravdess
    from realtime_er.training.ravdess.folds import load_splits, make_splits
    from realtime_er.training.ravdess.recipe import RavdessRecipe
    from realtime_er.training.ravdess.train import NetworkPlan, train_network

    how = recipe(RavdessRecipe, "ravdess", config, seed=seed, epochs=epochs)
    read = load_splits(Path(splits), published=published_split) if splits.endswith(".json") else (
        make_splits(splits, published=published_split)
    )  # fmt: skip
    plan = NetworkPlan(
        name, _switches(name, network or []), video_weights=video_weights,
        audio_weights=audio_weights,
    )  # fmt: skip
    target = options.output_folder(out)
    torch.set_num_threads(threads)
    corpus = prepare_ravdess(
        folder,
        cache or _usual_cache(folder, landmarks),
        lambda: make_detector(FaceConfig()),
        landmarks_dir=landmarks,
        workers=workers,
        say=lambda text: typer.echo(text, err=True),
    )
    named = {actor for one in read.folds for actor in (*one.train, *one.val, *one.test)}
    if absent := sorted(named - set(corpus.actors)):
        typer.echo(f"no clip of actors {', '.join(map(str, absent))}: done without", err=True)
    result = train_network(
        plan,
        corpus,
        read,
        how,
        target,
        folds=fold or (),
        published=published_split,
        device=choose_device(device),
        workers=workers,
        progress=report,
    )
    if result is not None:
        typer.echo(result.markdown())
        typer.echo(f"written: {target}")


def _switches(name: str, settings: list[str]) -> dict[str, bool]:
    """Switches of the network from KEY=VALUE; "released=true" stands for all of the released code.

    Raises:
        ConfigError: a value is neither true nor false.
    """
    from realtime_er.fusion.ravdess import fusion_named

    found: dict[str, bool] = {}
    for key, value in (options.parse_setting(one) for one in settings):
        if not isinstance(value, bool):
            raise ConfigError(f"--network {key}={value}: true or false")
        if key == "released":
            found |= dict(fusion_named(name).released) if value else {}
        else:
            found[key] = value
    return found


def _usual_cache(data: Path, landmarks: Path | None) -> Path:
    import hashlib

    import platformdirs

    told = f"{data.resolve()} {None if landmarks is None else landmarks.resolve()}"
    name = hashlib.sha256(told.encode()).hexdigest()[:12]
    return Path(platformdirs.user_cache_dir("realtime_er")) / "ravdess" / name
