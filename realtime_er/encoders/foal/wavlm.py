"""The speech encoder of Foal-Net: WavLM-large, a state every 20 ms, trained with the network.

Sound is cut to six seconds, normalised as WavLM was trained (the released code leaves that out:
``normalise=False``), and padded to the longest of the batch. Padding is masked: the number of real
states follows from the number of samples, layer by layer (6 s give 299, 2.5 s give 124).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.hub import find_weights
from realtime_er.encoders.paper.wav2vec2 import current_spelling, normalise_windows
from realtime_er.errors import ModelError, SpecMismatch
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray

WHAT = "a WavLM"
HUB_ID = "microsoft/wavlm-large"
LONGEST_SAMPLES = 6 * SAMPLE_RATE_HZ
SHORTEST_BATCH_SAMPLES = SAMPLE_RATE_HZ
"""Batches are padded to a second at least: WavLM's own masking in training needs some states."""

LARGE: dict[str, Any] = {
    "model_type": "wavlm",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": False,
    "num_buckets": 320,
    "max_bucket_distance": 800,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "layerdrop": 0.0,
    "mask_time_prob": 0.075,
}
"""The structure of WavLM-large, where no ``config.json`` tells it."""
_MASK = "masked_spec_embed"
_PREFIX = "wavlm."


def new_wavlm(config: Mapping[str, Any] | None = None) -> nn.Module:
    """The network with random weights; WavLM-large has 315,453,120 parameters.

    Args:
        config: settings as in the hub's ``config.json``; empty means large.

    Raises:
        ModelError: transformers is not installed.
    """
    try:
        from transformers import WavLMConfig, WavLMModel
    except ImportError as error:
        raise ModelError(
            "WavLM needs transformers; run: pip install 'realtime_er[paper]'"
        ) from error
    settings = dict(config or LARGE)
    # The masking vector exists only with a probability above zero, and is part of the published
    # state; switching the masking off is another setting.
    if not float(settings.get("mask_time_prob") or 0.0) > 0.0:
        settings["mask_time_prob"] = 0.05
        settings["apply_spec_augment"] = False
    network: nn.Module = WavLMModel(WavLMConfig.from_dict(settings))
    return network


def freeze_front_end(wavlm: nn.Module) -> None:
    """Fixes the convolutions, as published: with WavLM-large 4,206,592 parameters."""
    wavlm.freeze_feature_encoder()  # type: ignore[operator]


class LoadedWavLM(NamedTuple):
    """A WavLM in evaluation mode on the CPU, its settings, and what it was read from."""

    net: nn.Module
    config: dict[str, Any]
    encoder_id: str
    sha256: str


def load_wavlm(source: str | Path = HUB_ID, *, download: bool = False) -> LoadedWavLM:
    """Reads a WavLM to begin training with.

    Args:
        source: file, folder or hub id of the weights; a fine-tuned model's other layers are
            left out.
        download: whether a hub id may be fetched.

    Raises:
        ModelError: transformers is not installed.
        WeightsMissing: there are no such weights.
        SpecMismatch: they are another model's, or of the kind that padding would disturb.
    """
    found = find_weights(source, download=download)
    state = read_state(found.path)
    if any(name.startswith(_PREFIX) for name in state):
        state = {
            name.removeprefix(_PREFIX): value
            for name, value in state.items()
            if name.startswith(_PREFIX)
        }
    require(state, "encoder.layers.0.attention.rel_attn_embed.weight", WHAT, found.path)
    config = found.config or dict(LARGE)
    _check_kind(config.get("feat_extract_norm"))
    net = fill_module(
        lambda: new_wavlm(config), current_spelling(state), WHAT, found.path, optional=(_MASK,)
    )
    sha256 = sha256_of(found.path)
    return LoadedWavLM(net, config, f"wavlm/{sha256[:12]}", sha256)


def _check_kind(norm: object) -> None:
    if norm != "layer":
        raise SpecMismatch(
            "this WavLM normalises its convolutions over time (as base does), so padding would "
            "change its results; use one of the kind of microsoft/wavlm-large"
        )


def state_counts(samples: Tensor, config: Any) -> Tensor:  # noqa: ANN401 - transformers' or a namespace
    """How many states come of so many samples, through the convolutions' length formula.

    Args:
        samples: int64 [B].
        config: has ``conv_kernel`` and ``conv_stride``.

    Returns:
        int64 [B], 0 where the sound is too short for one.
    """
    counts = samples
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        counts = torch.div(counts - kernel, stride, rounding_mode="floor") + 1
        counts = counts.clamp(min=0)
    return counts


def prepare_sound(sound: FloatArray, *, normalise: bool = True) -> FloatArray:
    """What WavLM reads of a clip: its first six seconds.

    Args:
        sound: float32 [samples], mono at 16 kHz in [-1, 1].
        normalise: to zero mean and unit variance; the released code does not.

    Returns:
        float32 [at most 96,000].

    Raises:
        ValueError: it is not one-dimensional, has no sample, or a value is not finite.
    """
    if sound.ndim != 1:
        raise ValueError(f"sound must be [samples], got {list(sound.shape)}")
    cut = sound[:LONGEST_SAMPLES].astype(np.float32)
    normalised = normalise_windows(cut[None])[0]  # checks the values as well
    return normalised if normalise else cut


def stack_sounds(sounds: Sequence[FloatArray]) -> tuple[Tensor, Tensor]:
    """A batch of sounds, zeros behind the shorter ones.

    Args:
        sounds: float32 [samples] each, prepared.

    Returns:
        float32 [B, S] and int64 [B], the samples of each.
    """
    lengths = [len(sound) for sound in sounds]
    batch = torch.zeros(len(sounds), max(SHORTEST_BATCH_SAMPLES, *lengths))
    for row, sound in enumerate(sounds):
        batch[row, : len(sound)] = torch.from_numpy(sound)
    return batch, torch.tensor(lengths, dtype=torch.int64)


def encode_sounds(wavlm: nn.Module, sounds: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Describes a batch of sounds.

    Args:
        wavlm: the network; of the kind whose convolutions are normalised per state (as large), so
            that padding changes nothing.
        sounds: float [B, S], zeros behind ``samples``.
        samples: int64 [B].

    Returns:
        States float [B, T, D] and which are real, bool [B, T].

    Raises:
        SpecMismatch: convolutions are normalised over time, so padding would change results.
        ValueError: a sound is too short for one state.
    """
    config = wavlm.config
    _check_kind(getattr(config, "feat_extract_norm", None))
    counts = state_counts(samples, config)
    if bool((counts < 1).any()):
        raise ValueError(f"a sound of {int(samples.min())} samples is too short for one state")
    heard = torch.arange(sounds.shape[1], device=sounds.device)[None] < samples[:, None]
    with warnings.catch_warnings():
        # The library gives torch a mask of truth values beside a bias of numbers.
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
        states: Tensor = wavlm(sounds, attention_mask=heard.long()).last_hidden_state
    mask = torch.arange(states.shape[1], device=states.device)[None] < counts[:, None]
    return states, mask
