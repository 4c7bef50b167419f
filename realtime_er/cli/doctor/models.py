"""The models of the bundle in use: there, intact by their hashes, loadable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from realtime_er.cli.doctor.finding import Finding

if TYPE_CHECKING:
    from realtime_er.config import Config


def examine(config: Config) -> Iterator[Finding]:
    """Encoders and fusion head, face detector, words."""
    from realtime_er.cli.models import verify

    paper = config.models.bundle == "paper"
    fix = "realtime-er models get paper" if paper else "reinstall realtime_er"
    for kind, problem in verify(config):
        name = f"{kind} model"
        if problem:
            yield Finding(name, "broken", problem, fix)
        else:
            yield Finding(name, "ok", "intact")
    yield _detector(config)
    yield _words(config)


def _detector(config: Config) -> Finding:
    from realtime_er.errors import ModelError
    from realtime_er.perception.detectors import make_detector

    try:
        name = make_detector(config.face).name
    except ModelError as error:
        fix = "choose another: --set face.detector=compact"
        return Finding("face detector", "broken", str(error), fix)
    return Finding("face detector", "ok", name)


def _words(config: Config) -> Finding:
    from realtime_er.errors import ModelError
    from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model

    try:
        path = find_model(config.asr.model)
    except ModelError as error:
        return Finding("words", "note", str(error), "realtime-er live --asr-download, once")
    if path is None:
        return Finding("words", "note", "no Whisper model is here", HOW_TO_INSTALL)
    return Finding("words", "ok", str(path))
