"""``realtime-er evaluate``."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.evaluate_compare import evaluate_compare
from realtime_er.cli.evaluate_foal import evaluate_foal
from realtime_er.cli.evaluate_mer import evaluate_mer
from realtime_er.cli.guard import guarded
from realtime_er.cli.training_options import corpora
from realtime_er.errors import ModelError

if TYPE_CHECKING:
    from realtime_er.training.evaluate.report import Report

NEEDS_TRAINING = 'evaluation needs the training packages: pip install "realtime_er[train]"'


class Name(enum.StrEnum):
    """What can be evaluated."""

    FACE = "face"
    DETECTOR = "detector"
    SPEECH = "speech"
    TEXT = "text"
    FUSION = "fusion"
    CALIBRATION = "calibration"
    ALL = "all"


_WHAT = {
    Name.FACE: "the face encoder",
    Name.DETECTOR: "the face detector",
    Name.SPEECH: "the speech encoder",
    Name.TEXT: "the text encoder",
    Name.FUSION: "the fusion head",
    Name.CALIBRATION: "calibration and abstention",
    Name.ALL: "all of them",
}


class Split(enum.StrEnum):
    """Which part of the data."""

    VALID = "valid"
    DEV = "dev"
    TEST = "test"
    FOLDS = "folds"


evaluation = typer.Typer(
    help="Measure models: those that ship, published fusions, and all heads side by side.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _command(name: Name) -> Callable[..., None]:
    def evaluate(
        data: Annotated[
            Path | None,
            typer.Option("--data", metavar="DIR", help="The corpora; default: REALTIME_ER_DATA."),
        ] = None,
        split: Annotated[
            Split,
            typer.Option("--split", help="valid: what is held out here; test: the corpora's own."),
        ] = Split.VALID,
        out: Annotated[
            Path, typer.Option("--out", metavar="DIR", help="Folder for reports and pictures.")
        ] = Path("evaluation"),
        models: Annotated[
            Path | None,
            typer.Option("--models", metavar="DIR", help="Folder of models, if not those shipped."),
        ] = None,
        debug: options.Debug = False,
    ) -> None:
        def say(report: Report) -> None:
            typer.echo(report.markdown())

        folder = corpora(data)
        target = options.output_folder(out)
        try:
            from realtime_er.training.evaluate import run

            run(name.value, folder, split.value, target, models_dir=models, done=say)
        except ImportError as error:
            raise ModelError(f"{NEEDS_TRAINING} ({error.name} is missing)") from error
        typer.echo(f"written: {target}")

    return evaluate


for _name in Name:
    evaluation.command(
        _name.value,
        help=f"Measure {_WHAT[_name]}; print tables with 95 % intervals, train nothing.",
        epilog=f"Example: realtime-er evaluate {_name.value} --data ~/corpora --split valid",
    )(guarded(_command(_name)))

_PUBLISHED: dict[str, tuple[Callable[..., None], str]] = {
    "mer": (evaluate_mer, "--features features --protocol loco"),
    "compare": (evaluate_compare, "--data ~/corpora"),
    "foal": (evaluate_foal, "--head heads/foal --out results"),
}
"""Name to the command and the options of its example."""

for _title, (_function, _example) in _PUBLISHED.items():
    evaluation.command(_title, epilog=f"Example: realtime-er evaluate {_title} {_example}")(
        guarded(_function)
    )
