"""Fusion heads: vectors of up to three modalities in, calibrated label probabilities out.

``head.py`` is what a session runs (ONNX, no torch); ``gated.py`` is the network in torch, for
training and published checkpoints.
"""
