"""Good inputs that are then damaged; small, so that much is tried."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.export.formats import export_session
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.reader import RecordedSession
from realtime_er.resources import resource_dir
from realtime_er.training.corpora.manifest import ManifestRow, write_manifest
from tests.recording.loaded import record_under_load
from tests.recording.samples import LABEL_SET, annotate
from tests.recording.synthetic import record
from tests.sources.media import painted, write_video
from tests.sources.raw_server import JPEG, MULTIPART, answer, part
from tests.sources.rtsp import h264, motion_jpeg

SESSION_FILES = (
    "manifest.json",
    "session.sqlite",
    "media.mkv",
    "annotations/ben.sqlite",
)
MODEL_FILES = (
    *((kind, "card.json") for kind in ("face", "speech", "text", "fusion", "detector")),
    *((kind, "model.onnx") for kind in ("face", "speech", "text", "fusion", "detector")),
    ("text", "tokenizer.json"),
)

NEXT_ANSWER = b"\n-- next answer --\n"

_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="realtime-er-seeds-", ignore_cleanup_errors=True)
    _KEPT.append(made)  # removed when the process ends
    return Path(made.name)


@functools.cache
def media() -> list[bytes]:
    """Half a second in each of several containers and codecs."""
    sound = (np.sin(np.arange(8000) / 20) * 8000).astype(np.int16)
    times_ms = list(range(0, 500, 50))
    folder, files = _folder(), []
    for name, codec, audio_codec, rate_hz in (
        ("a.mp4", "libx264", "aac", 16000),
        ("a.mkv", "libx264", "flac", 16000),
        ("a.avi", "mpeg4", "pcm_s16le", 16000),
        ("a.webm", "libvpx", "libopus", 48000),
        ("a.mov", "mpeg4", "pcm_s16le", 16000),
    ):
        files.append(
            write_video(
                folder / name,
                times_ms,
                audio=sound,
                codec=codec,
                audio_codec=audio_codec,
                audio_rate_hz=rate_hz,
            )
        )
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "mp3")):
        files.append(write_video(folder / name, [], audio=sound, audio_codec=codec))
    return [path.read_bytes() for path in files]


@functools.cache
def session() -> Path:
    """A session of two seconds with media and two raters."""
    folder = _folder() / "anna"
    assert record(folder, 2.0).ok
    annotate(folder)
    return folder


@functools.cache
def session_files() -> list[bytes]:
    """Each of its files, behind the byte that says which."""
    folder = session()
    return [
        bytes([number]) + (folder / name).read_bytes() for number, name in enumerate(SESSION_FILES)
    ]


def annotator(folder: Path, rater: str) -> AbstractContextManager[AnnotationStore]:
    """One who annotates the session."""
    return AnnotationStore(folder, rater, LABEL_SET)


@functools.cache
def evidence() -> Path:
    """A session as the pipeline records it, with the state in which it began."""
    folder = _folder() / "session"
    with pytest.MonkeyPatch.context() as patch:
        record_under_load(folder, patch, 4.0, speed=8.0, options=RecordOptions(media=False))
    return folder


def numbers() -> list[bytes]:
    """For targets that take their input as the seed of a random generator."""
    return [bytes(8)]


@functools.cache
def configs() -> list[bytes]:
    """The presets and the annotation labels that ship."""
    scheme = '{"classes": ["a"], "multi": false, "map": {"c": {"x": "a", "y": ""}}}'
    return [path.read_bytes() for path in sorted(resource_dir("config").glob("*.toml"))] + [
        scheme.encode(),
        b'classes = ["a"]\n[map.c]\nx = "a"\n',
    ]


@functools.cache
def manifests() -> list[bytes]:
    """A corpus' table and a list of utterances."""
    path = _folder() / "manifest.csv"
    write_manifest(
        path,
        [
            ManifestRow("c/1", "c", "train", "a/1.mp4", "", ("joy", "anger"), 0.5, 1.5, "left"),
            ManifestRow("c/2", "c", "val", "", "a/2.wav", ("joy",), speaker="s", text='"a", b\nc'),
        ],
    )
    return [path.read_bytes(), b"Ses01F_impro01_F000 wav/a b.wav neu\n# x\n"]


@functools.cache
def eafs() -> list[bytes]:
    """What the program exports."""
    out = _folder()
    with RecordedSession.open(session()) as recorded:
        paths = export_session(recorded, "eaf", out)
    return [path.read_bytes() for path in paths if path.suffix == ".eaf"]


@functools.cache
def models() -> list[bytes]:
    """Each file of the models that ship, behind the byte that says which."""
    root = resource_dir("assets") / "models"
    return [
        bytes([number]) + (root / f"compact-{kind}" / name).read_bytes()
        for number, (kind, name) in enumerate(MODEL_FILES)
    ]


def rehash(folder: Path) -> None:
    """Write the hashes of the files into their card."""
    card = json.loads((folder / "card.json").read_text("utf-8"))
    entries = [card, *(card[part] for part in ("head", "tokenizer") if card.get(part))]
    for entry in entries:
        entry["sha256"] = hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


@functools.cache
def weights() -> list[bytes]:
    """Safetensors, and what torch saves; the last would run code if it were unpickled."""
    import torch
    from safetensors.torch import save

    state = {"layer.weight": torch.arange(12.0).reshape(3, 4), "layer.bias": torch.zeros(3)}
    new, old, wrapped, program = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save(state, new)
    torch.save(state, old, _use_new_zipfile_serialization=False)
    torch.save({"model_state_dict": state, "epoch": 3}, wrapped)
    torch.save({"layer": torch.nn.Linear(2, 2)}, program)
    return [save(state), *(file.getvalue() for file in (new, old, wrapped, program))]


@functools.cache
def camera() -> list[bytes]:
    """Answers of cameras: motion JPEG, chunked, one picture, a stream, a refusal, a redirect."""
    pictures = b"".join(part(JPEG) for _ in range(4))
    chunked = b"".join(
        f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in (part(JPEG), part(JPEG), b"")
    )
    head = MULTIPART[:-2]
    return [
        MULTIPART + pictures,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        answer("200 OK", "Content-Type: image/jpeg", body=JPEG),
        answer("200 OK", "Content-Type: video/x-matroska", body=media()[1]),
        answer("200 OK", "Content-Type: video/webm", body=media()[3]),
        answer("401 Unauthorized", 'WWW-Authenticate: Digest realm="c", nonce="n", qop="auth"'),
        answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="c"'),
        answer("302 Found", "Location: /other"),
    ]


@functools.cache
def rtsp() -> list[bytes]:
    """Conversations of RTSP cameras: motion JPEG, H.264, and one that asks for the password.

    None redirects: FFmpeg would follow it, and damaged numbers lead anywhere.
    """
    images = [painted(number, 128, 64) for number in range(30)]
    asks = b'RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="c", nonce="n"\r\n\r\n'
    conversations = [motion_jpeg(images), h264(images), [asks, *h264(images[:12])]]
    return [NEXT_ANSWER.join(pieces) for pieces in conversations]
