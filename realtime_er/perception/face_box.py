"""Faces as the published encoder reads them: the detector's box in colour, not aligned (MER)."""

from __future__ import annotations

from realtime_er.encoders.paper.faces import cut_face, prepare_face
from realtime_er.messages import ImageArray, TrackedFace
from realtime_er.perception.face import CropRule, FaceCut, crop_face

# Sharpness is measured at the scale of the compact crop, so that one threshold serves both.
_MEASURED = CropRule(1.0, 0.0, 48)


class BoxCutter:
    """Cuts out boxes and normalises them. Pure; any thread."""

    def cut(self, image: ImageArray, face: TrackedFace) -> FaceCut | None:
        """``picture`` is float32 [3, 224, 224], see ``prepare_face``."""
        inside = cut_face(image, face.box_px)
        if inside is None:
            return None
        return FaceCut(prepare_face(inside), crop_face(image, face, _MEASURED))
