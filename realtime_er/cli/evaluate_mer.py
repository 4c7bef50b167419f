"""``realtime-er evaluate mer``: the publication's experiments on files of features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.errors import ConfigError, ModelError

NEEDS_TRAIN = 'the experiments need torch: pip install "realtime_er[train]"'

FeaturesDir = Annotated[
    Path | None,
    typer.Option(
        "--features", metavar="DIR", help="mer: CORPUS.npz, or ENCODERS/CORPUS.npz, as extracted."
    ),
]
Protocol = Annotated[
    str,
    typer.Option("--protocol", metavar="NAME", help="mer: single, cross, multi, loco, ablation."),
]
Seeds = Annotated[
    int, typer.Option("--seeds", min=1, help="mer: heads per figure; mean and deviation are told.")
]
Labels = Annotated[
    str | None,
    typer.Option("--labels", metavar="NAME|FILE", help="mer: classes and their label maps."),
]
Recipe = Annotated[
    list[str] | None,
    typer.Option("--recipe", metavar="KEY=VALUE", help="mer: change one setting; repeatable."),
]
Modalities = Annotated[
    str, typer.Option("--modalities", metavar="LIST", help="mer: which are read.")
]
PublishedSplit = Annotated[
    bool, typer.Option("--published-split", help="mer: AFEW's val part chooses and is the test.")
]
Head = Annotated[
    Path | None,
    typer.Option(
        "--head", metavar="DIR|FILE", help="mer: score this head (fusion.pth too), train nothing."
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="mer: cpu, cuda; default: the best.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the tables.")]


def evaluate_mer(
    features: FeaturesDir = None,
    protocol: Protocol = "single",
    head: Head = None,
    out: Out = Path("evaluation"),
    seeds: Seeds = 1,
    labels: Labels = None,
    recipe: Recipe = None,
    modalities: Modalities = "face,audio,text",
    published_split: PublishedSplit = False,
    device: Device = "auto",
    threads: Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")] = 1,
    debug: options.Debug = False,
) -> None:
    """Train and score the published fusion on extracted features, beside the published figures.

    Writes mer-PROTOCOL.md and mer-PROTOCOL.json.
    """
    if features is None:
        raise ConfigError("evaluate mer needs --features DIR; write them with: realtime-er extract")
    try:
        import torch

        from realtime_er.training.corpora.label_schemes import load_scheme
        from realtime_er.training.mer.heads import score_head
        from realtime_er.training.mer.protocols import run_mer
        from realtime_er.training.mer.recipe import modalities_from, recipe_from
    except ImportError as error:
        raise ModelError(f"{NEEDS_TRAIN} ({error.name} is missing)") from error
    torch.set_num_threads(threads)
    scheme = load_scheme(labels) if labels else None
    chosen = modalities_from(modalities)
    settings = dict(options.parse_setting(one) for one in recipe or [])
    how = recipe_from(settings)
    if head is not None:
        typer.echo(
            score_head(
                head, features, options.output_folder(out), gate=how.gate, labels=scheme,
                modalities=chosen, published_split=published_split,
            )
        )  # fmt: skip
        typer.echo(f"written: {out / 'mer-head.md'}")
        return
    table = run_mer(
        features,
        protocol,
        options.output_folder(out),
        recipe=how,
        seeds=range(1, seeds + 1),
        labels=scheme,
        modalities=chosen,
        device=device,
        published_split=published_split,
        say=lambda text: typer.echo(text, err=True),
    )
    typer.echo(table)
    typer.echo(f"written: {out / f'mer-{protocol}.md'}")
