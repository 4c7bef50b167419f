"""Writes the text network as an ONNX graph with four-bit layers and eight-bit token vectors.

The graph is built node by node: no exporter knows the packed layers, and this way the file holds
nothing but what is computed. ``MatMulNBits`` and ``MultiHeadAttention`` are operators of ONNX
Runtime (for the CPU since 1.18 and earlier).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from realtime_er.messages import LABELS
from realtime_er.training.text.model import (
    BLOCK,
    EMBEDDING_DIM,
    HEADS,
    NORM_EPSILON,
    TextNet,
    four_bits,
)

_OPSET = 20


class _Graph:
    """Nodes and constants in the order they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(
        self, kind: str, inputs: list[str], output: str, *, domain: str = "", **attributes: object
    ) -> str:
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def split(self, name: str, states: str, parts: int) -> list[str]:
        outputs = [f"{name}.{part}" for part in range(parts)]
        self.nodes.append(
            helper.make_node("Split", [states], outputs, name=name, axis=-1, num_outputs=parts)
        )
        return outputs

    def rows(self, name: str, weight: Tensor, ids: str) -> str:
        """Rows of a table that is kept in eight bits with one scale a row."""
        values = weight.detach().numpy()
        scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127.0
        levels = np.round(values / scale).astype(np.int8)
        picked = self.add(
            "Gather", [self.constant(f"{name}.levels", levels), ids], f"{name}.picked"
        )
        number = self.add("Cast", [picked], f"{name}.float", to=TensorProto.FLOAT)
        scales = self.constant(f"{name}.scales", scale.astype(np.float32))
        factor = self.add("Gather", [scales, ids], f"{name}.factor")
        return self.add("Mul", [number, factor], f"{name}.rows")

    def packed(self, name: str, layer: nn.Linear, states: str) -> str:
        """A linear layer in four bits; two levels share a byte, the first in its low half."""
        levels, scale = four_bits(layer.weight.detach())
        whole = levels.numpy().astype(np.uint8)
        packed = self.constant(f"{name}.packed", whole[..., ::2] | (whole[..., 1::2] << 4))
        scales = self.constant(f"{name}.scales", scale.numpy().astype(np.float32).reshape(-1))
        product = self.add(
            "MatMulNBits", [states, packed, scales], f"{name}.product", domain="com.microsoft",
            K=layer.in_features, N=layer.out_features, bits=4, block_size=BLOCK, accuracy_level=4,
        )  # fmt: skip
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        return self.add("Add", [product, bias], name)

    def linear(self, name: str, layer: nn.Linear, states: str, output: str) -> str:
        weight = self.constant(f"{name}.weight", layer.weight.detach().numpy())
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        return self.add("Gemm", [states, weight, bias], output, transB=1)

    def norm(self, name: str, layer: nn.LayerNorm, states: str) -> str:
        weight = self.constant(f"{name}.weight", layer.weight.detach().numpy())
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        return self.add(
            "LayerNormalization", [states, weight, bias], name, axis=-1, epsilon=NORM_EPSILON
        )


def export(net: TextNet, path: Path) -> None:
    """Writes the file: "ids" int64 [1, T] to "embedding" [1, 128] and "logits" [1, 7]."""
    graph = _Graph()
    length = graph.add("Shape", ["ids"], "length", start=1, end=2)
    zero, one = graph.constant("zero", np.array(0)), graph.constant("one", np.array(1))
    count = graph.add("Squeeze", [length], "count")
    places = graph.add("Range", [zero, count, one], "places")
    words = graph.rows("words", net.words.weight, "ids")
    placed = graph.add("Add", [words, graph.rows("place", net.places.weight, places)], "placed")
    states = graph.norm("norm", net.norm, placed)
    for number, layer in enumerate(net.stack()):
        at = f"layer.{number}"
        together = graph.packed(f"{at}.qkv", layer.qkv, states)
        query, key, value = graph.split(f"{at}.split", together, 3)
        joined = graph.add(
            "MultiHeadAttention", [query, key, value], f"{at}.read", domain="com.microsoft",
            num_heads=HEADS,
        )  # fmt: skip
        mixed = graph.packed(f"{at}.out", layer.out, joined)
        states = graph.norm(
            f"{at}.norm", layer.norm, graph.add("Add", [states, mixed], f"{at}.sum")
        )
        lifted = graph.add("Gelu", [graph.packed(f"{at}.up", layer.up, states)], f"{at}.gelu")
        lowered = graph.packed(f"{at}.down", layer.down, lifted)
        states = graph.norm(
            f"{at}.last_norm", layer.last_norm, graph.add("Add", [states, lowered], f"{at}.end")
        )
    axes = graph.constant("axes", np.array([1]))
    mean = graph.add("ReduceMean", [states, axes], "mean", keepdims=0)
    embedded = graph.linear("embed", net.embed, mean, "embedded")
    graph.add("Relu", [embedded], "embedding")
    graph.linear("classify", net.classify, "embedding", "logits")
    _save(graph, path)


def _save(graph: _Graph, path: Path) -> None:
    made = helper.make_graph(
        graph.nodes,
        "text",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "T"])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, EMBEDDING_DIM]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(LABELS)]),
        ],
        graph.constants,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=9), str(path))
