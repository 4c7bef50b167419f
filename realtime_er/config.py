"""Validated configuration: presets in TOML, overrides by name, unknown keys refused.

A preset is a name ("live", "demo", "analyze", "paper": the files of ``config/``) or a path. Only what differs
from the defaults below stands in it.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from realtime_er.addresses import without_secrets
from realtime_er.errors import ConfigError
from realtime_er.resources import resource_dir

N = typing.TypeVar("N", int, float)
S = typing.TypeVar("S")


def number(default: N, low: float, high: float = float("inf"), *, open_low: bool = True) -> N:
    """A number above ``low`` (or from it on, ``open_low=False``) and at most ``high``."""
    limits = {"low": low, "inclusive": not open_low, "high": high}
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class TickConfig:
    """When estimates are made."""

    hop_s: float = number(0.1, 0.0, 10.0)
    deadline_s: float = number(0.15, 0.0, 10.0)
    """Live, a tick that waits for evidence longer than this after its time is made without it."""


@dataclass(frozen=True)
class CameraConfig:
    """The webcam or network camera."""

    enabled: bool = True
    source: str = "0"
    """Index, device path, part of a device name, a folder of images, or an http/rtsp address."""
    width_px: int = number(640, 15)
    height_px: int = number(480, 15)
    fps: float = number(30.0, 0.0, 1000.0)
    latency_s: float = number(0.0, 0.0, 5.0, open_low=False)
    """Exposure and transfer time, subtracted from the time of each frame."""
    timeout_s: float = number(1.25, 0.0)
    """No frame for this long: the camera counts as lost."""


@dataclass(frozen=True)
class MicrophoneConfig:
    """The microphone."""

    enabled: bool = True
    device: str = ""
    """Index or part of the name; empty for the system's default."""
    block_s: float = number(0.02, 0.0, 0.5)
    timeout_s: float = number(1.25, 0.0)


@dataclass(frozen=True)
class FaceConfig:
    """Detection, tracking, the quality gate and the face window."""

    rate_hz: float = number(10.0, 0.0, 120.0)
    detector: Literal["auto", "compact", "yunet", "haar"] = "auto"
    detector_path: str = ""
    min_face_px: int = number(32, 7)
    min_sharpness: float = number(8.0, 0.0, open_low=False)
    max_yaw: float = number(0.6, 0.0, 1.0)
    """Nose offset from the middle of the eyes, in eye distances, above which a face is turned."""
    horizon_s: float = number(1.5, 0.0)
    max_age_s: float = number(0.5, 0.0)
    """A newest face older than this is absent, never repeated."""


@dataclass(frozen=True)
class VadConfig:
    """Voice activity detection."""

    engine: Literal["silero", "webrtc"] = "silero"
    threshold: float = number(0.5, 0.0, 1.0)
    onset_s: float = number(0.1, 0.0)
    """Speech must last this long to open a segment."""
    hangover_s: float = number(0.6, 0.0)
    """Silence must last this long to close it."""
    preroll_s: float = number(0.3, 0.0, open_low=False)
    max_segment_s: float = number(12.0, 1.0, 28.0)
    end_of_audio_s: float = number(1.0, 0.0)
    """Live, sound that stops arriving for this long closes an open segment."""


@dataclass(frozen=True)
class AsrConfig:
    """Streaming speech recognition."""

    enabled: bool = True
    model: str = ""
    """Folder of a CTranslate2 Whisper model, or a name; empty looks for one (see README)."""
    language: str = "en"
    partial_every_s: float = number(0.8, 0.0)
    """Seconds of voice from one partial to the next; live, a slow machine makes fewer."""
    partial_share: float = number(0.5, 0.0, 1.0)
    """Live, partials wait until they take at most this share of the recogniser's time."""
    delay_s: float = number(0.4, 0.0, 30.0)
    """Offline, a hypothesis counts as known this long after the sound that triggered it."""
    threads: int = number(1, 1, 64, open_low=False)
    max_no_speech: float = number(0.6, 0.0, 1.0)
    min_log_probability: float = number(-1.0, -100.0, 0.0)
    max_compression_ratio: float = number(2.4, 1.0)


@dataclass(frozen=True)
class LadderConfig:
    """What a live session does when the machine cannot carry it (``ladder.py``)."""

    enabled: bool = True
    late_s: float = number(0.1, 0.0, 10.0)
    """Scores that come this long after ``tick.deadline_s``, on average, are too much,"""
    wait_s: float = number(0.5, 0.0, 30.0)
    """and so is work that waited this long to be begun,"""
    busy: float = number(0.9, 0.0, 1.0)
    """and so is a stage that works for more than this share of the time."""
    slack: float = number(0.5, 0.0, 1.0)
    """Below this share of the limits there is slack (``busy`` of what a step relieves)."""
    down_after_s: float = number(3.0, 0.0)
    """Too much over this long: one step down."""
    up_after_s: float = number(10.0, 0.0)
    """Slack for this long: one step up; longer after one that had to be taken back."""
    partial_every_s: float = number(2.0, 0.0)
    """Least time between two partials once they come slower."""
    face_share: float = number(0.5, 0.0, 1.0)
    """Of ``face.rate_hz``, once faces are fewer."""
    small_asr: str = "tiny.en"
    """Smaller speech model, as ``asr.model``; not used where it is missing or not smaller."""


@dataclass(frozen=True)
class AudioConfig:
    """The voice window."""

    horizon_s: float = number(4.0, 0.0)
    min_speech_s: float = number(0.8, 0.0)
    """Less speech than this inside the window is no evidence."""


@dataclass(frozen=True)
class TextConfig:
    """The words window: the current utterance, fading out."""

    fade_s: float = number(10.0, 0.0)
    """Words older than this have expired."""


@dataclass(frozen=True)
class DecisionConfig:
    """From calibrated probabilities to a label."""

    smoothing_s: float = number(0.3, 0.0, open_low=False)
    enter_margin: float = number(0.05, 0.0, 1.0, open_low=False)
    """A new label must lead the current one by this much."""
    abstain_below: float = number(0.3, 0.0, 1.0, open_low=False)
    """Below this confidence no label is given."""


@dataclass(frozen=True)
class ModelsConfig:
    """Which models."""

    bundle: Literal["compact", "paper"] = "compact"
    """The small models that ship with the package, or the published ones (table ``paper``)."""
    directory: str = ""
    """Folder that holds the compact ones; empty for those that ship with the package."""
    head: str = ""
    """Another fusion head of the compact ones: a name, or a folder; empty for the usual one."""
    threads: int = number(1, 1, 64, open_low=False)
    """Processors that one model may use at a time."""
    runtime: Literal["auto", "torch", "onnx", "openvino"] = "auto"
    """Of the published encoders; auto: what `models tune` chose on this machine, else torch."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """Likewise. A form that does not give what torch gives is refused."""


@dataclass(frozen=True)
class PaperConfig:
    """The published encoders (MER) and how they are fused, for ``models.bundle = "paper"``."""

    face: str = "ElenaRyumina/face_emotion_recognition"
    """Hub id, folder or file of the weights; likewise the next two."""
    audio: str = "DunnBC22/wav2vec2-base-Speech_Emotion_Recognition"
    text: str = "j-hartmann/emotion-english-distilroberta-base"
    tokenizer: str = ""
    """Folder or hub id; empty where its files lie beside the weights of ``text``."""
    head: str = ""
    """Fusion checkpoint, a file or what ``train mer`` wrote; empty: the encoders' own classes."""
    gate: Literal["softmax", "sigmoid"] = "softmax"
    """Of a bare checkpoint, which does not say; published ones need softmax."""
    late_weights: Literal["equal", "published"] = "equal"
    """Without a head: every modality counts the same, or class by class as published."""
    missing: Literal["mask", "zero", "subset"] = "mask"
    """With a head, what stands for an absent modality: nothing, zeros, or a head of its own."""
    keep_windows: int = number(1, 1, 30, open_low=False)
    """Newest windows of 4 s that are read, one every 2 s; 1 is like most clips heads learn from."""
    face_temperature: float = number(0.0, 0.0, 100.0, open_low=False)
    """Divides the logits of the face alone; 0 leaves what the head knows. Likewise the next two."""
    audio_temperature: float = number(0.0, 0.0, 100.0, open_low=False)
    text_temperature: float = number(0.0, 0.0, 100.0, open_low=False)


@dataclass(frozen=True)
class Config:
    """Everything that can be set; ``load_config`` makes one."""

    tick: TickConfig = field(default_factory=TickConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    microphone: MicrophoneConfig = field(default_factory=MicrophoneConfig)
    face: FaceConfig = field(default_factory=FaceConfig)
    vad: VadConfig = field(default_factory=VadConfig)
    asr: AsrConfig = field(default_factory=AsrConfig)
    ladder: LadderConfig = field(default_factory=LadderConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    text: TextConfig = field(default_factory=TextConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    models: ModelsConfig = field(default_factory=ModelsConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, as they would stand in a TOML file; an address without its password.

        It goes into manifests and reports.
        """
        values = dataclasses.asdict(self)
        values["camera"]["source"] = without_secrets(self.camera.source)
        return values


def load_config(preset: str | Path = "live", overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a preset by name or path.

    Args:
        preset: "live", "demo", "analyze", "paper", or the path of a TOML file.
        overrides: Dotted names to values, such as ``{"face.rate_hz": 5}``; they win.

    Raises:
        ConfigError: no such preset, not TOML, an unknown key, a wrong type, a value out of range.
    """
    config = read_settings(Config, _find(preset))
    for name, value in (overrides or {}).items():
        config = _override(config, name, value)
    return config


def read_settings(cls: type[S], path: Path) -> S:
    """A dataclass of settings from a TOML file in which only what differs has to stand.

    Args:
        cls: Its fields name the keys, their types and, by ``_number``, their limits.
        path: The file.

    Raises:
        ConfigError: not TOML, an unknown key, a wrong type, a value out of range.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    return _build(cls, tables, where=str(path), prefix="")


def _find(preset: str | Path) -> Path:
    path = Path(preset)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        raise ConfigError(f"{path}: no such configuration file")
    folder = resource_dir("config")
    named = folder / f"{preset}.toml"
    if named.is_file():
        return named
    names = ", ".join(sorted({entry.stem for entry in folder.glob("*.toml")} - {"annotations"}))
    raise ConfigError(f"no preset named {str(preset)!r}; there are {names}, or give a .toml path")


def _override(config: Config, dotted: str, value: object) -> Config:
    table, _, key = dotted.partition(".")
    section = getattr(config, table, None)
    if not dataclasses.is_dataclass(section) or isinstance(section, type) or not key:
        raise ConfigError(f"unknown setting {dotted!r}{_nearest(table, Config)}")
    checked = _build(type(section), {key: value}, where="override", prefix=f"{table}.")
    new = dataclasses.replace(section, **{key: getattr(checked, key)})
    changed: dict[str, Any] = {table: new}
    return dataclasses.replace(config, **changed)


def _build(cls: type[S], values: Mapping[str, Any], *, where: str, prefix: str) -> S:
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {prefix}{key!r}{_nearest(key, cls)}")
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {prefix}{key} must be a table [{key}]")
            checked[key] = _build(
                typing.cast("type[Any]", hint), value, where=where, prefix=f"{prefix}{key}."
            )
        else:
            checked[key] = _check(value, hint, fields[key].metadata, f"{where}: {prefix}{key}")
    return cls(**checked)


def _check(value: object, hint: object, limits: Mapping[str, Any], what: str) -> object:
    if typing.get_origin(hint) is Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise ConfigError(f"{what} must be one of {', '.join(options)}, not {value!r}")
        return value
    expected = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    kind = typing.cast("type", hint)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        value = float(typing.cast("float", value))
    elif type(value) is not kind:
        raise ConfigError(f"{what} must be {expected[kind]}, not {value!r}")
    if limits and isinstance(value, int | float):
        low, high = limits["low"], limits["high"]
        too_low = value < low if limits["inclusive"] else value <= low
        if too_low or value > high or value != value:
            least = f"{'at least' if limits['inclusive'] else 'above'} {low:g}"
            most = "" if high == float("inf") else f" and at most {high:g}"
            raise ConfigError(f"{what} must be {least}{most}, not {value!r}")
    return value


def _nearest(key: str, cls: type) -> str:
    names = [item.name for item in dataclasses.fields(cls)]
    close = difflib.get_close_matches(key, names, 1)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(names)})"
