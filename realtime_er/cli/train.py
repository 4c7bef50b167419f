"""``realtime-er train detector|face|speech|text|fusion``: the models of the compact bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.training_options import (
    Data,
    Epochs,
    Out,
    RecipeFile,
    Seed,
    Threads,
    corpora,
    epochs_shown,
    need_torch,
    recipe,
    report,
)
from realtime_er.errors import ConfigError

ENCODERS = ("face", "speech", "text")
"""What a fusion head needs."""


def train_detector(
    data: Data = None,
    out: Out = Path("models"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train the face detector, taught by YuNet; goes on where it was stopped.

    Writes the model and its card into compact-detector in --out.
    """
    folder = corpora(data)
    need_torch()
    from realtime_er.training.detector.train import train_detector as trainer
    from realtime_er.training.recipes import DetectorRecipe

    how = recipe(DetectorRecipe, "detector", config, seed=seed, epochs=epochs)
    target = _begin(out, "detector", how)
    with epochs_shown() as tell:
        trainer(folder, target, **dataclasses.asdict(how), threads=threads, progress=tell)
    typer.echo(f"written: {target}")


def train_face(
    data: Data = None,
    out: Out = Path("models"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train the face encoder on FER+.

    Writes the model and its card into compact-face in --out.
    """
    folder = corpora(data)
    need_torch()
    from realtime_er.training.face.train import train_face as trainer
    from realtime_er.training.recipes import FaceRecipe

    how = recipe(FaceRecipe, "face", config, seed=seed, epochs=epochs)
    target = _begin(out, "face", how)
    with epochs_shown() as tell:
        trainer(folder, target, **dataclasses.asdict(how), threads=threads, progress=tell)
    typer.echo(f"written: {target}")


def train_text(
    data: Data = None,
    out: Out = Path("models"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train the text encoder on GoEmotions, MELD and EmoryNLP.

    Writes the model and its card into compact-text in --out.
    """
    folder = corpora(data)
    need_torch()
    from realtime_er.training.recipes import TextRecipe
    from realtime_er.training.text.train import train_text as trainer

    how = recipe(TextRecipe, "text", config, seed=seed, epochs=epochs)
    target = _begin(out, "text", how)
    with epochs_shown() as tell:
        trainer(folder, target, **dataclasses.asdict(how), threads=threads, progress=tell)
    typer.echo(f"written: {target}")


def train_speech(
    data: Data = None,
    out: Out = Path("models"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    threads: Threads = 1,
    cv: Annotated[
        bool,
        typer.Option(
            "--cv", help="Save out-of-fold predictions (seven more networks), no new model."
        ),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Train the speech encoder on RAVDESS and EMO-DB, or networks to measure its recipe by.

    Writes the model and its card into compact-speech in --out. With --cv: folds.npz, from five
    networks, each without some of the speakers, and without-CORPUS.npz, from one without a corpus
    each; goes on where it was stopped.
    """
    folder = corpora(data)
    need_torch()
    from realtime_er.training.recipes import SpeechRecipe
    from realtime_er.training.speech.train import train_folds
    from realtime_er.training.speech.train import train_speech as trainer

    how = recipe(SpeechRecipe, "speech", config, seed=seed, epochs=epochs)
    target = _begin(out, "speech", how)
    with epochs_shown() as tell:
        (train_folds if cv else trainer)(folder, target, how, threads=threads, progress=tell)
    typer.echo(f"written: {target}")


def train_fusion(
    data: Data = None,
    out: Out = Path("models"),
    config: RecipeFile = None,
    seed: Seed = None,
    epochs: Epochs = None,
    threads: Threads = 1,
    debug: options.Debug = False,
) -> None:
    """Train and calibrate the fusion head on what the encoders in --out say, or those that ship.

    Writes the model and its card into compact-fusion in --out.
    """
    folder = corpora(data)
    need_torch()
    from realtime_er.training.fusion.train import train_fusion as trainer
    from realtime_er.training.recipes import FusionRecipe

    how = recipe(FusionRecipe, "fusion", config, seed=seed, epochs=epochs)
    target = _begin(out, "fusion", how)
    encoders = encoders_for_fusion(out)
    with epochs_shown() as tell:
        trainer(folder, encoders, target, how, threads=threads, progress=tell)
    typer.echo(f"written: {target}")


def encoders_for_fusion(out: Path) -> Path:
    """Where the three encoders are: ``out`` when they were trained into it, else those shipped."""
    from realtime_er.resources import resource_dir

    own = [kind for kind in ENCODERS if (out / f"compact-{kind}" / "card.json").is_file()]
    if not own:
        return resource_dir("assets") / "models"
    if len(own) < len(ENCODERS):
        missing = ", ".join(kind for kind in ENCODERS if kind not in own)
        raise ConfigError(f"--out {out}: has some encoders but not {missing}; train them first")
    return out


def _begin(out: Path, kind: str, how: object) -> Path:
    """The model's folder; says that it has begun, since reading alone can take minutes."""
    target = options.output_folder(out) / f"compact-{kind}"
    typer.echo(f"begun: {target}; reading the corpora may take minutes")
    report(how)
    return target
