import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.feature_cache import FeatureCache
from realtime_er.messages import Absence, Embedding, FaceReport, Hypothesis, SpeechActivity
from realtime_er.whole import RunningStatistics, WholeRecording
from realtime_er.windows import (
    Announced,
    Transcribed,
    Watermark,
    WindowBuilder,
)

ALL = frozenset({"face", "audio", "text"})


def face(time_s, value=0.0, track=1, absence=None):
    vector = np.full(2, value, np.float32)
    embedding = None if absence else Embedding("face", time_s, time_s, vector, "f", track)
    return FaceReport(round(time_s * 30), time_s, (), track, absence, embedding)


def voice(end_s, value=0.0):
    return Embedding("audio", end_s - 0.08, end_s, np.full(2, value, np.float32), "a")


def heard(start_s, end_s, speaking=True):
    return SpeechActivity(start_s, end_s, speaking, 1.0 if speaking else 0.0, -20.0)


def said(text, committed, end_s, available_s, *, segment=1, revision=0, final=False):
    hypothesis = Hypothesis(
        segment, revision, text, committed, final, end_s - 1, end_s, end_s, available_s
    )
    vector = np.full(3, float(len(committed)), np.float32)
    embedding = Embedding("text", end_s - 1, end_s, vector, "t", segment) if committed else None
    return Transcribed(hypothesis, embedding)


def builder(enabled=ALL, *, live=True, **overrides):
    config = load_config("live", overrides)
    reasons = dict.fromkeys(ALL - enabled, Absence.OFF)
    return WindowBuilder(config, enabled, reasons, live=live)


def window_at(made, time_s):
    while made.next_time_s < time_s - 1e-6:
        made.build()
    return made.build()


def test_cache_returns_exactly_the_half_open_horizon():
    cache = FeatureCache(1.0)
    for k in range(1, 31):
        cache.add(voice(k / 10))
    inside = [round(e.end_s, 3) for e in cache.within(2.0)]
    assert inside == [round(k / 10, 3) for k in range(11, 21)]
    cache.forget_before(3.0)
    assert len(cache) == 10
    with pytest.raises(ValueError, match="after"):
        cache.add(voice(3.0))


def test_waiting_is_not_lost():
    window = builder().build()
    assert window.absent == {
        "face": Absence.WAITING,
        "audio": Absence.WAITING,
        "text": Absence.NO_WORDS,
    }
    assert window.fusion_input.face is None


def test_face_statistics_cover_the_horizon_of_the_target_only():
    made = builder(frozenset({"face"}))
    for k in range(30):
        made.add_face(face(k / 10, value=k, track=1 if k < 25 else 2))
    window = window_at(made, 2.9)
    # Track 2 begins at 2.5 s; its frames 25..29 are the only ones of the present target.
    np.testing.assert_allclose(window.fusion_input.face, [27, 27, np.sqrt(2), np.sqrt(2)], 1e-6)
    assert window.evidence_age_s["face"] == pytest.approx(0.0, abs=1e-9)


def test_a_missed_detection_is_bridged_and_a_gone_face_is_not():
    made = builder(frozenset({"face"}))
    made.add_face(face(0.1))
    made.add_face(face(0.2, absence=Absence.NO_FACE))
    assert window_at(made, 0.3).fusion_input.face is not None
    for k in range(4, 9):
        made.add_face(face(k / 10, absence=Absence.NO_FACE))
    window = window_at(made, 0.8)
    assert window.fusion_input.face is None
    assert window.absent["face"] is Absence.NO_FACE


def test_a_silent_camera_is_behind_lost_or_ended_but_never_repeated():
    made = builder(frozenset({"face"}))
    made.add_face(face(0.1))
    assert window_at(made, 1.0).absent["face"] is Absence.BEHIND
    made.set_lost("face", Absence.LOST, 0.0)
    assert made.build().absent["face"] is Absence.LOST
    made.set_lost("face", None, 0.0)
    made.advance(Watermark("face", np.inf))
    assert made.build().absent["face"] is Absence.ENDED


def test_voice_counts_spoken_steps_only():
    made = builder(frozenset({"audio"}))
    for k in range(1, 51):
        made.add_voice(voice(k * 0.08, value=k))
    made.add_speech(heard(0.0, 2.0, speaking=False))
    made.add_speech(heard(2.0, 3.6))
    made.add_speech(heard(3.6, 4.0, speaking=False))
    window = window_at(made, 4.0)
    # Steps 26..45 end in (2.0, 3.6] and so have their middles in speech.
    assert window.fusion_input.audio[0] == pytest.approx(np.mean(range(26, 46)))
    assert window.evidence_age_s["audio"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("spoken_s", "reason"), [(0.0, Absence.NO_SPEECH), (0.4, Absence.TOO_LITTLE_SPEECH)]
)
def test_silence_is_no_evidence(spoken_s, reason):
    made = builder(frozenset({"audio"}))
    for k in range(1, 51):
        made.add_voice(voice(k * 0.08))
    if spoken_s:
        made.add_speech(heard(0.0, spoken_s))
    made.add_speech(heard(spoken_s, 4.0, speaking=False))
    window = window_at(made, 4.0)
    assert (window.fusion_input.audio, window.absent["audio"]) == (None, reason)


@pytest.mark.parametrize(
    ("live", "level_dbfs", "reason"),
    [
        (True, -120.0, Absence.MUTED),
        (True, -75.0, Absence.NO_SPEECH),
        (False, -120.0, Absence.NO_SPEECH),
    ],
)
def test_a_muted_microphone_is_not_a_silent_person(live, level_dbfs, reason):
    made = builder(frozenset({"audio"}), live=live)
    for k in range(1, 26):
        made.add_voice(voice(k * 0.08))
        made.add_speech(SpeechActivity((k - 1) * 0.08, k * 0.08, False, 0.0, level_dbfs))
    assert window_at(made, 2.0).absent["audio"] is reason


def test_each_spoken_step_is_counted_once_for_the_whole_recording():
    made = builder(frozenset({"audio"}))
    for k in range(1, 51):
        made.add_voice(voice(k * 0.08, value=k))
        made.add_speech(heard((k - 1) * 0.08, k * 0.08))
    seen = []
    for _ in range(40):
        seen += [e.vector[0] for e in made.build().newly_spoken]
    assert seen == [float(k) for k in range(1, 51)]


def test_text_appears_when_available_and_fades_out():
    made = builder(frozenset({"text"}))
    made.add_text(said("how are", "how", 1.0, 1.25))
    assert window_at(made, 1.2).absent["text"] is Absence.NO_WORDS
    window = made.build()
    assert window.text_weight == pytest.approx(1 - 0.03)
    assert (window.transcript, window.partial) == ("how", "are")
    window = window_at(made, 6.0)
    assert window.text_weight == pytest.approx(0.5)
    window = window_at(made, 11.0)
    assert (window.absent["text"], window.fusion_input.text) == (Absence.EXPIRED, None)
    assert window.transcript == "how"
    assert made.build().transcript == ""


def test_a_final_without_words_takes_back_what_its_partials_said():
    made = builder(frozenset({"text"}))
    made.add_text(said("thank you", "thank you", 1.0, 1.1))
    assert window_at(made, 1.2).fusion_input.text is not None
    made.add_text(said("", "", 1.5, 1.6, revision=1, final=True))
    window = window_at(made, 1.7)
    assert (window.fusion_input.text, window.absent["text"]) == (None, Absence.NO_WORDS)


def test_a_lost_microphone_is_the_reason_for_missing_words_too():
    made = builder(frozenset({"text"}))
    made.set_lost("audio", Absence.LOST, 0.0)
    assert made.build().absent["text"] is Absence.LOST


def test_muting_counts_from_its_own_time_and_at_once():
    made = builder(frozenset({"audio", "text"}))
    for k in range(1, 26):
        made.add_voice(voice(0.08 * k))
        made.add_speech(heard(0.08 * (k - 1), 0.08 * k))
    made.set_muted(True, 1.25)
    made.set_muted(False, 1.75)
    states = {t: window_at(made, t).absent.get("audio") for t in (1.2, 1.3, 1.7, 1.8)}
    assert states == {1.2: None, 1.3: Absence.MUTED, 1.7: Absence.MUTED, 1.8: None}


def test_muted_and_lost_are_kept_apart():
    made = builder(frozenset({"audio"}))
    made.set_muted(True, 0.05)
    made.set_lost("audio", Absence.LOST, 0.15)
    made.set_lost("audio", None, 0.25)
    reasons = [made.build().absent["audio"] for _ in range(3)]
    assert reasons == [Absence.MUTED, Absence.LOST, Absence.MUTED]


def test_many_changes_of_a_device_do_not_pile_up():
    made = builder(frozenset({"face"}))
    for k in range(500):
        made.set_lost("face", Absence.LOST if k % 2 == 0 else None, 0.1 * k)
        window = made.build()
    assert window.absent["face"] is Absence.WAITING  # the last change gave it back
    assert len(made.state().changes) <= 21


def test_late_evidence_counts_from_the_next_open_tick():
    made = builder(frozenset({"face"}))
    for _ in range(5):
        made.build()
    report = made.add_face(face(0.32))
    assert report.embedding is not None
    assert report.embedding.available_s == pytest.approx(0.6)
    assert made.build().fusion_input.face is not None


def test_tick_waits_for_every_track_and_not_for_a_lost_one():
    made = builder(frozenset({"face", "audio"}))
    made.advance(Watermark("face", 0.1))
    made.advance(Watermark("speech", 0.11))
    assert not made.ready()
    made.set_lost("audio", Absence.LOST, 0.0)
    assert made.ready()
    made.set_lost("audio", None, 0.0)
    made.advance(Watermark("audio", 0.0999))
    assert not made.ready()
    made.advance(Watermark("audio", 0.1))
    assert made.ready()


def test_offline_ticks_wait_for_announced_text():
    made = builder(frozenset({"text"}), live=False, **{"asr.delay_s": 0.3})
    made.advance(Watermark("speech", 0.5))
    made.announce(Announced(1, 0, 0.2))
    ready = []
    while made.ready():
        ready.append(round(made.next_time_s, 1))
        made.build()
    # What is pending becomes available at 0.5 s, so that tick must have it.
    assert ready == [0.1, 0.2, 0.3, 0.4]
    made.add_text(said("hi", "hi", 0.2, 0.5))
    while made.ready():
        ready.append(round(made.next_time_s, 1))
        made.build()
    # The detector has decided up to 0.5 s, so nothing new can be available before 0.8 s.
    assert ready == [0.1, 0.2, 0.3, 0.4, 0.5]
    made.advance(Watermark("speech", np.inf))
    assert made.ready()


def test_running_statistics_equal_numpy():
    values = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    running = RunningStatistics()
    assert running.value() is None
    for row in values:
        running.add(row)
    expected = np.concatenate([values.mean(0), values.std(0)])
    np.testing.assert_allclose(running.value(), expected, rtol=1e-5)


def test_whole_recording_follows_the_person_seen_most():
    whole = WholeRecording()
    for track, times in ((1, 3), (2, 5)):
        for _ in range(times):
            whole.add_face(
                Embedding("face", 0, 0, np.full(2, float(track), np.float32), "f", track)
            )
    made = whole.fusion_input(None)
    np.testing.assert_array_equal(made.face, [2, 2, 0, 0])
    assert made.audio is None
    assert made.text is None
