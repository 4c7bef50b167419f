"""The devices of a live session."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.errors import SourceError
from realtime_er.sources.base import Stream
from realtime_er.sources.camera import open_camera
from realtime_er.sources.microphone import Microphone


class LiveDevices:
    """The camera and the microphone that the configuration names, as a source."""

    @property
    def realtime(self) -> bool:
        """Always True."""
        return True

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The enabled devices, not yet opened.

        Raises:
            SourceError: both are disabled, or there is no such camera.
        """
        streams: list[Stream] = []
        if config.camera.enabled:
            streams.append(open_camera(config.camera, clock))
        if config.microphone.enabled:
            streams.append(Microphone(config.microphone, clock))
        if not streams:
            raise SourceError("camera and microphone are both disabled in the configuration")
        return streams
