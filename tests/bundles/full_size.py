"""The published encoders at full size with random weights, saved in the hub's own layout: 770 MB."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from realtime_er.encoders.paper.distilroberta import DISTILROBERTA, EmotionRoberta
from realtime_er.encoders.paper.emo_affectnet import FILES, EmoAffectNet
from realtime_er.encoders.paper.wav2vec2 import HUB_ORDER, EmotionWav2Vec2
from tests.encoders.paper.tiny import contiguous, shaken, write_tokenizer


def write_encoders(folder: Path) -> None:
    """Folders "face", "audio" and "text"."""
    for name in ("face", "audio", "text"):
        (folder / name).mkdir(parents=True)
    torch.save(contiguous(shaken(EmoAffectNet(), 1)), folder / "face" / FILES[0])
    sound = shaken(EmotionWav2Vec2(None, 256, len(HUB_ORDER)), 2)
    save_file(contiguous(sound), folder / "audio" / "model.safetensors")
    names = {str(place): name for place, name in enumerate(HUB_ORDER)}
    config = {"model_type": "wav2vec2", "id2label": names}
    (folder / "audio" / "config.json").write_text(json.dumps(config))
    save_file(contiguous(shaken(EmotionRoberta(None, 7), 3)), folder / "text" / "model.safetensors")
    specials = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    config = {**DISTILROBERTA, **specials, "model_type": "roberta"}
    (folder / "text" / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder / "text")
