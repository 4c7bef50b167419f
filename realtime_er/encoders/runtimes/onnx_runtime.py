"""ONNX Runtime, on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.encoders.runtimes.protocol import Form, Inputs, Outputs, Precision
from realtime_er.errors import ModelError, WeightsMissing

if TYPE_CHECKING:
    import onnxruntime


_FROM_MEMORY_BYTES = 100_000_000


def onnx_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open a model for the CPU.

    Threads do not spin between calls: a live encoder is idle most of the time, and spinning costs
    tens of milliseconds of CPU in every pause.

    A model that comes with a card is one file: weights beside it ("external data") are not loaded, for
    no hash covers them and a file may point anywhere.

    Raises:
        WeightsMissing: there is no such file.
        ModelError: it is not a model that ONNX Runtime can run.
    """
    import onnxruntime as ort

    if not path.is_file():
        raise WeightsMissing(f"{path}: model file missing; reinstall realtime_er")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        # From memory, where ONNX Runtime has no folder to look for external data in. The large ones
        # were exported here (``store.py`` knows their hashes) and would stand in memory twice.
        small = path.stat().st_size <= _FROM_MEMORY_BYTES
        model = path.read_bytes() if small else str(path)
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises a dozen unrelated exception types for a bad file.
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {error}") from error


class OnnxRuntime:
    """See ``Runtime``.

    Args:
        path: what ``export`` wrote.
        precision: of that file.
        threads: processors that one call may use.
    """

    def __init__(self, path: Path, precision: Precision, threads: int) -> None:
        self.form = Form("onnx", precision)
        self._session = onnx_session(path, threads)
        self._names = [entry.name for entry in self._session.get_inputs()]

    def run(self, *inputs: Inputs) -> Outputs:
        """Features and logits."""
        features, logits = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return features, logits
