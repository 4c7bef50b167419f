import pytest

from realtime_er.cli import follow
from realtime_er.device_states import DeviceStates
from realtime_er.device_words import DeviceTroubles
from realtime_er.messages import Absence, Event
from realtime_er.view import View


def told(*events):
    troubles = DeviceTroubles()
    for kind, detail in events:
        troubles.note(Event(1.0, kind, detail))
    return troubles.line()


def test_each_trouble_is_told_apart_in_words():
    said = {
        told((f"camera {kind}", "zoom has it")) for kind in ("lost", "busy", "frozen", "covered")
    }
    said |= {told((f"microphone {kind}", "zoom has it")) for kind in ("lost", "busy", "silent")}
    assert len(said) == 7
    assert all(said)
    assert "cover closed" in told(("camera covered", "0"))
    assert "zoom has it" in told(("camera busy", "zoom has it"))
    assert "muted by its own switch" in told(("microphone silent", "Mic"))


def test_the_newest_reason_counts_and_ends_when_it_is_back():
    lost = ("camera lost", "no picture for 1.25 s")
    away = ("camera away", "cannot be opened: it is not connected")
    assert "not connected" in told(lost, away)
    assert told(lost, away, ("camera back", "0")) == ""
    assert told(("microphone silent", "Mic"), ("microphone sounding", "Mic")) == ""
    both = told(lost, ("microphone lost", "no sound"), ("target selected", "2"))
    assert both.count("comes back by itself") == 2


def test_one_that_is_away_is_not_said_to_be_muted_or_covered():
    for device, nothing, again in (
        ("microphone", "silent", "muted"),
        ("camera", "covered", "darkness"),
    ):
        blind, lost = (f"{device} {nothing}", "0"), (f"{device} lost", "nothing for 1.25 s")
        assert again in told(blind)
        assert told(blind, lost).startswith(f"{device} lost")
        assert again not in told(blind, lost)
        assert again in told(blind, lost, (f"{device} back", "0"))


def test_a_display_is_told_as_long_as_it_lasts():
    view = View()
    view.observe(Event(1.0, "camera covered", "0"))
    shown = view.snapshot(2.0, ("text is unavailable",), 0, 0)
    assert shown.notices[0] == "text is unavailable"
    assert "cover closed" in shown.notices[-1]
    view.observe(Event(3.0, "camera uncovered", "0"))
    assert view.snapshot(4.0, ("text is unavailable",), 0, 0).notices == ("text is unavailable",)


def test_plain_output_says_a_change_once(monkeypatch):
    said = []
    monkeypatch.setattr(follow, "notice", said.append)
    notes = follow.DeviceNotes(("known",))
    for notices in (("known",), ("known", "lost"), ("known", "lost"), ("known",), ("known",)):
        notes.look(notices)
    assert said == ["note: lost", "note: camera and microphone deliver again"]


@pytest.mark.parametrize(
    ("modality", "reason"), [("face", Absence.COVERED), ("audio", Absence.MUTED)]
)
def test_what_has_nothing_in_it_is_not_away(modality, reason):
    states = DeviceStates()
    states.set_blind(modality, reason, 2.0)
    assert states.blind(modality, 1.9) is None
    assert states.blind(modality, 2.0) is reason
    assert states.away(modality, 3.0) is None
    states.set_lost(modality, Absence.LOST, 4.0)
    states.set_blind(modality, None, 5.0)
    assert DeviceStates(states.changes()).away(modality, 6.0) is Absence.LOST
    assert states.blind(modality, 5.0) is None
