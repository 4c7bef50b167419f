"""Real-time multimodal emotion recognition: how a face, a voice and words read, live.

    source -> perception -> encoders -> fusion -> decision -> sinks

    sources/      microphone, camera, media files        AudioBlock, VideoFrame, Gap
    perception/   voice activity, words, faces           SpeechActivity, Hypothesis, FaceReport
    encoders/     face, speech and text encoders         Embedding
    ladder.py     what live gives up on a slow machine   Step
    windows.py    what is known at each tick             Window
    fusion/       gated attention over what is present   probabilities of every subset
    decision.py   calibrate, attribute, smooth, abstain  Estimate
    sinks/        window, terminal, tables, pictures
    recording/    recorded sessions: write, verify, read, annotate, replay, export

``graph.py`` connects them in this order, one thread each; ``session.py`` starts and ends them.

    import realtime_er as rer

    config = rer.load_config("live")
    with rer.Session(config, source=rer.MediaFile("clip.mp4")) as session:
        for estimate in session.estimates():
            print(estimate.time_s, estimate.label, estimate.probabilities)

    recorded = rer.Session.open("recordings/anna_01")
    recorded.estimates()  # a pandas frame
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime_er.config import Config, load_config
    from realtime_er.errors import RealtimeERError
    from realtime_er.messages import LABELS, MODALITIES, Estimate
    from realtime_er.models import Models
    from realtime_er.recording.options import RecordOptions
    from realtime_er.recording.reader import RecordedSession
    from realtime_er.session import Session
    from realtime_er.sources.image_folder import ImageFolder
    from realtime_er.sources.live import LiveDevices
    from realtime_er.sources.media_file import MediaFile

__version__ = "0.1.0"

__all__ = [
    "Config",
    "Estimate",
    "ImageFolder",
    "LABELS",
    "LiveDevices",
    "MODALITIES",
    "MediaFile",
    "Models",
    "RealtimeERError",
    "RecordOptions",
    "RecordedSession",
    "Session",
    "load_config",
]

_HOMES = {
    "Config": "config",
    "Estimate": "messages",
    "ImageFolder": "sources.image_folder",
    "LABELS": "messages",
    "LiveDevices": "sources.live",
    "MODALITIES": "messages",
    "MediaFile": "sources.media_file",
    "Models": "models",
    "RealtimeERError": "errors",
    "RecordOptions": "recording.options",
    "RecordedSession": "recording.reader",
    "Session": "session",
    "load_config": "config",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name on first use, so that ``realtime-er --help`` loads no model runtime."""
    if name not in _HOMES:
        raise AttributeError(f"module 'realtime_er' has no attribute {name!r}")
    return getattr(import_module(f"realtime_er.{_HOMES[name]}"), name)
