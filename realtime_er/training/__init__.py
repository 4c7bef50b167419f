"""Training and evaluation: corpora readers, trainers of the compact encoders, metrics.

Nothing outside this package imports torch for training; the models leave it as ONNX files with a
card, so a running session needs none of it.
"""
