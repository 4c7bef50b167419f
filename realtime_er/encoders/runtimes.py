"""How a model file is run. ONNX Runtime is the default; torch is only for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.errors import ModelError, WeightsMissing

if TYPE_CHECKING:
    import onnxruntime


def onnx_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """Open a model for the CPU.

    Threads do not spin between calls: a live encoder is idle most of the time, and spinning costs
    tens of milliseconds of CPU in every pause.

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
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises a dozen unrelated exception types for a bad file.
        raise ModelError(f"{path}: ONNX Runtime cannot load it: {error}") from error
