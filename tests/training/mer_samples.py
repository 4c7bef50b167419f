"""Files of features with a known answer: every class has a direction of its own in each modality."""

from __future__ import annotations

import numpy as np

from realtime_er.messages import MODALITIES
from realtime_er.training.corpora.label_schemes import SCHEMES
from realtime_er.training.features import Features

SIZES = {"face": 10, "audio": 8, "text": 6}
ENCODERS = {name: {"id": f"tiny-{name}/0", "sha256": f"{number}" * 64} for number, name in
            enumerate(MODALITIES)}  # fmt: skip


def features(
    corpus: str,
    *,
    per_class: int = 6,
    seed: int = 0,
    noise: float = 0.3,
    modalities=MODALITIES,
    splits=("train", "val", "test"),
    labels=None,
    shift: float = 0.0,
    encoders=None,
) -> Features:
    """Clips of every own label of a corpus in every part; classes are the same in all corpora."""
    rng = np.random.default_rng(seed)
    table = SCHEMES["seven"].maps[corpus]
    chosen = labels or [native for native, target in table.items() if target]
    classes = SCHEMES["seven"].classes
    directions = np.random.default_rng(99)
    means = {
        name: 2.0 * directions.normal(size=(len(classes) + 1, SIZES[name])) for name in MODALITIES
    }
    ids, parts, natives, speakers = [], [], [], []
    vectors = {name: [] for name in MODALITIES}
    for split in splits:
        for native in chosen:
            for number in range(per_class):
                ids.append(f"{corpus}/{split}/{native}/{number}")
                parts.append(split)
                natives.append(native)
                speakers.append(f"{split}{number % 3}")
                # Frustration is none of the seven and has a direction of its own.
                targets = [table[one] for one in native.split("|")]
                own = [classes.index(one) if one else len(classes) for one in targets]
                for name in MODALITIES:
                    mean = means[name][own].mean(axis=0) + shift
                    vectors[name].append(mean + noise * rng.normal(size=SIZES[name]))
    here = [name in modalities for name in MODALITIES]
    n = len(ids)

    def values(name):
        if name not in modalities:
            return np.zeros((n, 0), np.float32)
        return np.array(vectors[name], np.float32)

    return Features(
        corpus=corpus,
        ids=np.array(ids),
        splits=np.array(parts),
        labels=np.array(natives),
        speakers=np.array([""] * n if corpus == "afew" else speakers, np.str_),
        # AFEW has neither speakers nor groups.
        groups=np.array([""] * n if corpus == "afew" else speakers, np.str_),
        words=np.array([""] * n, np.str_),
        video=values("face"),
        audio=values("audio"),
        text=values("text"),
        mask=np.tile(np.array(here, np.float32), (n, 1)),
        meta={"encoders": {k: v for k, v in (encoders or ENCODERS).items() if k in modalities}},
    )
