"""Committed words are never taken back while somebody speaks, whatever the recogniser makes up."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime_er.config import AsrConfig
from realtime_er.messages import SpeechSegment
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.whisper import Transcript
from tests.properties.bounded import bounded

words = st.sampled_from(["we", "We,", "are", "here", "hear", "now.", "...", "it's"])
transcripts = st.builds(
    Transcript,
    text=st.lists(words, max_size=6).map(" ".join),
    average_log_probability=st.sampled_from([-0.2, -0.7, -3.0, float("nan")]),
    no_speech_probability=st.sampled_from([0.0, 0.9]),
    compression_ratio=st.sampled_from([1.0, 9.0]),
)
# Each revision of a few segments: what is heard, and whether it is the last.
revisions = st.lists(st.tuples(transcripts, st.booleans()), min_size=1, max_size=12)


class Told:
    """Says what it was given to say."""

    def __init__(self) -> None:
        self.next = Transcript("")

    def transcribe(self, samples, **_options):
        return self.next


@bounded(100)
@given(revisions=revisions)
def test_committed_text_only_grows(revisions: list[tuple[Transcript, bool]]) -> None:
    model = Told()
    recognizer = Recognizer(AsrConfig(), model)
    segment_id, revision, committed = 1, 0, ""
    samples = np.zeros(16_000, np.float32)
    for transcript, is_final in revisions:
        model.next = transcript
        made = recognizer.transcribe(
            SpeechSegment(segment_id, revision, 0.0, 1.0, 1.0, is_final, samples)
        )
        assert made.text.startswith(made.committed)
        if is_final:
            assert made.committed == made.text
            assert made.text in ("", transcript.text)
            segment_id, revision, committed = segment_id + 1, 0, ""
        else:
            old, new = committed.split(), made.committed.split()
            assert new[: len(old)] == old
            revision, committed = revision + 1, made.committed
        if made.refused:
            assert made.words == ()
