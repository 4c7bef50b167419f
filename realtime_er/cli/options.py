"""Options that several commands share, and what they make of the configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realtime_er.config import Config, load_config
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.recording.options import RecordOptions

ConfigName = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="NAME|PATH", help="Preset (live, demo, analyze, paper) or TOML file."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated."),
]
NoVideo = Annotated[bool, typer.Option("--no-video", help="Do without the picture.")]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Do without the sound (and the words).")]
NoText = Annotated[bool, typer.Option("--no-text", help="Do without speech recognition.")]
AsrModel = Annotated[
    str | None,
    typer.Option("--asr-model", metavar="NAME|DIR", help="Whisper model: a folder or a size."),
]
AsrDownload = Annotated[
    bool, typer.Option("--asr-download", help="Fetch the Whisper model when it is not there.")
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head", metavar="NAME|DIR", help="Another fusion head: msaf for instance, or its folder."
    ),
]
Display = Annotated[
    str | None,
    typer.Option(
        "--display",
        metavar="window|terminal|none",
        help="Window, dashboard, or a line a second; by default the first that is possible.",
    ),
]
Kiosk = Annotated[
    bool, typer.Option("--kiosk", help="Begin with the demo screen (F11), for a big display.")
]
Theme = Annotated[str, typer.Option("--theme", metavar="dark|light", help="Colours of the window.")]
Screenshot = Annotated[
    Path | None,
    typer.Option("--screenshot", metavar="FILE", help="Save what the window shows, and end."),
]
After = Annotated[
    float | None,
    typer.Option("--after", metavar="S", help="Take the screenshot at this second [10]."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object per estimate on stdout, nothing else.")
]
Seconds = Annotated[
    float | None, typer.Option("--seconds", metavar="N", help="End after this many seconds.")
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record", metavar="DIR", help="Record the session into this folder, new or empty."
    ),
]
Lossless = Annotated[
    bool,
    typer.Option(
        "--lossless", help="Record every pixel as it is: about 100 GB an hour at 720p, not 1 to 2."
    ),
]
NoMedia = Annotated[
    bool, typer.Option("--no-media", help="Record numbers and words only, no picture, no sound.")
]
NumbersOnly = Annotated[
    bool,
    typer.Option(
        "--numbers-only", help="Record scores only: no picture, no sound, no words, no embeddings."
    ),
]
BlurFaces = Annotated[
    bool, typer.Option("--blur-faces", help="Make faces unrecognisable in the recorded picture.")
]
ConsentOf = Annotated[
    str | None,
    typer.Option(
        "--consent-of", metavar="NAME", help="Who is recorded, knows it and agrees; a code will do."
    ),
]
Purpose = Annotated[
    str | None,
    typer.Option(
        "--purpose",
        metavar="KIND[: TEXT]",
        help="What is recorded for: self, research, art, demo, development or health.",
    ),
]
KeepUntil = Annotated[
    str | None,
    typer.Option(
        "--keep-until", metavar="DATE|DAYS", help="When 'purge' may delete it: 2027-01-31, 90 days."
    ),
]
AcceptNotice = Annotated[
    bool,
    typer.Option("--accept-notice", help="The notice about people was read (docs/people.md)."),
]
LogJson = Annotated[
    Path | None,
    typer.Option(
        "--log-json", metavar="FILE", help="Write health and events there, a JSON object a line."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Annotation labels and keys, a TOML file."),
]
Rater = Annotated[
    str | None,
    typer.Option("--rater", metavar="NAME", help="Whose annotations these are [login name]."),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Show the settings that would be used, and end.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def configure(
    preset: str | None,
    settings: list[str] | None,
    default: str,
    named: dict[str, Any] | None = None,
) -> Config:
    """The configuration of a command.

    Args:
        preset: What ``--config`` gave.
        settings: What ``--set`` gave; wins over everything else.
        default: Preset without ``--config``.
        named: Settings that have options of their own; None values are left as they are.

    Raises:
        ConfigError: an unknown preset or key, or a bad value.
    """
    overrides = {name: value for name, value in (named or {}).items() if value is not None}
    overrides |= dict(parse_setting(setting) for setting in settings or [])
    return load_config(preset or default, overrides)


def with_head(config: Config, head: str | None) -> Config:
    """The configuration with the fusion head that ``--head`` names, in whichever bundle is used."""
    if head is None:
        return config
    if config.models.bundle == "paper":
        return dataclasses.replace(config, paper=dataclasses.replace(config.paper, head=head))
    return dataclasses.replace(config, models=dataclasses.replace(config.models, head=head))


def switches(*, no_video: bool, no_audio: bool, no_text: bool) -> dict[str, Any]:
    """Settings behind ``--no-video``, ``--no-audio`` and ``--no-text``."""
    return {
        "camera.enabled": False if no_video else None,
        "microphone.enabled": False if no_audio else None,
        "asr.enabled": False if no_text or no_audio else None,
    }


def fetch_asr_model(config: Config, wanted: bool) -> None:
    """Download the Whisper model of ``asr.model`` when it is ``wanted`` and nowhere on this machine.

    Raises:
        WeightsMissing: the download failed.
    """
    if wanted and config.asr.enabled and config.microphone.enabled:
        from realtime_er.perception.whisper import find_model

        find_model(config.asr.model, allow_download=True)


def parse_setting(setting: str) -> tuple[str, Any]:
    """``"face.rate_hz=5"`` as ``("face.rate_hz", 5)``; a value that is no TOML is a string.

    Raises:
        ConfigError: there is no "=".
    """
    import tomllib

    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {setting}: write it as KEY=VALUE, for instance face.rate_hz=5")
    try:
        return name.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def to_toml(config: Config) -> str:
    """The configuration as a TOML file that ``--config`` reads."""
    import json

    lines = []
    for table, keys in config.to_dict().items():
        lines.append(f"[{table}]")
        # JSON's strings, numbers, true and false are TOML's as well.
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        lines.append("")
    return "\n".join(lines)


def record_options(
    record: Path | None,
    *,
    lossless: bool,
    no_media: bool,
    blur_faces: bool,
    numbers_only: bool,
) -> RecordOptions:
    """What ``--record`` and its companions ask for.

    Raises:
        ConfigError: they exclude each other.
    """
    from realtime_er.recording.options import RecordOptions

    without = "--no-media" if no_media else "--numbers-only" if numbers_only else ""
    if without and (lossless or blur_faces):
        raise ConfigError(f"{without} keeps no picture; leave --lossless and --blur-faces out")
    given = without or ("--lossless" if lossless else "--blur-faces" if blur_faces else "")
    if record is None and given:
        raise ConfigError(f"{given} says how to record; name the folder with --record DIR")
    return RecordOptions(
        lossless=lossless, media=not no_media, blur_faces=blur_faces, numbers_only=numbers_only
    )


def output_folder(path: Path) -> Path:
    """Make a folder for results.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be made: {error.strerror}") from error
    return path
