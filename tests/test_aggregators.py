"""How the published encoders' windows become one vector per tick; the compact way is in test_windows."""

import numpy as np
import pytest

from realtime_er.aggregators import VoiceWindows
from realtime_er.config import load_config
from realtime_er.fusion.aggregation import face_windows_until, recording_vector
from realtime_er.messages import Absence, Embedding, FaceReport, SpeechActivity
from realtime_er.windows import Watermark, WindowBuilder


def builder(modality, *, keep=1, live=True, **overrides):
    config = load_config("paper", {"paper.keep_windows": keep, **overrides})
    others = {"face", "audio", "text"} - {modality}
    reasons = dict.fromkeys(others, Absence.OFF)
    return WindowBuilder(config, frozenset({modality}), reasons, live=live)


def face(time_s, value, track=1):
    vector = np.array([value, -value], np.float32)
    embedding = Embedding("face", time_s, time_s, vector, "f", track)
    return FaceReport(round(time_s * 30), time_s, (), track, None, embedding)


def voice(end_s, value, start_s=None):
    start_s = end_s - 4.0 if start_s is None else start_s
    return Embedding("audio", start_s, end_s, np.full(2, value, np.float32), "a")


def speech(start_s, end_s, speaking=True):
    return SpeechActivity(start_s, end_s, speaking, float(speaking), -20.0)


def window_at(made, time_s):
    while made.next_time_s < time_s - 1e-6:
        made.build()
    return made.build()


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_face_windows_end_with_the_tick(keep):
    made = builder("face", keep=keep)
    times = np.arange(1, 100) / 5.0
    values = np.random.default_rng(keep).normal(size=len(times)).astype(np.float32)
    reports = [face(time_s, value) for time_s, value in zip(times, values, strict=True)]
    for index in range(1, 72):
        while reports and reports[0].time_s <= made.next_time_s + 1e-9:
            made.add_face(reports.pop(0))
        window = made.build()
        known = times <= window.end_s + 1e-9
        features = np.stack([values[known], -values[known]], axis=1)
        expected = recording_vector(
            face_windows_until(times[known], features, window.end_s, keep=keep)
        )
        np.testing.assert_allclose(window.fusion_input.face, expected, atol=1e-6)
        assert window.index == index
    spread = window.fusion_input.face[2:]
    assert (spread == 0).all() if keep == 1 else (spread > 0).all()
    # Bounded: what no window wants any more is gone.
    assert len(made.state().faces) <= 5 * (4 + 2 * (keep - 1)) + 2


def test_another_person_shares_no_window():
    made = builder("face")
    for k in range(1, 31):
        made.add_face(face(k / 5, float(k), track=1 if k <= 25 else 2))
    np.testing.assert_allclose(window_at(made, 6.0).fusion_input.face[0], np.mean(range(26, 31)))


@pytest.mark.parametrize("keep", [1, 3])
def test_the_newest_spoken_windows_count(keep):
    made = builder("audio", keep=keep)
    encoded = []
    made.add_speech(speech(0.0, 20.0))
    ends = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    for tick in np.arange(0.25, 12.1, 0.25):
        if ends and ends[0] <= tick + 1e-9:
            end_s = ends.pop(0)
            made.add_voice(voice(end_s, end_s, max(0.0, end_s - 4.0)))
            encoded.append(np.full(2, end_s, np.float32))
        window = made.build()
        if not encoded:
            assert window.fusion_input.audio is None
        else:
            newest = np.stack(encoded[-keep:])
            expected = np.concatenate([newest.mean(axis=0), newest.std(axis=0)])
            np.testing.assert_allclose(window.fusion_input.audio, expected)
            assert window.evidence_age_s["audio"] == pytest.approx(tick % 2.0)
    assert len(made.state().voice) <= keep + 2


def test_reasons_for_the_absence_of_sound():
    made = builder("audio")
    assert made.build().absent["audio"] is Absence.WAITING
    made.advance(Watermark("audio", 2.0 - 1e-6))
    made.add_speech(speech(0.0, 1.5, speaking=False))
    assert window_at(made, 1.5).absent["audio"] is Absence.WAITING  # the first window is not full
    made.add_speech(speech(1.5, 2.0, speaking=False))
    assert window_at(made, 2.25).absent["audio"] is Absence.BEHIND
    made.add_voice(voice(2.0, 1.0, 0.0))
    made.add_speech(speech(2.0, 2.5))
    made.add_speech(speech(2.5, 4.0, speaking=False))
    assert window_at(made, 2.5).absent["audio"] is Absence.NO_SPEECH
    made.add_voice(voice(4.0, 2.0))
    assert window_at(made, 4.0).absent["audio"] is Absence.TOO_LITTLE_SPEECH
    made.add_speech(speech(4.0, 4.5))
    made.add_voice(voice(6.0, 3.0))
    window = window_at(made, 6.0)  # half a second twice inside its four
    np.testing.assert_array_equal(window.fusion_input.audio, [3, 3, 0, 0])
    assert window_at(made, 9.75).fusion_input.audio is not None
    assert window_at(made, 10.25).absent["audio"] is Absence.BEHIND
    made.advance(Watermark("audio", np.inf))
    assert made.build().absent["audio"] is Absence.ENDED


def test_a_silent_window_among_others_is_left_out():
    made = builder("audio", keep=3)
    made.add_speech(speech(0.0, 3.0))
    made.add_speech(speech(3.0, 8.0, speaking=False))
    for end_s in (4.0, 6.0, 8.0):
        made.add_voice(voice(end_s, end_s))
    window = window_at(made, 8.0)
    # [0, 4] has 3 s of speech, [2, 6] one, [4, 8] none.
    np.testing.assert_allclose(window.fusion_input.audio, [5, 5, 1, 1])
    assert window.evidence_age_s["audio"] == pytest.approx(2.0)


def test_a_window_that_was_late_counts_from_the_next_open_tick():
    made = builder("audio")
    made.add_speech(speech(0.0, 4.0))
    window_at(made, 4.5)
    added = made.add_voice(voice(4.0, 1.0))
    assert added.available_s == pytest.approx(4.75)
    assert made.build().evidence_age_s["audio"] == pytest.approx(0.75)


def test_every_spoken_window_is_counted_once_for_the_whole_recording():
    made = builder("audio", live=False)
    made.add_speech(speech(0.0, 5.0))
    made.add_speech(speech(5.0, 9.5, speaking=False))
    seen = []
    for end_s in (2.0, 4.0, 6.0, 8.0):
        made.add_voice(voice(end_s, end_s, max(0.0, end_s - 4.0)))
        while made.next_time_s <= end_s + 0.25:
            seen += [e.vector[0] for e in made.build().newly_spoken]
    assert seen == [2.0, 4.0, 6.0, 8.0]
    made.add_voice(voice(9.0, 9.0, 5.0))  # after the last tick, and silent
    made.add_speech(speech(9.5, 10.5))
    last = made.spoken_at_end(voice(10.5, 10.5, 8.0))
    assert [e.vector[0] for e in last] == [10.5]


def test_a_window_is_late_by_how_long_there_was_sound_and_not_by_what_was_encoded():
    """Recorded evidence does not tell what was encoded when, and must give the same state."""
    voice = VoiceWindows(load_config("paper"))
    for reached_s in (-np.inf, 6.0, 99.0):
        assert voice.nothing_yet(reached_s, 0.0) is Absence.WAITING
        assert voice.nothing_yet(reached_s, 1.75) is Absence.WAITING
        assert voice.nothing_yet(reached_s, 2.0) is Absence.BEHIND


def test_after_a_break_the_next_window_has_to_fill_anew():
    made = builder("audio")
    made.add_speech(speech(0.0, 2.0))
    made.add_speech(speech(9.0, 10.0))
    assert window_at(made, 10.0).absent["audio"] is Absence.WAITING
    made.add_speech(speech(10.0, 11.0))
    assert window_at(made, 11.0).absent["audio"] is Absence.BEHIND
