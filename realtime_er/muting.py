"""A microphone that is muted here: its sound is neither read nor kept."""

from __future__ import annotations

from collections.abc import Callable

from realtime_er.messages import AudioBlock, Gap


class Muting:
    """What a producer does with its sound while the microphone is muted. Producer thread.

    Attributes:
        silent: Whether the last message is not to be handed on.
    """

    def __init__(self, muted: Callable[[], bool]) -> None:
        self.silent = False
        self._muted = muted
        self._held_back = False
        self._end_s = 0.0

    def pass_on(self, message: AudioBlock | Gap) -> Gap | None:
        """Look at a message; returns the gap that muting made, once it is over."""
        if isinstance(message, Gap):
            self._end_s = max(self._end_s, message.end_s)
            self.silent = False
            return None
        self.silent = self._muted()
        if self.silent:
            self._held_back = True
            return None
        start_s, self._end_s = self._end_s, message.end_s
        if not self._held_back:
            return None
        self._held_back = False
        return Gap("microphone", start_s, message.start_s, "muted")
