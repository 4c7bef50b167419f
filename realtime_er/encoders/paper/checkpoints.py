"""Files of published weights to tensors that are known to fit: nothing is ever unpickled freely.

A bare state_dict (``.pt``, ``.pth``, ``.bin``) is read with ``weights_only``, safetensors as they
are. Everything else is refused in one line that says what the file is and what to do.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realtime_er.encoders.paper.locked import GET
from realtime_er.errors import SpecMismatch, WeightsMissing

M = TypeVar("M", bound=nn.Module)

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_KNOWN = (
    ("msaf.0.channel_affine.weight", "a CFN-SR network"),
    ("msaf.0.blocks.0.joint_features.0.weight", "an MSAF network"),
    ("video_model_blocks.0.0.weight", "a RAVDESS network"),
    ("gal_av.WF", "an MER fusion head"),
    ("conv_layer_s2_same.weight", "the EMO-AffectNet ResNet-50"),
    ("lstm1.weight_ih_l0", "the EMO-AffectNet LSTM"),
    ("wav2vec2.encoder.layer_norm.weight", "a wav2vec2 classifier"),
    ("roberta.embeddings.word_embeddings.weight", "a RoBERTa classifier"),
    ("encoder.layer_norm.weight", "a bare wav2vec2 without a head"),
    ("embeddings.word_embeddings.weight", "a bare language model without a head"),
    ("layer4.0.downsample.0.weight", "a torchvision ResNet"),
    ("model.0.conv.weight", "a YOLO detector"),
)


def read_state(path: Path) -> dict[str, Tensor]:
    """Reads a file of weights.

    Known wrappers (``{"model_state_dict": ...}``) and the prefix of a data-parallel model are
    taken off.

    Args:
        path: ``.safetensors``, or what ``torch.save(model.state_dict())`` wrote.

    Returns:
        Name to tensor, on the CPU, in the file's own types.

    Raises:
        WeightsMissing: there is no such file.
        SpecMismatch: it is not a state_dict; the message says what it is.
    """
    if not path.is_file():
        raise WeightsMissing(f"{path}: missing; fetch it with: {GET}")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            found = _kind_of_file(path) or f"damaged safetensors ({error}); fetch it again"
            raise SpecMismatch(f"{path}: {found}") from error
    kind = _kind_of_file(path)
    if kind is not None:
        raise SpecMismatch(f"{path}: {kind}")
    try:
        with warnings.catch_warnings():
            # An odd pickle protocol: what matters is whether it loads.
            warnings.simplefilter("ignore", UserWarning)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SpecMismatch(
            f"{path}: a pickled object that would run code of its own when loaded, refused; "
            "where you trust it, save torch.load(...).state_dict() and give that file"
        ) from error
    except Exception as error:
        # A damaged file makes the restricted unpickler fail in a dozen unrelated ways.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpecMismatch(f"{path}: damaged or not torch's ({reason}); fetch it again") from error
    return _unwrapped(loaded, path)


def write_state(net: nn.Module, path: Path) -> None:
    """Writes a network's tensors under their own, published, names.

    Args:
        net: What to write.
        path: ``.safetensors``; or ``.pt``, ``.pth`` for a bare state_dict as the published ones.

    Raises:
        ValueError: ``path`` ends in neither.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix in (".pt", ".pth"):
        torch.save(state, path)
    else:
        raise ValueError(f"{path}: must end in .safetensors, .pt or .pth")


def _kind_of_file(path: Path) -> str | None:
    """What a file is when it is none that can be loaded; None when it may be one."""
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        return "empty; fetch it again"
    if head.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the weights; run: git lfs pull"
    if head.startswith(b"\x89HDF\r\n"):
        return "a Keras (HDF5) model; the PyTorch weights are needed, get the .pt file of the model"
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
        return "a web page, not weights (the download asked something); fetch it in a browser"
    if path.suffix == ".onnx":
        return "an ONNX model; the PyTorch weights (a state_dict) are needed"
    try:
        names = _names_in_zip(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        return f"a damaged archive ({error}); fetch it again"
    if names is not None:
        if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
            return (
                "a TorchScript program, not a state_dict; get the plain weights "
                "(hub: ElenaRyumina/face_emotion_recognition), or, where you trust it, save "
                "torch.jit.load(FILE).state_dict() and give that file"
            )
        if not any(name.endswith("data.pkl") for name in names):
            return "a zip archive without weights; unpack it and give the file inside"
    return None


def _names_in_zip(path: Path) -> list[str] | None:
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _unwrapped(loaded: object, path: Path) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        raise SpecMismatch(
            f"{path}: holds {type(loaded).__name__}, not a state_dict; "
            "save model.state_dict() and give that file"
        )
    odd = [str(name) for name, value in loaded.items() if not isinstance(value, Tensor)]
    if odd:
        raise SpecMismatch(f"{path}: not a state_dict ({odd[0]!r} is no tensor); check the file")
    state = {str(name): value for name, value in loaded.items()}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return state


def describe_state(state: Mapping[str, object]) -> str | None:
    """What model these names belong to, as far as it is known here."""
    return next((what for name, what in _KNOWN if name in state), None)


def require(state: Mapping[str, Tensor], name: str, what: str, path: Path) -> Tensor:
    """One entry from which a model's size is read.

    Raises:
        SpecMismatch: it is not there, so this is another model's file.
    """
    if name not in state:
        found = describe_state(state) or f"{len(state)} entries such as {min(state, default='-')}"
        raise SpecMismatch(f"{path}: not {what} ({name} is missing); this is {found}")
    return state[name]


def fill_module(
    build: Callable[[], M],
    state: Mapping[str, Tensor],
    what: str,
    path: Path,
    *,
    optional: Collection[str] = (),
    ignored: Collection[str] = (),
) -> M:
    """Builds a module around a state_dict, after checking that names and shapes are its own.

    The module is built without memory and takes the tensors over, so large weights exist once
    and are never initialised for nothing. It comes in evaluation mode, floats as float32.

    Args:
        build: makes the module, every parameter and buffer of it in the state_dict.
        state: name to tensor.
        what: the model's name for messages, "the EMO-AffectNet ResNet-50" for instance.
        path: where the state came from, for messages.
        optional: names that may be missing (zeros then).
        ignored: names that may be there and are not used.

    Raises:
        SpecMismatch: names are missing, unknown, or of another shape; values are not finite.
    """
    with torch.device("meta"):
        module = build()
    expected = module.state_dict()
    given = {name: value for name, value in state.items() if name not in set(ignored) - {*expected}}
    for name in optional:
        if name in expected and name not in given:
            given[name] = torch.zeros(expected[name].shape)
    _check(given, expected, what, path)
    filled = {
        name: (value.float() if value.is_floating_point() else value).contiguous()
        for name, value in given.items()
    }
    broken = [name for name, value in filled.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise SpecMismatch(f"{path}: {broken[0]} holds values that are not finite; fetch it again")
    module.load_state_dict(filled, strict=True, assign=True)
    return module.eval()


def _check(
    given: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str, path: Path
) -> None:
    missing = sorted(expected.keys() - given.keys())
    unknown = sorted(given.keys() - expected.keys())
    if missing or unknown:
        parts = []
        if missing:
            parts.append(f"{len(missing)} of {len(expected)} entries missing, {missing[0]} first")
        if unknown:
            parts.append(f"{len(unknown)} unknown, {unknown[0]} first")
        found = describe_state(given)
        hint = f"; this is {found}" if found and found != what else ""
        raise SpecMismatch(f"{path}: not {what}: {', '.join(parts)}{hint}")
    for name, value in expected.items():
        if value.shape != given[name].shape:
            raise SpecMismatch(
                f"{path}: not {what}: {name} is {list(given[name].shape)}, not {list(value.shape)}"
            )
