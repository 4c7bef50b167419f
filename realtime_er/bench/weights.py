"""The published encoders at full size with random weights, in the hub's own layout: 770 MB.

Random weights cost the same as published ones; what they say means nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.errors import ModelError

if TYPE_CHECKING:
    import torch

NEEDED_MB = 800
_DONE = "complete"


def random_weights(folder: Path) -> dict[str, str]:
    """Write them, unless they are there; the settings that name them.

    Args:
        folder: made where it is not there; holds "face", "audio" and "text" afterwards.

    Returns:
        Settings of the configuration to folder: "paper.face", "paper.audio", "paper.text".

    Raises:
        ModelError: torch and transformers are not installed, or the disk is too full.
    """
    if not (folder / _DONE).is_file():
        _write(folder)
    return {f"paper.{name}": str(folder / name) for name in ("face", "audio", "text")}


def _write(folder: Path) -> None:
    try:
        from safetensors.torch import save_file

        from realtime_er.encoders.paper.distilroberta import DISTILROBERTA, EmotionRoberta
        from realtime_er.encoders.paper.emo_affectnet import EmoAffectNet
        from realtime_er.encoders.paper.wav2vec2 import HUB_ORDER, EmotionWav2Vec2
    except ImportError as error:
        raise ModelError(
            f"the paper bundle needs {error.name}, which is not installed; run: "
            'pip install "realtime_er[paper]"'
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(folder).free / 2**20
    if free_mb < NEEDED_MB:
        raise ModelError(
            f"{folder}: {free_mb:.0f} MB free, random weights take {NEEDED_MB} MB; "
            "name another place with --weights"
        )
    for name in ("face", "audio", "text"):
        (folder / name).mkdir(exist_ok=True)
    save_file(_shaken(EmoAffectNet(), 1), folder / "face" / "model.safetensors")
    sound = _shaken(EmotionWav2Vec2(None, 256, len(HUB_ORDER)), 2)
    save_file(sound, folder / "audio" / "model.safetensors")
    classes = {str(place): name for place, name in enumerate(HUB_ORDER)}
    _write_json(folder / "audio" / "config.json", {"model_type": "wav2vec2", "id2label": classes})
    save_file(_shaken(EmotionRoberta(None, 7), 3), folder / "text" / "model.safetensors")
    specials = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    _write_json(
        folder / "text" / "config.json", {**DISTILROBERTA, **specials, "model_type": "roberta"}
    )
    _write_tokenizer(folder / "text")
    (folder / _DONE).write_text("random weights, for realtime-er bench\n", encoding="utf-8")


def _shaken(module: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Random values that keep activations of the usual size: no norm an identity, no bias zero."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, old in module.state_dict().items():
        value = old.detach().clone().contiguous()
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value = 1.0 + 0.3 * noise.clamp(-2, 2)
            elif name.endswith("original0"):
                value = 0.5 + noise.abs()
            elif value.ndim < 2:
                value = 0.1 * noise
            else:
                value = noise / value[0].numel() ** 0.5
        state[name] = value
    return state


def _write_tokenizer(folder: Path) -> None:
    """Bytes as tokens: RoBERTa's kind, with hardly any merges, so texts are longer than usual."""
    from tokenizers.pre_tokenizers import ByteLevel

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "he", "<mask>"]
    _write_json(folder / "vocab.json", {piece: index for index, piece in enumerate(pieces)})
    (folder / "merges.txt").write_text("#version: 0.2\nh e\n", encoding="utf-8")
    _write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512},
    )


def _write_json(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def missing_weights(sources: dict[str, str]) -> list[str]:
    """Which of the published encoders are not on this machine.

    Args:
        sources: "face", "audio", "text" to what the configuration names.
    """
    from realtime_er.encoders.paper.hub import FACE_FILES, WEIGHT_FILES, find_weights
    from realtime_er.errors import WeightsMissing

    missing = []
    for name, source in sources.items():
        try:
            find_weights(source, FACE_FILES if name == "face" else WEIGHT_FILES)
        except WeightsMissing:
            missing.append(name)
    return missing


def exports() -> frozenset[Path]:
    """The folders of everything that runtimes have exported into the user's cache."""
    from realtime_er.encoders.runtimes.store import default_root

    root = default_root()
    return frozenset(root.iterdir()) if root.is_dir() else frozenset()


def remove_exports(folder: Path, kept: frozenset[Path]) -> None:
    """Remove from the user's cache what runtimes exported of the weights in this folder.

    Args:
        folder: what ``random_weights`` made.
        kept: Folders that stay: random weights are the same every time, so another run may have
            exported them for good.
    """
    from realtime_er.encoders.paper.hub import find_weights
    from realtime_er.encoders.runtimes.store import Store

    for name in ("face", "audio", "text"):
        found = find_weights(folder / name)
        for identity in {found.sha256, found.identity}:
            exported = Store(name, identity).folder
            if exported not in kept:
                shutil.rmtree(exported, ignore_errors=True)
