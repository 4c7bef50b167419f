"""A session and a media file that need no models and no devices."""

import itertools

from realtime_er.accounting import Accounting
from realtime_er.errors import RecordingError
from realtime_er.messages import LABELS, MODALITIES
from realtime_er.view import Summary
from tests.sinks.samples import make_estimate, make_final, make_recording, make_snapshot


class FakeMediaFile:
    """``bad`` maps file names to the error that opening raises."""

    bad = {}  # noqa: RUF012

    def __init__(self, path, *, paced=False):
        self.path, self.paced = path, paced
        if path.name in self.bad:
            raise self.bad[path.name]

    duration_s = 5.0


class FakeSession:
    """Fifty estimates, then ``fault`` if there is one."""

    made = []  # noqa: RUF012
    fault = None
    notices = ("words are off",)

    def __init__(self, config, *, source=None, models=None, record=None):
        self.config, self.source, self.record = config, source, record
        self.given, self.waiting = [], None
        self.recorded, self.reports = [], ()
        self.stopped = self.closed = False
        self.finals = (make_final(1, "It is a fine day.", 0.5, 1.5),)
        FakeSession.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.closed = True

    def start(self):
        pass

    def close(self):
        self.closed = True

    def poll(self):
        """Ten estimates a call."""
        if self.waiting is None:
            self.waiting = self.estimates()
        batch = list(itertools.islice(self.waiting, 10))
        return batch or None

    def start_recording(self, folder, options=None):
        if self.recorded and self.recorded[-1] is not None:
            raise RecordingError(f"{folder}: the session is being recorded already")
        folder.mkdir(parents=True)
        self.recorded.append(folder)

    def stop_recording(self):
        self.recorded.append(None)

    def recordings(self):
        return self.reports

    def devices(self):
        return {"camera": {"requested": {"source": "0"}}, "microphone": {}}

    def set_muted(self, muted):
        pass

    def select_target(self, track_id):
        pass

    def change_device(self, stream, wanted):
        pass

    def estimates(self):
        for estimate in make_recording(50):
            self.given.append(estimate)
            yield estimate
            if self.stopped:
                return
        if self.fault is not None:
            raise self.fault

    def stop(self):
        self.stopped = True

    def snapshot(self):
        return make_snapshot(self.given[-1])

    def summary(self):
        mean = make_estimate(1).probabilities
        return Summary(len(self.given), 5.0, mean, {"Happy": 50}, "It is a fine day.", 0.04, 0.08)

    def accounting(self):
        return Accounting(())

    def whole(self):
        return {
            "label": "Happy",
            "confidence": 0.4,
            **dict.fromkeys(LABELS, 0.1),
            **dict.fromkeys((f"contribution_{m}" for m in MODALITIES), 0.1),
            "transcript": "It is a fine day.",
        }
