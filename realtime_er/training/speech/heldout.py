"""Clips that the shipped speech encoder never heard, embedded for fusion and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch
from realtime_er.training.corpora.emodb import read_emodb
from realtime_er.training.corpora.ravdess import read_ravdess


def embed_heldout(
    data_dir: Path,
    model_folder: Path,
    *,
    crops: int = 0,
    crop_s: tuple[float, float] = (1.0, 4.0),
    seed: int = 1,
    threads: int = 1,
) -> dict[str, npt.NDArray[Any]]:
    """Streams the held-out speakers' clips through the shipped encoder and pools the steps.

    Args:
        data_dir: folder that holds ``ravdess_speech/`` and ``emodb/``.
        model_folder: the shipped model; its card names the held-out speakers.
        crops: random sub-windows per clip, in addition to the whole clip. Their steps keep the
            context before them, exactly like a horizon within a live stream.
        crop_s: shortest and longest sub-window, seconds; a clip's own length caps it.
        seed: of the sub-windows.
        threads: ONNX Runtime threads.

    Returns:
        Arrays of N rows, clip by clip, each clip's whole row first: ``ids``, ``corpus``,
        ``speaker``, ``label`` (the model's own labels), all strings; ``crop`` int64 (0: the whole
        clip); ``statistics`` float32 [N, 2 D] (mean, then population std); ``logits`` float32
        [N, C] of the pooled head.

    Raises:
        CorpusError: a corpus is absent.
        SpecMismatch: the card names no held-out speakers, or none of the corpora's.
        WeightsMissing: the model is absent.
    """
    encoder = StreamingAudioEncoder(model_folder, threads=threads)
    card = encoder.card
    apart = set(card.raw.get("training", {}).get("held_out_speakers", ()))
    clips = [
        clip for clip in read_ravdess(data_dir) + read_emodb(data_dir) if clip.speaker in apart
    ]
    if not clips:
        raise SpecMismatch(f"{model_folder}: card's held_out_speakers match no clip of {data_dir}")
    head = onnx_session(model_folder / card.raw["head"]["file"], threads)
    rng = np.random.default_rng(seed)
    step_s = encoder.step_samples / encoder.sample_rate_hz
    owners, numbers, statistics = [], [], []
    for clip in clips:
        encoder.reset()
        steps = np.stack([embedding for _, embedding in encoder.push(0, clip.samples())])
        windows = [(0, len(steps))]
        for _ in range(crops):
            length = round(float(rng.uniform(*crop_s)) / step_s)
            length = max(1, min(length, len(steps)))
            first = int(rng.integers(0, len(steps) - length + 1))
            windows.append((first, first + length))
        for number, (first, last) in enumerate(windows):
            part = steps[first:last]
            statistics.append(np.concatenate([part.mean(axis=0), part.std(axis=0)]))
            owners.append(clip)
            numbers.append(number)
    pooled = np.stack(statistics).astype(np.float32)
    return {
        "ids": np.array([clip.id for clip in owners]),
        "corpus": np.array([clip.corpus for clip in owners]),
        "speaker": np.array([clip.speaker for clip in owners]),
        "label": np.array([clip.label for clip in owners]),
        "crop": np.array(numbers, dtype=np.int64),
        "statistics": pooled,
        "logits": np.asarray(head.run(["logits"], {"statistics": pooled})[0], np.float32),
    }
