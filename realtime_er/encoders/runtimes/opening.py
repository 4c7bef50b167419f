"""A form of a network, ready to run; what it needs is exported where it is not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from realtime_er.encoders.runtimes.export import export_fp32, export_int8
from realtime_er.encoders.runtimes.machine import has_bf16
from realtime_er.encoders.runtimes.onnx_runtime import OnnxRuntime
from realtime_er.encoders.runtimes.openvino_runtime import HOW_TO_INSTALL, OpenVinoRuntime
from realtime_er.encoders.runtimes.protocol import Form, Material, Network, Precision, Runtime
from realtime_er.encoders.runtimes.store import Store
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime
from realtime_er.errors import ConfigError, ModelError

N_CALIBRATION = 40
_CALIBRATION_SEED = 1


@dataclass(frozen=True)
class Place:
    """Where a network runs and what it may use there.

    Attributes:
        device: "cpu" or "cuda".
        threads: processors that one call may use.
        material: what it reads in use.
        store: what is kept of it.
    """

    device: str
    threads: int
    material: Material
    store: Store


def set_torch_threads(threads: int) -> None:
    """Tell torch once how many processors a call may use; it knows only one number for all."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def candidates(runtime: str, precision: str, device: str) -> list[Form]:
    """The forms that a request allows and that can be tried on this machine.

    Args:
        runtime: "auto", "torch", "onnx" or "openvino".
        precision: "auto", "fp32", "bf16", "fp16" or "int8".
        device: "cpu" or "cuda".

    Raises:
        ModelError: OpenVINO is asked for and not installed.
        ConfigError: there is no such form here.
    """
    if runtime == "openvino" and find_spec("openvino") is None:
        raise ModelError(f"models.runtime is openvino, which is not installed; {HOW_TO_INSTALL}")
    if device == "cuda":
        known = [Form("torch", "fp16"), Form("torch", "bf16"), Form("torch", "fp32")]
    else:
        known = [Form("onnx", "fp32"), Form("onnx", "int8"), Form("torch", "fp32")]
        if find_spec("openvino") is not None:
            known += [Form("openvino", "fp32"), Form("openvino", "int8")]
        if has_bf16():
            known.append(Form("torch", "bf16"))
            known += [Form("openvino", "bf16")] if find_spec("openvino") is not None else []
    found = [
        form
        for form in known
        if runtime in ("auto", form.runtime) and precision in ("auto", form.precision)
    ]
    if not found:
        there = ", ".join(str(form) for form in known)
        raise ConfigError(
            f"models.runtime={runtime} with models.precision={precision} cannot run here; "
            f"there are {there}"
        )
    return found


def open_form(form: Form, network: Network, place: Place) -> Runtime:
    """Opens a form of a network for the place.

    Raises:
        ModelError: it cannot be exported, kept or run here.
    """
    if form.runtime == "torch":
        return TorchRuntime(network.module, place.device, form.precision)
    path = _file(form.precision, network, place)
    if form.runtime == "onnx":
        return OnnxRuntime(path, form.precision, place.threads)
    return OpenVinoRuntime(path, form.precision, place.threads)


def _file(precision: Precision, network: Network, place: Place) -> Path:
    if precision != "int8":
        return place.store.file("fp32.onnx", lambda to: export_fp32(network, to))
    there = place.store.find("int8.onnx")
    if there is not None:
        return there
    fp32 = _file("fp32", network, place)

    def make(to: Path) -> None:
        static = network.int8 == "static"
        seen = place.material(N_CALIBRATION, _CALIBRATION_SEED) if static else ()
        export_int8(network, fp32, to, seen)

    return place.store.file("int8.onnx", make)
