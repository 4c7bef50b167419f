"""The compact face encoder: one grey crop in, one embedding out. Owned by the face thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime_er.encoders.bundle import load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch
from realtime_er.messages import FloatArray, ImageArray


class FaceEncoder:
    """Runs the model of ``folder``.

    Raises:
        WeightsMissing: files are not there.
        SpecMismatch: the card is not a face encoder's.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.card = load_card(folder)
        if self.card.kind != "face":
            raise SpecMismatch(f"{folder}: a {self.card.kind} model, not a face encoder")
        self._session = onnx_session(self.card.path, threads)
        self.encoder_id = self.card.id
        self.dim = self.card.embedding_dim
        try:
            self.size_px = int(self.card.raw["input"]["height_px"])
            crop = dict(self.card.raw["input"]["crop"])
            self._crops = {
                str(name): (float(rule["scale"]), float(rule["shift_y"]))
                for name, rule in crop.items()
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SpecMismatch(f"{folder}: card lacks input.{error}") from error
        if [node.name for node in self._session.get_inputs()] != ["image"]:
            raise SpecMismatch(f"{self.card.path}: its inputs are not those of its card")

    def crop_rule(self, detector: str) -> tuple[float, float]:
        """``scale`` and ``shift_y`` of the square that this model wants from that detector.

        Raises:
            SpecMismatch: the card does not know the detector.
        """
        if detector not in self._crops:
            raise SpecMismatch(f"{self.card.folder}: no crop rule for face detector {detector!r}")
        return self._crops[detector]

    def encode(self, crop: ImageArray) -> tuple[FloatArray, FloatArray]:
        """Embed one face.

        Args:
            crop: uint8 grey, (size_px, size_px).

        Returns:
            embedding float32 (dim,) and logits float32 (n_labels,), both read-only.
        """
        if crop.shape != (self.size_px, self.size_px):
            raise ValueError(f"crop is {crop.shape}, the encoder takes {self.size_px} px squares")
        image = crop.astype(np.float32)[None, None]
        embedding, logits = self._session.run(["embedding", "logits"], {"image": image})
        for vector in (embedding, logits):
            vector.setflags(write=False)
        return embedding[0], logits[0]
