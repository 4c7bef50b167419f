"""EMO-AffectNet's temporal head: ten faces at 5 Hz (2 s) to one label. Optional; MER has none."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.emo_affectnet import HUB_ID
from realtime_er.encoders.paper.hub import WEIGHT_FILES, find_weights
from realtime_er.messages import LABELS, FloatArray

WHAT = "the EMO-AffectNet LSTM"
STEPS = 10
CORPORA = ("Aff-Wild2", "CREMA-D", "IEMOCAP", "RAMAS", "RAVDESS", "SAVEE")
"""Corpora that a published file was *not* trained on; it is named after one of them."""


class EmoLstm(nn.Module):
    """Two LSTMs and a linear layer; 2,891,527 parameters at full size.

    Args:
        n_features: length of a face's description.
        hidden: units of the first LSTM; the second has half as many.
        n_classes: logits.
    """

    def __init__(self, n_features: int = 512, hidden: int = 512, n_classes: int = 7) -> None:
        super().__init__()
        self.lstm1 = nn.LSTM(n_features, hidden, batch_first=True)
        self.lstm2 = nn.LSTM(hidden, hidden // 2, batch_first=True)
        self.fc = nn.Linear(hidden // 2, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [N, n_classes] of features [N, steps, n_features] *before* their ReLU."""
        steps, _ = self.lstm1(torch.relu(features))
        steps, _ = self.lstm2(steps)
        logits: Tensor = self.fc(steps[:, -1])
        return logits


def build_from_state(state: Mapping[str, Tensor], path: Path) -> EmoLstm:
    """The network that a state_dict belongs to.

    Raises:
        SpecMismatch: it is not this network's.
    """
    first = require(state, "lstm1.weight_ih_l0", WHAT, path)
    hidden, n_features = int(first.shape[0]) // 4, int(first.shape[1])
    n_classes = int(require(state, "fc.weight", WHAT, path).shape[0])
    return fill_module(lambda: EmoLstm(n_features, hidden, n_classes), state, WHAT, path)


class FeatureRing:
    """The last ten features of one face, as the published webcam program keeps them.

    The first feature fills the ring, then it slides; a frame without a face clears it.
    """

    def __init__(self, steps: int = STEPS) -> None:
        self._ring: deque[FloatArray] = deque(maxlen=steps)
        self._steps = steps

    def clear(self) -> None:
        """No face, or another one: what was seen before does not continue."""
        self._ring.clear()

    def push(self, feature: FloatArray) -> FloatArray:
        """Adds a feature [D] and gives the ring, float32 [steps, D], oldest first."""
        if not self._ring:
            self._ring.extend([feature] * self._steps)
        else:
            self._ring.append(feature)
        return np.stack(list(self._ring)).astype(np.float32)


class EmoLstmClassifier:
    """Rings of features to logits at run time. One owning thread.

    Args:
        source: file, folder or hub id of the weights.
        held_out: which of ``CORPORA`` the published weights have not seen, for a folder or id.
        device: torch's name of where to run.
        download: whether a hub id may be fetched.

    Raises:
        WeightsMissing: there are no such weights.
        SpecMismatch: they are another model's.
    """

    def __init__(
        self,
        source: str | Path = HUB_ID,
        *,
        held_out: str = "Aff-Wild2",
        device: str = "cpu",
        download: bool = False,
    ) -> None:
        files = (f"FER_dinamic_LSTM_{held_out}.pt", *WEIGHT_FILES)
        found = find_weights(source, files, download=download)
        self._net = build_from_state(read_state(found.path), found.path).to(device)
        self._device = device
        self.encoder_id = f"emo-affectnet-lstm/{sha256_of(found.path)[:12]}"
        self.labels = LABELS if self._net.fc.out_features == len(LABELS) else ()

    def logits(self, rings: FloatArray) -> FloatArray:
        """Logits float32 [N, classes] of float32 [N, steps, D].

        Raises:
            ValueError: the shape is another, or a value is not finite.
        """
        if rings.ndim != 3 or rings.shape[2] != self._net.lstm1.input_size:
            raise ValueError(f"need [N, steps, {self._net.lstm1.input_size}], got {rings.shape}")
        if not np.isfinite(rings).all():
            raise ValueError("features hold values that are not finite")
        with torch.inference_mode():
            given = torch.from_numpy(np.array(rings, np.float32)).to(self._device)
            out: FloatArray = self._net(given).cpu().numpy()
        return out
