"""What Whisper hears in the clips: a teacher for the speech encoder, needed in training only.

Some two thousand acted clips tell a small network little about speech. The encoder of Whisper
tiny.en (OpenAI, MIT licence), here in the installed data package, has heard far more: a short
second training asks the network to foretell its states too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from realtime_er.errors import WeightsMissing
from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.speech.model import STEP_SAMPLES

STATE_DIM = 384
_POSITIONS_PER_STEP = 4
_SILENCE_AFTER_SAMPLES = 8000
_MEL_BANDS = 80


@dataclass(frozen=True)
class TeacherStates:
    """States of the teacher for N undisturbed clips, standardised over the training clips.

    Attributes:
        per_step: float16 [N, S, 384], averages over steps of 80 ms, zeros after a clip's end.
        pooled: float32 [N, 768], mean and std over a clip's steps.
    """

    per_step: Tensor
    pooled: Tensor


def standardised(per_step: Tensor, steps: Tensor, train: Sequence[int]) -> TeacherStates:
    """Teacher's states from raw ones, float [N, S, 384], and the clips' steps, int64 [N]."""
    rows = [states[:count].float() for states, count in zip(per_step, steps.tolist(), strict=True)]
    known = torch.cat([rows[number] for number in train])
    mean, std = known.mean(dim=0), known.std(dim=0) + 0.1
    pooled = torch.stack(
        [torch.cat([row.mean(dim=0), row.std(dim=0, correction=0)]) for row in rows]
    )
    of_train = pooled[list(train)]
    pooled = (pooled - of_train.mean(dim=0)) / (of_train.std(dim=0) + 0.01)
    scaled = torch.zeros(per_step.shape, dtype=torch.float16)
    for number, row in enumerate(rows):
        scaled[number, : len(row)] = ((row - mean) / std).half()
    return TeacherStates(scaled, pooled)


def whisper_states(clips: Sequence[SpeechClip], threads: int = 1) -> tuple[Tensor, Tensor]:
    """Raw encoder states per step of 80 ms, float16 [N, S, 384], and steps per clip, int64 [N].

    Raises:
        WeightsMissing: Whisper tiny.en is not on this computer.
        CorpusError: a clip cannot be read.
    """
    folder = find_model("tiny.en")
    if folder is None:
        raise WeightsMissing(HOW_TO_INSTALL)
    import ctranslate2
    from faster_whisper.feature_extractor import FeatureExtractor

    model = ctranslate2.models.Whisper(
        str(folder), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1
    )
    extract = FeatureExtractor(feature_size=_MEL_BANDS)
    rows = []
    for clip in clips:
        samples = clip.samples()
        steps = len(samples) // STEP_SAMPLES
        padded = np.pad(samples, (0, _SILENCE_AFTER_SAMPLES))
        mel = extract(padded, padding=0)
        even = np.ascontiguousarray(mel[None, :, : mel.shape[1] // 2 * 2], dtype=np.float32)
        encoded = model.encode(ctranslate2.StorageView.from_array(even), to_cpu=True)
        states = np.asarray(encoded, dtype=np.float32)[0]
        steps = min(steps, len(states) // _POSITIONS_PER_STEP)
        rows.append(
            states[: steps * _POSITIONS_PER_STEP]
            .reshape(steps, _POSITIONS_PER_STEP, STATE_DIM)
            .mean(axis=1)
        )
    counts = torch.tensor([len(row) for row in rows])
    per_step = torch.zeros(len(rows), int(counts.max()), STATE_DIM, dtype=torch.float16)
    for number, row in enumerate(rows):
        per_step[number, : len(row)] = torch.from_numpy(row).half()
    return per_step, counts
