"""A small WavLM and a small CLIP with random weights, saved in the hub's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from realtime_er.encoders.foal.clip import new_clip
from realtime_er.encoders.foal.wavlm import new_wavlm
from tests.encoders.paper.tiny import contiguous, shaken

WAVLM_CONFIG = {
    "model_type": "wavlm",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_dim": [8, 12],
    "conv_kernel": [48, 24],
    "conv_stride": [40, 20],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "num_buckets": 16,
    "max_bucket_distance": 20,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.0,
    "mask_time_prob": 0.0,
}
"""Steps of 800 samples, so that a second is 20 states and not 50."""
CLIP_CONFIG = {
    "model_type": "clip",
    "projection_dim": 12,
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
        "projection_dim": 99,
    },
}


def make_wavlm(seed: int = 4) -> torch.nn.Module:
    return shaken(new_wavlm(WAVLM_CONFIG), seed)


def make_clip(seed: int = 5) -> torch.nn.Module:
    return shaken(new_clip(CLIP_CONFIG), seed)


def write_wavlm(folder: Path) -> Path:
    """A bare model, its weight norm spelled as the published file spells it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = contiguous(make_wavlm())
    for old, new in (("original0", "weight_g"), ("original1", "weight_v")):
        name = f"encoder.pos_conv_embed.conv.parametrizations.weight.{old}"
        state[f"encoder.pos_conv_embed.conv.{new}"] = state.pop(name)
    del state["masked_spec_embed"]
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(WAVLM_CONFIG))
    return folder


def write_clip(folder: Path) -> Path:
    """A whole CLIP: the words' half is there and is not read."""
    folder.mkdir(parents=True, exist_ok=True)
    state = contiguous(make_clip())
    state["text_model.final_layer_norm.weight"] = torch.ones(3)
    state["logit_scale"] = torch.tensor(4.6)
    state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CLIP_CONFIG))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]})
    )
    return folder
