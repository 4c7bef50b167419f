"""``realtime-er extract``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import notice
from realtime_er.errors import ConfigError, CorpusError, ModelError, WeightsMissing

if TYPE_CHECKING:
    from realtime_er.training.clip_reading import Transcribe
    from realtime_er.training.corpora.manifest import Listing

NEEDS_PAPER = 'the published encoders need torch: pip install "realtime_er[paper,train]"'


def extract(
    corpus: Annotated[
        str,
        typer.Option("--corpus", metavar="NAME", help="iemocap, mosei, meld, afew, ravdess, ..."),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="ROOT", help="The corpus' folder, as distributed.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="File of features, or a folder for NAME.npz."),
    ],
    encoders: Annotated[
        str,
        typer.Option(
            "--encoders",
            metavar="DIR|IDS",
            help="Folder with face, audio, text; or face=PATH,audio=PATH,text=PATH; or paper.",
        ),
    ] = "paper",
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", metavar="FILE", help="Rows to use, instead of those of the reader."
        ),
    ] = None,
    modalities: Annotated[
        str, typer.Option("--modalities", metavar="LIST", help="Which to describe.")
    ] = "face,audio,text",
    windows: Annotated[
        str,
        typer.Option(
            "--windows", metavar="time|faces", help="Face windows of 4 s, or of 20 faces."
        ),
    ] = "time",
    asr_model: options.AsrModel = None,
    no_asr: Annotated[
        bool, typer.Option("--no-asr", help="No speech recognition where there is no transcript.")
    ] = False,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda, mps; by default the best.")
    ] = "auto",
    half: Annotated[
        bool,
        typer.Option("--half", help="Encode in 16 bits, on CUDA only; features are less exact."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Threads that read files and look for faces [1; with a GPU all processors].",
        ),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")] = 1,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch encoders from the hub when not there.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Describe every clip of a corpus with the published encoders, once, for training.

    Goes on where an earlier run was stopped. Clips that cannot be read are passed by and listed in
    NAME.report.csv.
    """
    if windows not in ("time", "faces"):
        raise ConfigError(f"--windows {windows}: say time or faces")
    try:
        import torch

        from realtime_er.config import FaceConfig
        from realtime_er.perception.detectors import make_detector
        from realtime_er.training.corpora.manifest import write_manifest
        from realtime_er.training.extraction import Extractor, ExtractSettings
        from realtime_er.training.mer.encoders import choose_device, load_encoders
        from realtime_er.training.mer.recipe import modalities_from
    except ImportError as error:
        raise ModelError(f"{NEEDS_PAPER} ({error.name} is missing)") from error
    chosen = modalities_from(modalities)
    target = _target(out, corpus)
    listing = _rows(corpus, data, manifest)
    if target.is_file():
        typer.echo(f"{target} is there already; delete it to describe {corpus} again")
        return
    torch.set_num_threads(threads)
    found = load_encoders(encoders, chosen, device=device, half=half, download=download)
    spoken = found.text is not None and not no_asr
    transcribe, words = _recogniser(listing, asr_model) if spoken else (None, "")
    write_manifest(target.with_name(f"{target.stem}.manifest.csv"), listing.rows)
    extractor = Extractor(
        found,
        lambda: make_detector(FaceConfig()),
        transcribe,
        ExtractSettings(
            windows="faces" if windows == "faces" else "time",
            words=words,
            precision="fp16" if half else "fp32",
            workers=workers or _workers(choose_device(device)),
        ),
    )
    report = extractor.run(listing, data, target, lambda state: _report(corpus, state))
    typer.echo(report.summary())
    typer.echo(f"written: {target}")


def _workers(device: str) -> int:
    """With the encoders on a GPU the processors are free, and it waits for what they read."""
    return 1 if device == "cpu" else os.cpu_count() or 1


def _report(corpus: str, progress: object) -> None:
    shown = " ".join(
        f"{name} {getattr(progress, name)}" for name in ("shard", "shards", "clips", "problems")
    )
    typer.echo(f"{corpus}: {shown} {getattr(progress, 'elapsed_s', 0.0):.0f} s")


def _target(out: Path, corpus: str) -> Path:
    """The file to write; its folder is made."""
    target = out if out.suffix == ".npz" else out / f"{corpus}.npz"
    options.output_folder(target.parent)
    return target


def _rows(corpus: str, data: Path, manifest: Path | None) -> Listing:
    from realtime_er.training.corpora.manifest import Listing, read_manifest
    from realtime_er.training.corpora.readers import read_corpus

    if manifest is None:
        return read_corpus(corpus, data)
    if not data.is_dir():
        raise CorpusError(f"--data {data}: no such folder; the manifest's files lie in it")
    return Listing(read_manifest(manifest))


def _recogniser(listing: Listing, name: str | None) -> tuple[Callable[[], Transcribe] | None, str]:
    """What recognises words, where any are needed, and its name for the record."""
    from realtime_er.perception.whisper import HOW_TO_INSTALL, ShortWhisper, find_model
    from realtime_er.training.clip_reading import LANGUAGES, whisper_words

    silent = [row for row in listing.rows if not row.text.strip()]
    foreign = [row for row in silent if LANGUAGES.get(row.corpus, "en") != "en"]
    if foreign:
        notice(f"{foreign[0].corpus}: not in English, which the text encoder reads; without words")
    if len(foreign) == len(silent):
        return None, ""
    folder = find_model(name or "")
    if folder is None:
        raise WeightsMissing(
            f"{len(silent)} clips have no transcript: {HOW_TO_INSTALL}; or say --no-asr"
        )
    return (lambda: whisper_words(ShortWhisper(folder))), folder.name
