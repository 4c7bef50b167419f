"""The encoders of the RAVDESS comparison: a clip's pictures and its sound, whole or in blocks.

    resnext3d.py   3 x 30 x 224 x 224 pictures to logits (3-D ResNeXt-50)
    mfcc_net.py    13 x 212 cepstra to logits (1-D CNN)
    blocks.py      where intermediate fusions cut them
    files.py       published unimodal checkpoints

Torch is imported by the modules, not here.
"""
