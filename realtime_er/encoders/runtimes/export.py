"""A network of torch to files that ONNX Runtime and OpenVINO run: as it is, and in 8 bits."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from realtime_er.encoders.runtimes.machine import sums_saturate
from realtime_er.encoders.runtimes.protocol import Example, Inputs, Network
from realtime_er.errors import ModelError

_OPSET = 17


def export_fp32(network: Network, path: Path) -> None:
    """Writes a network as ONNX, norms folded into convolutions.

    Raises:
        ModelError: the package onnx is not installed, or torch cannot export the network.
    """
    import torch

    _require_onnx()
    example = tuple(torch.from_numpy(one) for one in network.example)
    with _quiet(), torch.inference_mode():
        try:
            # The exporter that needs no more than onnx, and that writes one file.
            torch.onnx.export(
                network.module,
                example,
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=list(network.inputs),
                output_names=["features", "logits"],
                dynamic_axes={name: dict(axes) for name, axes in network.free_axes.items()},
            )
        except (torch.onnx.OnnxExporterError, RuntimeError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ModelError(
                f"the {network.name} encoder cannot be exported: {reason}; use models.runtime=torch"
            ) from error


def export_int8(network: Network, fp32: Path, path: Path, seen: Sequence[Example]) -> None:
    """Writes the 8-bit form of what ``export_fp32`` wrote.

    Convolutional nets get fixed scales, from what they see (the largest and smallest values);
    only convolutions are touched, sums of residuals and the last layers stay in fp32.
    Transformers get whole-number weights, channel by channel, for products with weights; inputs
    are scaled call by call.

    Args:
        network: for its names and kind.
        fp32: the file to begin with.
        path: the file to write.
        seen: inputs to calibrate with; used by "static" alone.

    Raises:
        ModelError: the package onnx is not installed.
    """
    _require_onnx()
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import (  # type: ignore[import-untyped]
        quant_pre_process,
    )

    reduced = sums_saturate()
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(fp32), str(prepared), skip_symbolic_shape=True)
        if network.int8 == "static":
            quantize_static(
                str(prepared),
                str(path),
                _Reader(network.inputs, seen),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=reduced,
                op_types_to_quantize=["Conv"],
            )
        else:
            quantize_dynamic(
                str(prepared),
                str(path),
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=reduced,
                op_types_to_quantize=["MatMul"],
                extra_options={"MatMulConstBOnly": True},
            )


class _Reader:
    """Hands inputs to the calibration one by one."""

    def __init__(self, names: Sequence[str], seen: Sequence[Example]) -> None:
        self._left: Iterator[Example] = iter(seen)
        self._names = names

    def get_next(self) -> dict[str, Inputs] | None:
        """The next input by name; None after the last."""
        one = next(self._left, None)
        return None if one is None else dict(zip(self._names, one, strict=True))


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ModelError(
            'exporting needs the package onnx; run: pip install "realtime_er[paper]"'
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of what is their own affair, and log to everybody's logger."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
