"""OpenVINO, on the processor. Optional: ``pip install "realtime_er[openvino]"``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from realtime_er.encoders.runtimes.protocol import Form, Inputs, Outputs, Precision
from realtime_er.errors import ModelError

HOW_TO_INSTALL = 'run: pip install "realtime_er[openvino]"'


def openvino_core() -> Any:  # noqa: ANN401 - openvino is optional
    """OpenVINO's entry.

    Raises:
        ModelError: it is not installed.
    """
    try:
        openvino = import_module("openvino")
    except ImportError as error:
        raise ModelError(f"OpenVINO is not installed; {HOW_TO_INSTALL}") from error
    return openvino.Core()


class OpenVinoRuntime:
    """See ``Runtime``.

    Args:
        path: what ``export`` wrote, in fp32 or int8.
        precision: "bf16" computes an fp32 file so.
        threads: processors that one call may use.

    Raises:
        ModelError: OpenVINO is not installed, or cannot run the file.
    """

    def __init__(self, path: Path, precision: Precision, threads: int) -> None:
        self.form = Form("openvino", precision)
        core = openvino_core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Where the processor can, bf16 would be taken without being asked for.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        try:
            self._request = core.compile_model(str(path), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ModelError(f"{path}: OpenVINO cannot run it: {reason}") from error

    def run(self, *inputs: Inputs) -> Outputs:
        """Features and logits."""
        found = self._request.infer(list(inputs), share_inputs=True)
        # Copied: the request's own memory is written by the next call.
        features, logits = (np.array(found[place], np.float32) for place in (0, 1))
        return features, logits
