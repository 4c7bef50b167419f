"""The picture encoder of Foal-Net: CLIP's, frame by frame, projected to 768 numbers; never trained.

Pictures are prepared as CLIP was trained: the shorter side scaled to 224 pixels (bicubic), the
middle cut out, channels red, green, blue normalised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.hub import find_weights
from realtime_er.errors import ModelError, SpecMismatch
from realtime_er.messages import FloatArray, ImageArray

WHAT = "a CLIP"
HUB_ID = "openai/clip-vit-large-patch14"
BATCH_PICTURES = 32
"""Pictures run at once at most; limits memory, changes no result."""
LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
"""The structure of ViT-L/14, where no ``config.json`` tells it."""
_MEANS_RGB = (0.48145466, 0.4578275, 0.40821073)
_SPREADS_RGB = (0.26862954, 0.26130258, 0.27577711)
_PARTS = ("vision_model.", "visual_projection.")
_OLD_BUFFER = "vision_model.embeddings.position_ids"


def new_clip(config: Mapping[str, Any] | None = None) -> nn.Module:
    """CLIP's picture half with random weights.

    Args:
        config: settings as in the hub's ``config.json``, of the whole CLIP or of its picture
            half; empty means ViT-L/14.

    Raises:
        ModelError: transformers is not installed.
    """
    try:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except ImportError as error:
        raise ModelError(
            "CLIP needs transformers; run: pip install 'realtime_er[paper]'"
        ) from error
    given = dict(config or LARGE)
    vision = dict(given.get("vision_config") or given)
    vision["projection_dim"] = given.get("projection_dim", vision.get("projection_dim", 768))
    network: nn.Module = CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(vision))
    return network


def prepare_picture(
    picture: ImageArray,
    side_px: int = 224,
    means: Sequence[float] = _MEANS_RGB,
    spreads: Sequence[float] = _SPREADS_RGB,
) -> Tensor:
    """One picture as CLIP reads it.

    Args:
        picture: uint8 [H, W, 3], BGR as everywhere here.
        side_px: side of the square.
        means: of red, green, blue, levels 0 to 1.
        spreads: standard deviations likewise.

    Returns:
        float32 [3, side, side].

    Raises:
        ValueError: the picture has no pixel or has not three channels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"picture must be [H, W, 3] with a pixel, got {list(picture.shape)}")
    height, width = picture.shape[:2]
    short = min(height, width)
    size = [int(side_px * height / short), int(side_px * width / short)]
    levels = torch.from_numpy(np.ascontiguousarray(picture[..., ::-1])).permute(2, 0, 1)[None]
    scaled = functional.interpolate(levels, size=size, mode="bicubic", antialias=True)[0]
    top, left = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    middle = scaled[:, top : top + side_px, left : left + side_px].float() / 255.0
    shift, scale = (torch.tensor(values)[:, None, None] for values in (means, spreads))
    return (middle - shift) / scale


class ClipImageEncoder:
    """Pictures to features. One owning thread.

    Args:
        source: file, folder or hub id of the weights, of the whole CLIP or its picture half.
        device: torch's name of where to run.
        download: whether a hub id may be fetched.

    Raises:
        ModelError: transformers is not installed.
        WeightsMissing: there are no such weights.
        SpecMismatch: they are another model's, or a file beside them cannot be read.
    """

    def __init__(
        self, source: str | Path = HUB_ID, *, device: str = "cpu", download: bool = False
    ) -> None:
        found = find_weights(source, download=download)
        state = {
            name: value
            for name, value in read_state(found.path).items()
            if name.startswith(_PARTS) and name != _OLD_BUFFER
        }
        projection = require(state, "visual_projection.weight", WHAT, found.path)
        net = fill_module(lambda: new_clip(found.config), state, WHAT, found.path)
        embeddings: Any = net.get_submodule("vision_model.embeddings")
        # Positions are no part of a state_dict, so they are still without values.
        embeddings.position_ids = torch.arange(embeddings.num_positions)[None]
        self._net = net.to(device)
        self._device = device
        self._side_px = int(embeddings.image_size)
        self._means, self._spreads = _normalisation(found.folder)
        self.dim = int(projection.shape[0])
        self.sha256 = sha256_of(found.path)
        self.encoder_id = f"clip/{self.sha256[:12]}"

    def encode(self, pictures: Sequence[ImageArray]) -> FloatArray:
        """Describes pictures, each by itself.

        Args:
            pictures: uint8 [H, W, 3] each, BGR, of any sizes.

        Returns:
            float32 [N, dim], CLIP's projected picture embeddings, not normalised.

        Raises:
            ValueError: a picture has no pixel or has not three channels.
        """
        found = [np.zeros((0, self.dim), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pictures), BATCH_PICTURES):
                batch = torch.stack(
                    [
                        prepare_picture(picture, self._side_px, self._means, self._spreads)
                        for picture in pictures[start : start + BATCH_PICTURES]
                    ]
                )
                found.append(self._net(batch.to(self._device)).image_embeds.cpu().numpy())
        return np.concatenate(found)


def _normalisation(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Means and spreads from ``preprocessor_config.json``, CLIP's own without one."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return _MEANS_RGB, _SPREADS_RGB
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        means, spreads = (
            [float(value) for value in told.get(key, usual)]
            for key, usual in (("image_mean", _MEANS_RGB), ("image_std", _SPREADS_RGB))
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SpecMismatch(f"{path}: cannot be read: {error}; fetch it again") from error
    if len(means) != 3 or len(spreads) != 3 or min(spreads) <= 0.0:
        raise SpecMismatch(f"{path}: image_mean and image_std must be three numbers each")
    return means, spreads
