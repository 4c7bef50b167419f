"""``realtime-er train foal``: Foal-Net on IEMOCAP, a network for each session held out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_er.cli import options
from realtime_er.cli.training_options import Epochs, RecipeFile, Seed, Threads, recipe, report
from realtime_er.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from realtime_er.encoders.foal.clip import ClipImageEncoder
    from realtime_er.training.foal.clips import ClipPreparer
    from realtime_er.training.foal.recipe import FoalRecipe

NEEDS_PAPER = 'Foal-Net needs torch and transformers: pip install "realtime_er[paper,train]"'
IMAGES = ("whole", "face")
PRECISIONS = ("fp32", "fp16", "bf16")

Clip = Annotated[
    str, typer.Option("--clip", metavar="DIR|ID", help="CLIP: file, folder or hub id.")
]
Features = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="DIR",
        help="CLIP's features that exist already, NAME.npy [frames, numbers]; CLIP is not used.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda, mps; default: the best.")
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch encoders from the hub when not there.")
]


def train_foal(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR|FILE.scp", help="IEMOCAP as distributed, or utt_id path label."
        ),
    ],
    wavlm: Annotated[
        str, typer.Option("--wavlm", metavar="DIR|ID", help="WavLM: file, folder or hub id.")
    ] = "microsoft/wavlm-large",
    clip: Clip = "openai/clip-vit-large-patch14",
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder that gets a folder per session.")
    ] = Path("heads/foal"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    sessions: Annotated[
        list[int] | None,
        typer.Option("--session", help="Hold out this session; may be repeated. Default: each."),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="face|whole", help="What CLIP sees.")
    ] = None,
    avel: Annotated[
        float | None, typer.Option("--avel", min=0.0, help="Weight of the contrastive loss.")
    ] = None,
    mem: Annotated[
        float | None, typer.Option("--mem", min=0.0, help="Weight of the matching loss.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="fp32|fp16|bf16", help="Of the forward pass."),
    ] = None,
    features: Features = None,
    published_split: Annotated[
        bool,
        typer.Option("--published-split", help="The test session chooses the epoch, as published."),
    ] = False,
    device: Device = "auto",
    threads: Threads = 1,
    download: Download = False,
    debug: options.Debug = False,
) -> None:
    """Train Foal-Net: WavLM and CLIP, aligned before they are fused, on four classes.

    Writes a network, its card, predictions and curves for each session; goes on where it was stopped.
    """
    try:
        import torch

        from realtime_er.encoders.foal.wavlm import load_wavlm
        from realtime_er.training.foal.corpus import read_foal_corpus
        from realtime_er.training.foal.recipe import FoalRecipe
        from realtime_er.training.foal.train import train_foal as trainer
        from realtime_er.training.mer.encoders import choose_device
        from realtime_er.training.mer.team import is_first, join_team
    except ImportError as error:
        raise ModelError(f"{NEEDS_PAPER} ({error.name} is missing)") from error
    usual = recipe(FoalRecipe, "foal", config, seed=seed, epochs=epochs)
    changed: dict[str, Any] = {
        "image": one_of("--image", image, IMAGES),
        "precision": one_of("--precision", precision, PRECISIONS),
        "avel": avel,
        "mem": mem,
    }
    how = dataclasses.replace(usual, **{k: v for k, v in changed.items() if v is not None})
    torch.set_num_threads(threads)
    team = join_team(choose_device(device))
    corpus = read_foal_corpus(data, excited=how.excited)
    found = None if features is not None else open_clip(clip, team.device, download=download)
    options.output_folder(out)

    def say(text: str) -> None:
        if is_first():
            typer.echo(text)

    cards = trainer(
        corpus,
        load_wavlm(wavlm, download=download),
        open_preparer(out / "clips", found, features, how),
        how,
        out,
        clip=found,
        sessions=sessions or (),
        published_split=published_split,
        team=team,
        say=say,
        progress=report,
    )
    if cards:
        say(f"written: {out}; score it with: realtime-er evaluate foal --head {out}")


def one_of(option: str, value: str | None, choices: tuple[str, ...]) -> str | None:
    """The value, where it is one of the choices or was not given.

    Raises:
        ConfigError: it is another.
    """
    if value is not None and value not in choices:
        raise ConfigError(f"{option} {value}: say {' or '.join(choices)}")
    return value


def open_clip(source: str, device: str, *, download: bool) -> ClipImageEncoder:
    """The picture encoder."""
    from realtime_er.encoders.foal.clip import ClipImageEncoder

    return ClipImageEncoder(source, device=device, download=download)


def open_preparer(
    folder: Path, clip: ClipImageEncoder | None, features: Path | None, how: FoalRecipe
) -> ClipPreparer:
    """What reads clips, with a face detector where faces are looked at.

    Raises:
        ConfigError: there is no such folder of features.
    """
    from realtime_er.config import FaceConfig
    from realtime_er.perception import detectors
    from realtime_er.training.foal.clips import ClipPreparer

    if features is not None and not features.is_dir():
        raise ConfigError(f"--features {features}: no such folder")
    return ClipPreparer(
        folder,
        clip,
        features=features,
        image=how.image,
        rate_hz=how.rate_hz,
        detector=detectors.make_detector(FaceConfig()) if how.image == "face" else None,
    )
