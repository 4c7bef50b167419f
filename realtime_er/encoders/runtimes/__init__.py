"""How a model is run: ONNX files as they ship, and the published networks in their fastest form.

    protocol.py           Runtime: what runs a network; Form: which runtime, which precision
    torch_runtime.py      the reference, and CUDA
    onnx_runtime.py       ONNX Runtime
    openvino_runtime.py   OpenVINO, where it is installed
    export.py             a network of torch to ONNX, and to 8 bits
    store.py              where those files are kept, and what was decided on which machine
    parity.py             whether a form gives what the reference gives
    choice.py             the fastest form that does

Processors per call are counted once: ``opening.open_form`` hands ``models.threads`` to each.
"""

from realtime_er.encoders.runtimes.onnx_runtime import onnx_session as onnx_session
