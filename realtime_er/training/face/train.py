"""Trains the compact face encoder on FER+ and writes it as ONNX with its card.

The graph takes grey levels 0..255 and standardises each face itself, so whoever runs it cannot
get the normalisation wrong. The schedule is fixed beforehand: ``valid`` chooses nothing, it is
only what the card reports, and its embeddings are therefore unseen data for the fusion heads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from realtime_er.encoders.bundle import load_card, write_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import ModelError
from realtime_er.messages import LABELS
from realtime_er.training.corpora.ferplus import SIDE_PX, FaceSet, Split, read_ferplus
from realtime_er.training.denormals import denormals_flushed
from realtime_er.training.face.fit import EPOCHS, REFINE_EPOCHS, fit
from realtime_er.training.face.model import EMBEDDING_DIM, FaceNet
from realtime_er.training.face.photographs import read_photographs
from realtime_er.training.metrics import (
    Metric,
    accuracy,
    bootstrap_interval,
    macro_f1,
    unweighted_average_recall,
)
from realtime_er.training.onnx_files import strip_traces
from realtime_er.training.progress import Tell
from realtime_er.training.purpose import PEOPLE

CROP_RULES = {
    "compact": {"scale": 0.95, "shift_y": -0.01},
    "haar": {"scale": 1.05, "shift_y": 0.0},
    "yunet": {"scale": 0.9, "shift_y": -0.02},
}
"""Detector -> square that frames a face as FER+ does: side = scale * max(box width, height),
centre = box centre moved down by shift_y * side.

Haar: median over 401 padded FER+ train pictures with the default cascade (scale 1.02-1.03, quartiles
0.96-1.11; shift 0.00); the alt2 cascade that is used gives sides 0.983 times as long on 170 portraits.
YuNet sees less of a face in those tight pictures (median 0.98-1.02), so its rule comes from 226
photographs in which both detectors found one face: Haar's side is 0.85 of YuNet's and its centre
0.02 higher, which gives 0.87. Scores on labelled portraits are flat from 0.85 to 0.95.
Compact: its boxes are 0.925 of YuNet's side and centred 0.02 higher; 0.90 to 0.97 hardly differ."""

_OPSET = 17
_CHUNK = 256
_TOLERANCE = 1e-4
_REPORTED: dict[str, Metric] = {
    "accuracy": accuracy,
    "unweighted_average_recall": unweighted_average_recall,
    "macro_f1": macro_f1,
}


_AGREED = "FER+ valid, pictures in which one label has more than half of the votes"


def train_face(
    data_dir: str | Path,
    out_dir: str | Path,
    *,
    seed: int = 1,
    epochs: int = EPOCHS,
    threads: int = 2,
    progress: Tell | None = None,
) -> dict[str, Any]:
    """Trains, exports and measures the face encoder.

    A run that was stopped goes on from ``checkpoint.pt`` in ``out_dir``; a finished one removes it.
    The loss of each epoch is in ``curves.csv`` there.

    Args:
        data_dir: the corpora's folder, which holds ``ferplus/``.
        out_dir: receives ``model.onnx`` and ``card.json``; made if it is not there.
        seed: seeds initial weights, order and augmentation.
        epochs: passes over the data before the network is deepened. The default, and what follows,
            takes about 50 minutes on two cores.
        threads: torch threads.
        progress: told within every epoch, and after it.

    Returns:
        The card, as written.

    Raises:
        CorpusError: FER+ is not in ``data_dir``.
        WeightsMissing: the package's face detector, which crops the portraits, is gone.
        ModelError: the exported graph does not compute what was trained.
        ValueError: ``epochs`` is below 1.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    folder = Path(out_dir)
    train = read_ferplus(data_dir, "train")
    valid = read_ferplus(data_dir, "valid")
    folder.mkdir(parents=True, exist_ok=True)
    rule = CROP_RULES["compact"]
    photographs = read_photographs(Path(data_dir), "train", train, (rule["scale"], rule["shift_y"]))
    checkpoint = folder / "checkpoint.pt"
    with denormals_flushed():
        net = fit(
            train,
            seed=seed,
            epochs=epochs,
            threads=threads,
            photographs=photographs,
            progress=progress,
            checkpoint=checkpoint,
            curves=folder / "curves.csv",
        )
    card = export_face(net, folder, train, valid, photographs, seed=seed, epochs=epochs)
    checkpoint.unlink()
    return card


def export_face(
    net: FaceNet,
    out_dir: str | Path,
    train: FaceSet,
    valid: FaceSet,
    photographs: FaceSet | None,
    *,
    seed: int,
    epochs: int,
) -> dict[str, Any]:
    """Writes ``model.onnx`` and ``card.json``, measured on ``valid`` through ONNX Runtime.

    Args:
        net: trained network.
        out_dir: an existing folder.
        train: what it was trained on; gives the prior.
        valid: faces it never saw.
        photographs: the portraits it was trained on too; None when there were none.
        seed: the run's seed, for the card; also seeds the bootstrap.
        epochs: of the shallow network, for the card.

    Returns:
        The card, as written.

    Raises:
        ModelError: the exported graph and the network differ by more than 1e-4.
    """
    folder = Path(out_dir)
    path = folder / "model.onnx"
    shipped = net.to(memory_format=torch.contiguous_format).eval()
    _write_onnx(shipped, path)
    _check_export(shipped, path, valid.images[:64])
    _, logits = _run(path, valid.images)
    truth, prediction = valid.leading(), logits.argmax(axis=1)
    counts = np.bincount(train.leading(), minlength=len(LABELS))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    card: dict[str, Any] = {
        "id": "compact-face-2",
        "kind": "face",
        "file": path.name,
        "licence": "weights for research use: FER+ labels are MIT, FER2013 pictures and the "
        "portraits (muxspace facial_expressions) research use",
        "labels": list(LABELS),
        "label_map": {name: [name] for name in LABELS},
        "embedding_dim": EMBEDDING_DIM,
        "parameters": parameters,
        "input": {
            "name": "image",
            "height_px": SIDE_PX,
            "width_px": SIDE_PX,
            "channels": "grey",
            "range": [0, 255],
            "crop_scale": CROP_RULES["yunet"]["scale"],
            "crop_shift_y": CROP_RULES["yunet"]["shift_y"],
            "crop": CROP_RULES,
        },
        "outputs": {"embedding": ["N", EMBEDDING_DIM], "logits": ["N", len(LABELS)]},
        "training": {
            "data": f"FER+ train without its duplicates and without pictures of valid: {len(train)}"
            " faces; contempt, unknown and not-a-face votes dropped, pictures they lead left out; "
            f"{0 if photographs is None else len(photographs)} portraits of people who are not "
            "held out, cropped by the compact detector, with the votes that FER+ pictures of their "
            "rough label have on average",
            "recipe": f"{epochs} epochs of a shallow network on FER+, then {REFINE_EPOCHS} of one "
            "with two more units, which begins with the shallow one's average and sees half of the "
            "portraits in each; soft-target cross-entropy on vote shares, fear shown 3 and disgust "
            "5 times an epoch, AdamW with cosine decay, weight average; flip, shift, scale "
            "0.8-1.25, rotation 15 degrees, light, blur, noise, low resolution",
            "command": "realtime-er train face --data DIR --config config/train/face.toml",
            "seed": seed,
            "split": "FER+ train and portraits of the train part; valid and the portraits of "
            "held-out people chose nothing",
        },
        "metrics": {
            **_measure(
                truth[valid.agreed],
                prediction[valid.agreed],
                "",
                _AGREED,
                seed,
            ),
            **_recalls(truth[valid.agreed], prediction[valid.agreed], seed),
            **_measure(
                truth,
                prediction,
                "_all",
                "FER+ valid, every picture, label with most votes",
                seed,
            ),
        },
        "not_for": "knowing who somebody is; comparing groups of people (FER+ and the portraits do not "
        f"say age, sex or origin, so there is no figure by group); {PEOPLE}",
        "headline": ["accuracy", "unweighted_average_recall"],
        "prior": {
            name: round(float(share), 6)
            for name, share in zip(LABELS, counts / counts.sum(), strict=True)
        },
    }
    return write_card(folder, card).raw


def _measure(
    truth: npt.NDArray[np.int64],
    prediction: npt.NDArray[np.int64],
    suffix: str,
    split: str,
    seed: int,
) -> dict[str, dict[str, Any]]:
    measured: dict[str, dict[str, Any]] = {}
    for name, metric in _REPORTED.items():
        low, high = bootstrap_interval(metric, truth, prediction, seed=seed)
        measured[name + suffix] = {
            "value": round(metric(truth, prediction), 4),
            "interval_95": [round(low, 4), round(high, 4)],
            "n": len(truth),
            "split": split,
            "seed": seed,
        }
    return measured


def _recalls(
    truth: npt.NDArray[np.int64], prediction: npt.NDArray[np.int64], seed: int
) -> dict[str, dict[str, Any]]:
    measured: dict[str, dict[str, Any]] = {}
    for index in np.unique(truth):
        own = truth == index
        low, high = bootstrap_interval(accuracy, truth[own], prediction[own], seed=seed)
        measured[f"recall_{LABELS[index]}"] = {
            "value": round(accuracy(truth[own], prediction[own]), 4),
            "interval_95": [round(low, 4), round(high, 4)],
            "n": int(own.sum()),
            "split": _AGREED,
            "seed": seed,
        }
    return measured


def embed_split(
    data_dir: str | Path, model_folder: str | Path, split: Split
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Encodes one FER+ split with an exported model, through ONNX Runtime.

    Args:
        data_dir: the corpora's folder, which holds ``ferplus/``.
        model_folder: folder of the face model and its card.
        split: ``"train"`` or ``"valid"``; the encoder never saw ``valid``.

    Returns:
        Embeddings float32 [N, 128], logits float32 [N, 7] and soft targets float32 [N, 7], rows
        in the order of :func:`read_ferplus`.

    Raises:
        CorpusError: FER+ is not in ``data_dir``.
        WeightsMissing: there is no model in ``model_folder``.
        SpecMismatch: the model's card contradicts its file.
    """
    faces = read_ferplus(data_dir, split)
    embedding, logits = _run(load_card(Path(model_folder)).path, faces.images)
    return embedding, logits, faces.soft_targets


def _run(
    path: Path, images: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    session = onnx_session(path)
    embeddings: list[npt.NDArray[np.float32]] = []
    logits: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(images), _CHUNK):
        image = images[start : start + _CHUNK, None].astype(np.float32)
        outputs = session.run(["embedding", "logits"], {"image": image})
        embeddings.append(outputs[0])
        logits.append(outputs[1])
    return np.concatenate(embeddings), np.concatenate(logits)


def _write_onnx(net: FaceNet, path: Path) -> None:
    example = torch.zeros(2, 1, SIDE_PX, SIDE_PX)
    with _quiet_exporter():
        torch.onnx.export(
            net,
            (example,),
            path,
            input_names=["image"],
            output_names=["embedding", "logits"],
            dynamic_axes={name: {0: "n"} for name in ("image", "embedding", "logits")},
            opset_version=_OPSET,
            dynamo=False,
        )
    strip_traces(path)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The TorchScript exporter folds batch norms into one plain file, and says it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _check_export(net: FaceNet, path: Path, images: npt.NDArray[np.uint8]) -> None:
    with torch.no_grad():
        expected = net(torch.from_numpy(images).unsqueeze(1).float())
    for name, ours, theirs in zip(
        ("embedding", "logits"), expected, _run(path, images), strict=True
    ):
        gap = float(np.abs(ours.numpy() - theirs).max())
        if gap > _TOLERANCE:
            raise ModelError(f"{path}: exported {name} differs from the trained one by {gap:.2e}")
