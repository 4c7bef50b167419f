"""Voice models: what tells voice from other sound, one step of some 30 ms at a time.

Each is owned by one thread and keeps its own state; the state machine that makes utterances of their
probabilities is ``vad.SpeechDetector``.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import WeightsMissing
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray


class VoiceModel(Protocol):
    """What tells voice from other sound, step by step. Keeps state between steps."""

    step_samples: int

    def probability(self, samples: FloatArray) -> float:
        """Probability in [0, 1] that the next step, float32 (``step_samples``,), is voice."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class SileroVoice:
    """Silero VAD v6 (MIT), as the faster-whisper package ships it, run as a stream.

    The recurrent state and the 64 samples before the step are carried from call to call.

    Raises:
        WeightsMissing: faster-whisper is not installed or lacks the model.
        ModelError: the model cannot be loaded.
    """

    step_samples = 512
    _CONTEXT = 64
    _STATE = 128

    def __init__(self, path: Path | None = None) -> None:
        self._session: Any = onnx_session(path or _silero_path())
        self._input: FloatArray = np.zeros((1, self._CONTEXT + self.step_samples), np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._input[:] = 0.0
        self._h: FloatArray = np.zeros((1, 1, self._STATE), np.float32)
        self._c: FloatArray = np.zeros((1, 1, self._STATE), np.float32)

    def probability(self, samples: FloatArray) -> float:
        """Probability that the next 512 samples are voice."""
        self._input[0, : self._CONTEXT] = self._input[0, -self._CONTEXT :]
        self._input[0, self._CONTEXT :] = samples
        output, self._h, self._c = self._session.run(
            None, {"input": self._input, "h": self._h, "c": self._c}
        )
        return float(np.asarray(output).reshape(-1)[0])


def _silero_path() -> Path:
    # Not imported: faster_whisper pulls in PyAV and the hub client, 0.3 s for a file name.
    spec = importlib.util.find_spec("faster_whisper")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "assets" / "silero_vad_v6.onnx"
        if path.is_file():
            return path
    raise WeightsMissing(
        "silero_vad_v6.onnx not found: pip install faster-whisper, or set vad.engine to 'webrtc'"
    )


class WebRtcVoice:
    """WebRTC's Gaussian mixture detector; its yes/no is averaged over the last five steps.

    Args:
        aggressiveness: 0 (lets much through) to 3.

    Raises:
        WeightsMissing: webrtcvad is not installed.
    """

    step_samples = 480

    def __init__(self, aggressiveness: int = 3) -> None:
        if importlib.util.find_spec("webrtcvad") is None:
            raise WeightsMissing("vad.engine 'webrtc' needs: pip install webrtcvad-wheels")
        self._aggressiveness = aggressiveness
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        import webrtcvad

        self._vad: Any = webrtcvad.Vad(self._aggressiveness)
        self._recent: deque[float] = deque(maxlen=5)

    def probability(self, samples: FloatArray) -> float:
        """Share of the last five steps, this one included, that were voice."""
        pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        self._recent.append(float(self._vad.is_speech(pcm, SAMPLE_RATE_HZ)))
        return sum(self._recent) / len(self._recent)


def make_voice_model(engine: str) -> VoiceModel:
    """The model that ``vad.engine`` names, "silero" or "webrtc".

    Raises:
        WeightsMissing: its package is not installed.
    """
    return SileroVoice() if engine == "silero" else WebRtcVoice()
