"""The speech encoder of MER: wav2vec2-base, a projector, and the mean over time.

Four seconds of sound are normalised to zero mean and unit variance and described by 256 numbers:
the projector's output (no activation), averaged over its 199 frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.hub import find_weights
from realtime_er.encoders.paper.own_heads import LinearHead
from realtime_er.encoders.paper.own_labels import labels_of_config
from realtime_er.encoders.runtimes.protocol import Network, Runtime
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime
from realtime_er.errors import ModelError, SpecMismatch
from realtime_er.messages import LABELS, SAMPLE_RATE_HZ, FloatArray

WHAT = "a wav2vec2 classifier"
HUB_ID = "DunnBC22/wav2vec2-base-Speech_Emotion_Recognition"
WINDOW_SAMPLES = 4 * SAMPLE_RATE_HZ
BATCH_WINDOWS = 8
"""Windows run at once at most; limits memory, changes no result."""
HUB_ORDER = ("Sad", "Angry", "Disgust", "Fear", "Happy", "Neutral")
"""Classes of the hub model as its page gives them; only used when its config names none."""

_SPELLINGS = {
    "pos_conv_embed.conv.weight_g": "pos_conv_embed.conv.parametrizations.weight.original0",
    "pos_conv_embed.conv.weight_v": "pos_conv_embed.conv.parametrizations.weight.original1",
}
_MASK = "wav2vec2.masked_spec_embed"


def normalise_windows(windows: FloatArray) -> FloatArray:
    """Zero mean and unit variance of each window; digital silence stays all zeros.

    Args:
        windows: float32 [N, samples].

    Returns:
        float32 [N, samples].

    Raises:
        ValueError: not [N, samples] with at least one sample, or a value is not finite.
    """
    if windows.ndim != 2 or windows.shape[1] == 0:
        raise ValueError(f"windows must be [N, samples], got {list(windows.shape)}")
    if not np.isfinite(windows).all():
        raise ValueError("windows hold values that are not finite")
    exact = windows.astype(np.float64)
    exact -= exact.mean(axis=1, keepdims=True)
    exact /= np.sqrt(exact.var(axis=1, keepdims=True) + 1e-7)
    return exact.astype(np.float32)


def current_spelling(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weight-normed convolution's entries to how torch spells them since 2.0."""
    renamed = {}
    for name, value in state.items():
        for old, new in _SPELLINGS.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
                break
        renamed[name] = value
    return renamed


class EmotionWav2Vec2(nn.Module):
    """The network; with the base configuration and 7 classes 94,570,375 parameters, 215 entries.

    Args:
        config: settings of the transformer as in the hub's ``config.json``; empty means base.
        n_projected: length of a window's description.
        n_classes: logits.

    Raises:
        ModelError: transformers is not installed.
        SpecMismatch: the settings ask for what MER does not have.
    """

    def __init__(
        self, config: Mapping[str, Any] | None = None, n_projected: int = 256, n_classes: int = 7
    ) -> None:
        super().__init__()
        try:
            from transformers import Wav2Vec2Config, Wav2Vec2Model
        except ImportError as error:
            raise ModelError(
                "wav2vec2 needs transformers; run: pip install 'realtime_er[paper]'"
            ) from error
        settings = dict(config or {})
        if settings.get("use_weighted_layer_sum"):
            raise SpecMismatch(f"{WHAT} with use_weighted_layer_sum is not the published one")
        # The masking vector exists only with a probability above zero; inference never uses it.
        settings["mask_time_prob"] = max(float(settings.get("mask_time_prob") or 0.0), 0.05)
        parsed = Wav2Vec2Config.from_dict(settings)
        self.wav2vec2 = Wav2Vec2Model(parsed)
        self.projector = nn.Linear(parsed.hidden_size, n_projected)
        self.classifier = nn.Linear(n_projected, n_classes)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Describes windows.

        Args:
            windows: float [N, samples], normalised. No attention mask is ever given.

        Returns:
            Features [N, n_projected] and logits [N, n_classes].
        """
        states = self.wav2vec2(windows).last_hidden_state
        features: Tensor = self.projector(states).mean(dim=1)
        logits: Tensor = self.classifier(features)
        return features, logits


def build_from_state(
    state: Mapping[str, Tensor], path: Path, config: Mapping[str, Any] | None = None
) -> EmotionWav2Vec2:
    """The network that a state_dict belongs to.

    Args:
        state: name to tensor, either spelling of the weight norm.
        path: where it came from, for messages.
        config: the hub's ``config.json``; without one, the base configuration.

    Raises:
        SpecMismatch: it is not this network's.
    """
    n_projected = int(require(state, "projector.weight", WHAT, path).shape[0])
    n_classes = int(require(state, "classifier.weight", WHAT, path).shape[0])
    return fill_module(
        lambda: EmotionWav2Vec2(config, n_projected, n_classes),
        current_spelling(state),
        WHAT,
        path,
        optional=(_MASK,),
    )


class Wav2Vec2Encoder:
    """Windows of sound to features at run time. One owning thread.

    Args:
        source: file, folder or hub id of the weights.
        labels: names of the head's classes in its order, where the files do not give them.
        device: torch's name of where to run.
        download: whether a hub id may be fetched.

    Raises:
        ModelError: transformers is not installed.
        WeightsMissing: there are no such weights.
        SpecMismatch: they are another model's, or ``labels`` are not as many as its classes.
    """

    def __init__(
        self,
        source: str | Path = HUB_ID,
        *,
        labels: tuple[str, ...] = (),
        device: str = "cpu",
        download: bool = False,
    ) -> None:
        found = find_weights(source, download=download)
        net = build_from_state(read_state(found.path), found.path, found.config)
        self.sha256 = found.sha256
        self.encoder_id = f"wav2vec2-base-mer/{self.sha256[:12]}"
        self.dim = net.projector.out_features
        self._n_classes = net.classifier.out_features
        self.labels = labels or labels_of_config(found.config) or self._usual_labels(source)
        if self.labels and len(self.labels) != self._n_classes:
            raise SpecMismatch(
                f"{found.path}: {self._n_classes} classes, but the labels {list(self.labels)}"
            )
        self.window_samples = WINDOW_SAMPLES
        self.own_head = LinearHead.of(net.classifier, self.labels, "none")
        """Linear, so on the mean of windows it gives the mean of their logits."""
        self.runtime: Runtime = TorchRuntime(net, device)
        """What runs the network; another form reads windows of ``window_samples`` alone."""
        self.network: Network | None = Network(
            name="audio",
            module=net,
            identity=found.identity,
            inputs=("windows",),
            free_axes={"windows": {0: "n"}},
            example=(np.random.default_rng(0).normal(size=(1, WINDOW_SAMPLES)).astype("f4"),),
            int8="dynamic",
        )
        """The network for other runtimes; None frees it once ``runtime`` does without."""

    def _usual_labels(self, source: str | Path) -> tuple[str, ...]:
        if str(source) == HUB_ID and self._n_classes == len(HUB_ORDER):
            return HUB_ORDER
        return LABELS if self._n_classes == len(LABELS) else ()

    def encode(self, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Describes windows, each by itself.

        Args:
            windows: float32 [N, samples], mono at 16 kHz in [-1, 1], not normalised yet; 4 s each
                in MER (shorter ones are tiled first, see ``fusion.aggregation.tile``).

        Returns:
            Features float32 [N, dim] and logits float32 [N, classes].

        Raises:
            ValueError: the shape is another, the windows are shorter than one frame (25 ms), or
                a value is not finite.
        """
        if windows.ndim != 2 or windows.shape[1] < 400:
            raise ValueError(f"windows must be [N, samples >= 400], got {list(windows.shape)}")
        features = [np.zeros((0, self.dim), np.float32)]
        logits = [np.zeros((0, self._n_classes), np.float32)]
        for start in range(0, len(windows), BATCH_WINDOWS):
            f, z = self.runtime.run(normalise_windows(windows[start : start + BATCH_WINDOWS]))
            features.append(f)
            logits.append(z)
        return np.concatenate(features), np.concatenate(logits)
