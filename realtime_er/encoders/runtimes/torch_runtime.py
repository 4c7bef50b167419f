"""Torch, the reference, on the processor or on CUDA."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from realtime_er.encoders.runtimes.protocol import Form, Inputs, Outputs, Precision

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """See ``Runtime``.

    Args:
        module: in evaluation mode; it is moved to the device.
        device: torch's name of where to run.
        precision: "fp32", or "bf16" and "fp16" by autocast (norms and softmax stay in fp32).
    """

    def __init__(
        self, module: nn.Module, device: str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self.form = Form("torch", precision)
        self.device = torch.device(device)
        self._module = module.to(self.device)
        self._half = _HALVES.get(precision)

    def run(self, *inputs: Inputs) -> Outputs:
        """Features and logits."""
        # Copied: what comes in may be read-only, which torch does not know.
        given = [torch.tensor(one).to(self.device) for one in inputs]
        half = (
            contextlib.nullcontext()
            if self._half is None
            else torch.autocast(self.device.type, self._half)
        )
        with torch.inference_mode(), half:
            features, logits = self._module(*given)
        return features.float().cpu().numpy(), logits.float().cpu().numpy()
