"""Controls that note what they are asked for."""

from dataclasses import dataclass, field

from realtime_er.sinks.display.controls import Choices, Controls, ShownMark
from tests.sinks.display import samples


@dataclass
class Marks:
    """An annotator with two keys; notes every call."""

    pairs: tuple = (("1", "laughs"), ("Z", "sighs"))
    calls: list = field(default_factory=list)
    standing: list = field(default_factory=list)

    def keys(self):
        return self.pairs

    def press(self, key, shown_s, frame_index):
        self.calls.append(("press", key, shown_s, frame_index))
        self.standing.append(ShownMark("rater", "laughs", "interval", shown_s, None, "#E69F00", ""))
        return True

    def release(self, key, shown_s, frame_index):
        self.calls.append(("release", key, shown_s, frame_index))
        return True

    def note(self, text, shown_s, frame_index):
        self.calls.append(("note", text, shown_s, frame_index))

    def undo(self):
        return self.standing.pop().label if self.standing else ""

    def marks(self):
        return tuple(self.standing)


@dataclass
class Playback:
    """A replay of 100 s that does not move by itself."""

    position_s: float = 40.0
    span_s: tuple = (10.0, 110.0)
    speed: float = 1.0
    playing: bool = True

    def play(self, playing):
        self.playing = playing

    def seek(self, time_s):
        self.position_s = min(max(time_s, self.span_s[0]), self.span_s[1])

    def set_speed(self, speed):
        self.speed = speed


class Session:
    """A session at ``now_s`` in one of the sample states, with every control there is."""

    def __init__(self, state="happy", now_s=59.2):
        self.state = state
        self.now_s = now_s
        self.selected = []
        self.muted = []
        self.recorded = []
        self.marks = Marks()
        self.playback = Playback()

    def snapshot(self):
        return samples.SAMPLES[self.state](self.now_s)

    def _record(self, on):
        self.recorded.append(on)
        return "recording into sessions/1" if on else ""

    def controls(self, *, transport=False):
        return Controls(
            snapshot=self.snapshot,
            select_target=self.selected.append,
            set_muted=self.muted.append,
            choices=lambda stream: Choices((), ""),
            change_device=lambda stream, wanted: None,
            record=self._record,
            annotator=self.marks,
            transport=self.playback if transport else None,
        )
