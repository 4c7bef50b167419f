"""What is wrong with the camera and the microphone, in words for people."""

from __future__ import annotations

from realtime_er.messages import Event

_BACK_ITSELF = "it comes back by itself when it is there"

# Kind of event -> what it is about, and what is said; {} is the event's detail.
_SAID = {
    "camera lost": ("camera away", "camera lost: {}; " + _BACK_ITSELF),
    "camera away": ("camera away", "camera lost: {}; " + _BACK_ITSELF),
    "camera busy": ("camera away", "camera in use elsewhere: {}"),
    "camera frozen": ("camera away", "camera frozen: {}; it is opened anew until that changes"),
    "camera covered": (
        "camera dark",
        "the camera sees only darkness: is its cover closed, or the light off?",
    ),
    "microphone lost": ("microphone away", "microphone lost: {}; " + _BACK_ITSELF),
    "microphone away": ("microphone away", "microphone lost: {}; " + _BACK_ITSELF),
    "microphone busy": ("microphone away", "microphone in use elsewhere: {}"),
    "microphone silent": (
        "microphone silent",
        "the microphone delivers no sound at all: is it muted by its own switch or in the system's "
        "settings?",
    ),
}
_OVER = {
    "camera back": "camera away",
    "camera uncovered": "camera dark",
    "microphone back": "microphone away",
    "microphone sounding": "microphone silent",
}
_HIDDEN_BY = {"camera dark": "camera away", "microphone silent": "microphone away"}
"""What a device delivered last is no news while it is away."""


class DeviceTroubles:
    """Keeps what is wrong with the devices while it lasts. Not for several threads at once."""

    def __init__(self) -> None:
        self._lasting: dict[str, str] = {}

    def note(self, event: Event) -> None:
        """Take an event into account; those that are not about devices change nothing."""
        if event.kind in _SAID:
            about, said = _SAID[event.kind]
            self._lasting[about] = said.format(event.detail)
        elif event.kind in _OVER:
            self._lasting.pop(_OVER[event.kind], None)

    def line(self) -> str:
        """What is wrong now, in one line; "" when nothing is."""
        lasting = self._lasting
        return "; ".join(
            said for about, said in lasting.items() if _HIDDEN_BY.get(about) not in lasting
        )
