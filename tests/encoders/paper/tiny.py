"""Small published encoders with random weights, saved in the hub's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch

AUDIO_CONFIG = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 12],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "id2label": {
        "0": "SAD",
        "1": "ANGRY",
        "2": "DISGUST",
        "3": "FEAR",
        "4": "HAPPY",
        "5": "NEUTRAL",
    },
}
AUDIO_PROJECTED, AUDIO_CLASSES = 6, 6
TEXT_CONFIG = {
    "model_type": "roberta",
    "vocab_size": 270,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 26,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "id2label": {"0": "anger", "1": "disgust", "2": "fear", "3": "joy", "4": "neutral", "5": "sadness",
                 "6": "surprise"},
}  # fmt: skip
TEXT_CLASSES = 7


def shaken(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random values everywhere, so that no norm is the identity and no bias is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.copy_(1.0 + 0.3 * noise.clamp(-2, 2))
            elif name.endswith("original0"):
                value.copy_(0.5 + noise.abs())
            elif value.ndim < 2:
                value.copy_(0.1 * noise)
            else:
                value.copy_(noise / value[0].numel() ** 0.5)
    return module.eval()


def make_face(seed: int = 1) -> torch.nn.Module:
    from realtime_er.encoders.paper.emo_affectnet import EmoAffectNet

    return shaken(EmoAffectNet(4, (1, 2, 1, 1), 10, 7), seed)


def make_audio(seed: int = 2) -> torch.nn.Module:
    from realtime_er.encoders.paper.wav2vec2 import EmotionWav2Vec2

    return shaken(EmotionWav2Vec2(AUDIO_CONFIG, AUDIO_PROJECTED, AUDIO_CLASSES), seed)


def make_text(seed: int = 3) -> torch.nn.Module:
    from realtime_er.encoders.paper.distilroberta import EmotionRoberta

    return shaken(EmotionRoberta(TEXT_CONFIG, TEXT_CLASSES), seed)


def contiguous(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: value.detach().clone().contiguous() for name, value in module.state_dict().items()
    }


def write_face(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "FER_static_ResNet50_AffectNet.pt"
    torch.save(contiguous(make_face()), path)
    return path


def write_audio(folder: Path) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    save_file(contiguous(make_audio()), path)
    (folder / "config.json").write_text(json.dumps(AUDIO_CONFIG))
    return path


def write_text(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pytorch_model.bin"
    torch.save(contiguous(make_text()), path)
    (folder / "config.json").write_text(json.dumps(TEXT_CONFIG))
    write_tokenizer(folder)
    return path


def write_tokenizer(folder: Path) -> None:
    """Byte-level BPE with one merge: the published kind of tokenizer, five specials first."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "he", "<mask>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nh e\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 512})
    )
