"""Agreement and guards with a scripted model; the real one where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from realtime_er.config import AsrConfig, VadConfig
from realtime_er.errors import WeightsMissing
from realtime_er.messages import AudioBlock, FloatArray, Hypothesis, SpeechSegment, Word
from realtime_er.perception.asr import Recognizer, normalised
from realtime_er.perception.vad import SpeechDetector
from realtime_er.perception.voices import SileroVoice
from realtime_er.perception.whisper import (
    HOW_TO_INSTALL,
    Abandoned,
    ShortWhisper,
    Transcript,
    compression_ratio,
    find_model,
)
from tests.perception.sounds import NOT_SPEECH


class Script:
    """Gives the transcripts it was made with, one a call."""

    def __init__(self, transcripts: Sequence[Transcript | str]) -> None:
        self._left = [
            Transcript(item, compression_ratio=compression_ratio(item))
            if isinstance(item, str)
            else item
            for item in transcripts
        ]

    def transcribe(
        self,
        samples: FloatArray,
        *,
        words: bool = True,
        abandoned: Callable[[], bool] | None = None,
    ) -> Transcript:
        if abandoned is not None and abandoned():
            raise Abandoned
        found = self._left.pop(0)
        return found if words else replace(found, words=())


def segment(
    revision: int = 0, *, final: bool = False, segment_id: int = 1, seconds: float = 4.0
) -> SpeechSegment:
    samples = np.zeros(round(seconds * 16_000), np.float32)
    return SpeechSegment(segment_id, revision, 10.0, 10.0 + seconds, 14.5, final, samples)


def partials(*texts: Transcript | str) -> list[Hypothesis]:
    recognizer = Recognizer(AsrConfig(), Script(texts))
    return [recognizer.transcribe(segment(index)) for index in range(len(texts))]


def only(transcript: Transcript | str, seconds: float = 4.0) -> Hypothesis:
    return Recognizer(AsrConfig(), Script([transcript])).transcribe(
        segment(final=True, seconds=seconds)
    )


def test_two_partials_commit_the_words_they_share() -> None:
    found = partials("I am", "I am so", "I am so happy", "I am so happy now")
    assert [item.committed for item in found] == ["", "I am", "I am so", "I am so happy"]
    assert found[-1].text == "I am so happy now"


def test_agreement_ignores_case_and_punctuation() -> None:
    assert partials("dogs, are", "Dogs are sitting.")[1].committed == "Dogs are"


def test_committed_words_never_shrink_or_change() -> None:
    found = partials("I am so", "I am so glad", "You were", "You were mad", "I am")
    committed = [item.committed for item in found]
    assert committed == ["", "I am so", "I am so", "I am so", "I am so"]
    assert all(item.text.startswith(item.committed) for item in found)


def test_final_commits_everything_at_the_delay_after_its_trigger() -> None:
    found = only("It is late.")
    assert found.committed == found.text == "It is late."
    assert found.is_final
    assert found.available_s == pytest.approx(14.5 + AsrConfig().delay_s)


def test_a_new_segment_starts_from_nothing() -> None:
    recognizer = Recognizer(AsrConfig(), Script(["I am", "I am", "I am"]))
    recognizer.transcribe(segment(0))
    assert recognizer.transcribe(segment(1)).committed == "I am"
    assert recognizer.transcribe(segment(0, segment_id=2)).committed == ""


@pytest.mark.parametrize(
    ("transcript", "guard"),
    [
        (Transcript("hello", average_log_probability=-1.2), "log probability"),
        (Transcript("hello", average_log_probability=float("nan")), "log probability"),
        (Transcript("hi", average_log_probability=-0.7, no_speech_probability=0.9), "no speech"),
        (Transcript("hello", compression_ratio=2.5), "compression ratio"),
        (Transcript("one two three four five six seven eight nine ten eleven" * 4), "words"),
        (Transcript("by the door by the door by the door"), "repeats"),
        (Transcript("ha ha ha ha ha ha"), "repeats"),
        (Transcript("... !"), "no words"),
    ],
)
def test_guard_refuses(transcript: Transcript, guard: str) -> None:
    found = only(transcript)
    assert found.refused.startswith(guard)
    assert (found.text, found.committed, found.words) == ("", "", ())


def test_a_partial_may_be_a_little_less_probable_than_a_final() -> None:
    doubtful = Transcript("I am", average_log_probability=-1.1)
    (partial,) = partials(doubtful)
    assert (partial.text, partial.committed, partial.refused) == ("I am", "", "")
    assert only(doubtful).refused == "log probability"
    assert partials(replace(doubtful, average_log_probability=-1.3))[0].refused


@pytest.mark.parametrize("text", ["no no no", "No, no, no! Stop it.", "very very very good"])
def test_natural_repetition_passes(text: str) -> None:
    assert only(text).text == text


def test_no_speech_alone_refuses_nothing() -> None:
    sure = Transcript("hello", average_log_probability=-0.2, no_speech_probability=0.9)
    assert only(sure).text == "hello"


def test_text_too_long_for_its_sound_is_refused() -> None:
    assert only("Thank you for watching this video today", 0.5).refused == "words per second"


def test_refused_partial_keeps_what_was_committed() -> None:
    bad = Transcript("rubbish", average_log_probability=-3.0)
    found = partials("I am", "I am", bad, "I am fine")
    assert [item.committed for item in found] == ["", "I am", "I am", "I am"]
    assert found[2].text == "I am"
    assert found[2].refused == "log probability"


def test_word_times_are_on_the_session_clock() -> None:
    word = Word("hello", 1.0, 2.0, 0.9)
    found = only(Transcript("hello", (word,)))
    assert (found.words[0].start_s, found.words[0].end_s) == (11.0, 12.0)


def test_longer_segment_than_the_encoder_takes_is_refused_loudly() -> None:
    with pytest.raises(ValueError, match="at most 28 s"):
        only("x", 29.0)


def test_a_pass_that_is_given_up_leaves_no_trace() -> None:
    recognizer = Recognizer(AsrConfig(), Script(["I am", "I am so", "I am so glad"]))
    recognizer.transcribe(segment(0))
    recognizer.transcribe(segment(1))
    with pytest.raises(Abandoned):
        recognizer.transcribe(segment(0, segment_id=2), lambda: True)
    assert recognizer.transcribe(segment(2), lambda: False).committed == "I am so"


def test_the_smaller_model_is_loaded_when_it_is_wanted_and_left_again() -> None:
    loaded: list[str] = []

    def smaller() -> Script:
        loaded.append("small")
        return Script(["small", "small again"])

    recognizer = Recognizer(AsrConfig(), Script(["large", "large again"]), smaller)
    assert recognizer.has_smaller
    texts = []
    for small in (False, True, False, True):
        recognizer.use_smaller(small)
        texts.append(recognizer.transcribe(segment(final=True)).text)
    assert texts == ["large", "small", "large again", "small again"]
    assert loaded == ["small"]


def test_normalised() -> None:
    assert [normalised(word) for word in ("Don't,", "'Tis", "...", "ÄRGER!")] == [
        "don't",
        "tis",
        "",
        "ärger",
    ]


# --- the real model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whisper() -> ShortWhisper:
    pytest.importorskip("ctranslate2")
    pytest.importorskip("faster_whisper")
    folder = find_model()
    if folder is None:
        pytest.skip(HOW_TO_INSTALL)
    return ShortWhisper(folder)


def stream(sound: FloatArray, whisper: ShortWhisper) -> list[Hypothesis]:
    """Sound through detector and recogniser."""
    try:
        detector = SpeechDetector(VadConfig(), 0.8, SileroVoice())
    except WeightsMissing as error:
        pytest.skip(str(error))
    recognizer = Recognizer(AsrConfig(), whisper)
    out = detector.push(AudioBlock(0, 0.0, sound)) + detector.flush()
    return [recognizer.transcribe(item) for item in out if isinstance(item, SpeechSegment)]


def test_a_final_with_the_sound_of_a_partial_reuses_its_pass(
    data_dir: Path, whisper: ShortWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    sf = pytest.importorskip("soundfile")
    path = next(iter(sorted((data_dir / "ravdess_speech").glob("*/*.flac"))), None)
    if path is None:
        pytest.skip("needs ravdess_speech in ../shared/data")
    samples = sf.read(path, dtype="float32")[0]
    whole = ShortWhisper(find_model() or Path()).transcribe(samples)
    partial = whisper.transcribe(samples, words=False)
    assert partial.words == ()
    monkeypatch.setattr(whisper, "_encode", None)  # a second pass would fail
    monkeypatch.setattr(whisper, "_decode", None)
    assert whisper.transcribe(samples.copy()) == whole
    assert whole.words


def test_a_pass_is_given_up_between_encoder_and_decoder(
    whisper: ShortWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper, "_decode", None)
    with pytest.raises(Abandoned):
        whisper.transcribe(np.full(16_000, 0.01, np.float32), abandoned=lambda: True)


def words(text: str) -> str:
    return " ".join(filter(None, map(normalised, text.split())))


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_no_words_without_speech(name: str, whisper: ShortWhisper) -> None:
    found = stream(NOT_SPEECH[name](20.0), whisper)
    assert [item.text for item in found if item.text] == []


@pytest.mark.slow
def test_jfk_is_understood_as_it_is_said(clips_dir: Path, whisper: ShortWhisper) -> None:
    jiwer = pytest.importorskip("jiwer")
    soxr = pytest.importorskip("soxr")
    sf = pytest.importorskip("soundfile")
    samples, rate = sf.read(clips_dir / "speech_jfk.flac", dtype="float32")
    speech = soxr.resample(samples.mean(axis=1), rate, 16_000).astype(np.float32)
    track = np.concatenate([np.zeros(16_000, np.float32), speech, np.zeros(16_000, np.float32)])
    found = stream(track, whisper)
    text = words(" ".join(item.text for item in found if item.is_final))
    said = (
        "and so my fellow americans ask not what your country can do for you "
        "ask what you can do for your country"
    )
    assert jiwer.wer(said, text) <= 0.2
    for item in found:
        for word in item.words:
            assert item.start_s - 1e-6 <= word.start_s <= word.end_s <= item.end_s + 1e-6


@pytest.mark.slow
def test_short_emotional_clips(data_dir: Path, whisper: ShortWhisper) -> None:
    jiwer = pytest.importorskip("jiwer")
    sf = pytest.importorskip("soundfile")
    said = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}
    files = sorted((data_dir / "ravdess_speech").glob("*/*.flac"))[::100]
    if not files:
        pytest.skip("needs ravdess_speech in ../shared/data")
    truth = [said[path.stem.split("-")[4]] for path in files]
    heard = [words(whisper.transcribe(sf.read(p, dtype="float32")[0]).text) for p in files]
    assert jiwer.wer(truth, heard) <= 0.3


def test_same_sound_gives_the_same_transcript(data_dir: Path, whisper: ShortWhisper) -> None:
    sf = pytest.importorskip("soundfile")
    path = next(iter(sorted((data_dir / "ravdess_speech").glob("*/*.flac"))), None)
    if path is None:
        pytest.skip("needs ravdess_speech in ../shared/data")
    samples = sf.read(path, dtype="float32")[0]
    assert whisper.transcribe(samples) == whisper.transcribe(samples)
