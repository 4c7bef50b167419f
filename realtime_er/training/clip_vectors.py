"""The vectors of clips: encoders over several clips at once, and the statistics of each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from realtime_er.encoders.paper.faces import RATE_HZ, prepare_face
from realtime_er.fusion.aggregation import (
    face_windows_by_count,
    face_windows_by_time,
    recording_vector,
)
from realtime_er.messages import FloatArray
from realtime_er.training.clip_reading import ClipContent
from realtime_er.training.mer.encoders import Encoders, FaceEncoder, SoundEncoder, WordsEncoder

Windows = Literal["time", "faces"]
Vectors = list[FloatArray | None]
"""One for each clip; None where the modality is absent."""

_FACES_AT_ONCE = 64


def describe_clips(
    encoders: Encoders, clips: Sequence[ClipContent], windows: Windows
) -> dict[str, Vectors]:
    """Each clip's vector of each modality; the encoders' batches span the clips.

    Features that are not finite are noted in the clip and count as absent.

    Args:
        encoders: what describes each modality.
        clips: what was read of each clip.
        windows: how faces are cut into windows, see ``ExtractSettings``.

    Returns:
        Modality to float32 [2 D] (text: [D]) of each clip, None where it is absent.
    """
    n = len(clips)
    found: dict[str, Vectors] = {
        "face": _faces(encoders.face, clips, windows) if encoders.face else [None] * n,
        "audio": _sounds(encoders.audio, clips) if encoders.audio else [None] * n,
        "text": _words(encoders.text, clips) if encoders.text else [None] * n,
    }
    for modality, vectors in found.items():
        for place, vector in enumerate(vectors):
            if vector is not None and not np.isfinite(vector).all():
                clips[place].note(modality, "the encoder gave features that are not finite")
                vectors[place] = None
    return found


def _statistics(windows: FloatArray) -> FloatArray:
    """Mean and spread [2 D]; all NaN where a value is not finite, which the caller looks for."""
    if not np.isfinite(windows).all():
        return np.full(2 * windows.shape[1], np.nan, np.float32)
    return recording_vector(windows)


def _faces(encoder: FaceEncoder, clips: Sequence[ClipContent], windows: Windows) -> Vectors:
    vectors: Vectors = [None] * len(clips)
    seen = [(place, clip.faces) for place, clip in enumerate(clips) if clip.faces is not None]
    squares = [square for _, track in seen for square in track.squares]
    pieces = [np.zeros((0, encoder.dim), np.float32)]
    for start in range(0, len(squares), _FACES_AT_ONCE):
        some = squares[start : start + _FACES_AT_ONCE]
        prepared = np.stack([prepare_face(square, encoder.side_px) for square in some])
        pieces.append(encoder.encode(prepared)[0])
    features = np.concatenate(pieces)
    begin = 0
    for place, track in seen:
        own = features[begin : begin + len(track.times_s)]
        begin += len(own)
        if not np.isfinite(own).all():
            vectors[place] = _statistics(own)
        elif windows == "faces":
            vectors[place] = _statistics(face_windows_by_count(own))
        else:
            last_s = float(track.times_s[-1])
            # Without sound the clip ends one look after its last face.
            duration_s = max(clips[place].sound_s or last_s + 1.0 / RATE_HZ, last_s)
            vectors[place] = _statistics(face_windows_by_time(track.times_s, own, duration_s))
    return vectors


def _sounds(encoder: SoundEncoder, clips: Sequence[ClipContent]) -> Vectors:
    vectors: Vectors = [None] * len(clips)
    heard = [(place, clip.windows) for place, clip in enumerate(clips) if clip.windows is not None]
    if not heard:
        return vectors
    features = encoder.encode(np.concatenate([windows for _, windows in heard]))[0]
    begin = 0
    for place, windows in heard:
        vectors[place] = _statistics(features[begin : begin + len(windows)])
        begin += len(windows)
    return vectors


def _words(encoder: WordsEncoder, clips: Sequence[ClipContent]) -> Vectors:
    vectors: Vectors = [None] * len(clips)
    said = [place for place, clip in enumerate(clips) if clip.words]
    if not said:
        return vectors
    features = encoder.encode([clips[place].words for place in said])[0]
    for place, vector in zip(said, features, strict=True):
        vectors[place] = vector
    return vectors
