"""Every error a caller can act on.

    RealtimeERError
    ├── ConfigError            a setting is unknown, of the wrong type or out of range
    ├── SourceError            nothing can be read from a file, a device or an address
    │   ├── DeviceNotFound     no such camera or microphone; the message lists what there is
    │   ├── DeviceBusy         another program has the camera or microphone
    │   ├── DeviceLost         a device that was delivering stopped
    │   └── MediaError         a file or stream that cannot be decoded
    ├── ModelError             a model cannot be used
    │   ├── WeightsMissing     its files are not there; the message says which command fetches them
    │   └── SpecMismatch       its card contradicts its file, or the encoders it is given
    ├── CorpusError            a corpus is absent or not laid out as expected
    ├── RecordingError         a recorded session cannot be written, read, verified or repaired
    │   └── NewerFormat        it was written by a newer version of this program
    └── SessionError           the running session
        ├── WorkerFault        a worker thread died; ``__cause__`` is what killed it
        └── ClosedError        the session was used before it was opened or after it was closed

The command line prints ``str(error)`` as one line and exits with 1 (``ConfigError``: 2), so each
message says what is wrong, where, and what to do next.
"""


class RealtimeERError(Exception):
    """Base of all errors raised on purpose by this package."""


class ConfigError(RealtimeERError):
    """A setting is unknown, of the wrong type or out of range."""


class SourceError(RealtimeERError):
    """Nothing can be read from a file, a device or an address."""


class DeviceNotFound(SourceError):
    """No such camera or microphone."""


class DeviceBusy(SourceError):
    """Another program has the camera or microphone."""


class DeviceLost(SourceError):
    """A device that was delivering stopped."""


class MediaError(SourceError):
    """A file or stream cannot be decoded."""


class ModelError(RealtimeERError):
    """A model cannot be used."""


class WeightsMissing(ModelError):
    """A model's files are not there."""


class SpecMismatch(ModelError):
    """A model's card contradicts its file or the encoders it is given."""


class CorpusError(RealtimeERError):
    """A corpus is absent or not laid out as expected."""


class RecordingError(RealtimeERError):
    """A recorded session cannot be written, read, verified or repaired."""


class NewerFormat(RecordingError):
    """A recorded session was written by a newer version of this program."""


class SessionError(RealtimeERError):
    """The running session failed or was misused."""


class WorkerFault(SessionError):
    """A worker thread died; ``__cause__`` is what killed it."""


class ClosedError(SessionError):
    """The session was used before it was opened or after it was closed."""
