"""Tidies exported ONNX files."""

from __future__ import annotations

from pathlib import Path

import onnx


def strip_traces(path: Path) -> None:
    """Removes the exporter's traces (source paths and lines) from a model, in place.

    They tell a reader about the machine that trained it, and they change the file's hash whenever
    a line of the trainer moves although the weights are the same.
    """
    model = onnx.load(str(path))
    del model.metadata_props[:]
    graph = model.graph
    del graph.metadata_props[:]
    for items in (graph.node, graph.value_info, graph.input, graph.output, graph.initializer):
        for item in items:
            del item.metadata_props[:]
            item.ClearField("doc_string")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
