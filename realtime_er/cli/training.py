"""``realtime-er train``: one command for each kind of model, with the options of that kind only."""

from __future__ import annotations

from collections.abc import Callable

import typer

from realtime_er.cli import train
from realtime_er.cli.guard import guarded
from realtime_er.cli.train_foal import train_foal
from realtime_er.cli.train_late import train_late
from realtime_er.cli.train_mer import train_mer
from realtime_er.cli.train_ravdess import RAVDESS_HEADS, train_ravdess
from realtime_er.fusion.registry import HEADS

training = typer.Typer(
    help="Train models: those of the compact bundle, and published fusions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "detector": (train.train_detector, "--data ~/corpora --out models"),
    "face": (train.train_face, "--data ~/corpora --out models"),
    "speech": (train.train_speech, "--data ~/corpora --out models"),
    "text": (train.train_text, "--data ~/corpora --out models"),
    "fusion": (train.train_fusion, "--data ~/corpora --out models"),
    "mer": (train_mer, "--features features/hub/meld.npz --out heads/meld"),
    "late": (train_late, "--features features/hub/meld.npz --out heads/late"),
    "foal": (train_foal, "--data IEMOCAP_full_release --out heads/foal --download"),
    **dict.fromkeys(RAVDESS_HEADS, (train_ravdess, "--data ~/RAVDESS --out ravdess")),
}
"""Name to the command and the options of its example."""

for _name, (_command, _example) in _COMMANDS.items():
    # One function trains all of these: the list must still say which is which.
    _about = f"Train {HEADS[_name].title} on RAVDESS videos." if _name in RAVDESS_HEADS else None
    training.command(
        _name, short_help=_about, epilog=f"Example: realtime-er train {_name} {_example}"
    )(guarded(_command))
