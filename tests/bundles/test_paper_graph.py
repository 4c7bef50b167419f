"""Windows of 4 s through the whole graph, with fakes at the model boundary: no torch."""

import json
import threading

import numpy as np

from realtime_er.bundles.paper_voice import PaperVoice
from realtime_er.config import load_config
from realtime_er.messages import Absence
from realtime_er.session import Session
from tests.bundles.test_paper_voice import Summing
from tests.fakes import CountingCamera, FakeSource, RampMicrophone
from tests.test_session import FakeModels

NEVER = threading.Event()


class Slow(Summing):
    """So slow that all else has ended before the last window is described."""

    def encode(self, windows):
        NEVER.wait(0.1)
        return super().encode(windows)


class WindowModels(FakeModels):
    def load(self, *, video, audio, text):
        self.audio = PaperVoice(Slow())


def run(seconds, **models):
    config = load_config("paper", {"face.min_sharpness": 0.0, "asr.enabled": False})
    source = FakeSource(CountingCamera(seconds), RampMicrophone(seconds))
    with Session(config, source=source, models=WindowModels(config, **models)) as session:
        estimates = list(session.estimates())
        whole = session.whole()
    assert session.accounting().balanced, session.accounting().lines()
    return estimates, whole


def test_ticks_end_with_the_recording_however_late_the_last_window_is():
    """The next window would end at 6 s; nothing is estimated for what was never heard."""
    estimates, whole = run(4.5, speech=range(0))
    assert [e.time_s for e in estimates] == [k / 4 for k in range(1, 19)]
    assert all(e.absent["audio"] is Absence.WAITING for e in estimates[:7])
    assert all(e.absent["audio"] is Absence.NO_SPEECH for e in estimates[7:])
    assert whole["contribution_audio"] == 0.0


def test_two_runs_are_equal_byte_for_byte():
    first, second = (run(5.0, speech=range(8_000, 60_000)) for _ in range(2))
    assert [json.dumps(e.to_record()) for e in first[0]] == [
        json.dumps(e.to_record()) for e in second[0]
    ]
    assert first[1] == second[1]
    heard = [e.time_s for e in first[0] if "audio" not in e.absent]
    np.testing.assert_allclose(heard, np.arange(2.0, 5.01, 0.25))
    assert first[1]["contribution_audio"] != 0.0
