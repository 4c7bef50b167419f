"""What is fuzzed: for each kind of untrusted input some good ones, and what reads them.

A target's ``run`` takes bytes and returns; it lets only the project's own errors pass unseen. Whatever
else it raises, and a violated promise, is a finding.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime_er.clock import SessionClock, VirtualClock
from realtime_er.config import load_config
from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.face import FaceEncoder
from realtime_er.encoders.text import TextEncoder
from realtime_er.errors import RealtimeERError
from realtime_er.fusion.opening import open_head
from realtime_er.messages import AudioBlock, VideoFrame
from realtime_er.perception.detectors import CompactDetector
from realtime_er.recording.database import open_database
from realtime_er.recording.export.eaf_import import import_eaf
from realtime_er.recording.export.formats import FORMATS, export_session
from realtime_er.recording.labels import load_labels
from realtime_er.recording.listing import list_sessions
from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.media_source import RecordedMedia
from realtime_er.recording.player import Player
from realtime_er.recording.reader import RecordedSession
from realtime_er.recording.rebuild import rebuild, recorded_config
from realtime_er.recording.repair import repair
from realtime_er.recording.verify import verify
from realtime_er.resources import resource_dir
from realtime_er.sources.base import LONGEST_S, SourceMessage, Stream
from realtime_er.sources.media_file import MediaFile
from realtime_er.sources.network_camera import NetworkCapture
from realtime_er.training.corpora.label_schemes import load_scheme
from realtime_er.training.corpora.manifest import ManifestRow, missing_files, write_manifest
from realtime_er.training.corpora.manifest import read_manifest as read_corpus
from realtime_er.training.corpora.scp import read_scp
from tests.fuzz import seeds
from tests.recording.loaded import VectorHead
from tests.sources.media import OpenPacer
from tests.sources.raw_server import RawServer, Reply, sending
from tests.sources.rtsp import answering

MOST_MESSAGES = 3000
"""A stream is stopped after so many; a damaged file may promise endlessly many."""


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        seeds: Makes good inputs.
        run: Reads one input.
    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]


@functools.cache
def workspace() -> Path:
    """A folder of this process, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="realtime-er-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _fresh(name: str) -> Path:
    folder = workspace() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


# --- media -------------------------------------------------------------------------------------


def run_media(data: bytes) -> None:
    """A media file, through the source that ``analyze`` uses."""
    path = _fresh("media") / "clip"
    path.write_bytes(data)
    with contextlib.suppress(RealtimeERError):
        source = MediaFile(path)
        for stream in source.streams(load_config("analyze"), VirtualClock()):
            _play(stream)


def _play(stream: Stream) -> None:
    stop, count, last_s = threading.Event(), 0, float("-inf")

    def emit(message: SourceMessage) -> None:
        nonlocal count, last_s
        count += 1
        if count >= MOST_MESSAGES:
            stop.set()
        if isinstance(message, VideoFrame):
            time_s = message.time_s
            assert message.image.ndim == 3
            assert message.image.dtype == np.uint8
        elif isinstance(message, AudioBlock):
            time_s = message.start_s
            assert np.isfinite(message.samples).all()
            assert np.abs(message.samples).max(initial=0) <= 1
        else:
            return
        assert last_s < time_s < LONGEST_S, (last_s, time_s)
        last_s = time_s

    stream.open()
    try:
        stream.run(emit, OpenPacer(), stop)
    finally:
        stream.close()


# --- sessions ----------------------------------------------------------------------------------


def run_session(data: bytes) -> None:
    """A session's folder with one of its files replaced: the first byte says which."""
    folder = _fresh("session") / "anna"
    shutil.copytree(seeds.session(), folder)
    if data:
        (folder / seeds.SESSION_FILES[data[0] % len(seeds.SESSION_FILES)]).write_bytes(data[1:])
    _use_session(folder)


def run_cells(data: bytes) -> None:
    """A session whose tables hold anything anywhere; ``data`` seeds what and where."""
    folder = _fresh("cells") / "anna"
    shutil.copytree(seeds.session(), folder)
    rng = random.Random(data)
    chosen = rng.choice(["session.sqlite", "session.sqlite", "annotations/ben.sqlite"])
    _scramble(folder / chosen, rng)
    _use_session(folder)


def _scramble(path: Path, rng: random.Random) -> None:
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for _ in range(rng.randrange(1, 6)):
        (table,) = rng.choice(tables)
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        value = rng.choice(_CELLS)
        where = rng.choice(["", f" WHERE rowid % {rng.randrange(1, 9)} = 0"])
        with contextlib.suppress(sqlite3.Error):
            connection.execute(f"UPDATE {table} SET {rng.choice(columns)} = ?{where}", (value,))
    connection.commit()
    connection.close()


_CELLS = (
    None, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 0.0, -0.5, 1e18, 1e308, -1e308, float("inf"),
    float("-inf"), "", "x", "Happy", "no face", "\x00", "\ud7ff", "<b>", b"", b"\x00", b"\xff" * 7,
    b"\x00\x00\xc0\x7f" * 4, "9" * 400, "../../x",
)  # fmt: skip


def _use_session(folder: Path) -> None:
    """Everything that anybody does with a session; each on its own, for any may refuse."""
    for use in (_list, _read, _verify, _play_media, _show, _export, _annotate, _mend):
        with contextlib.suppress(RealtimeERError):
            use(folder)


def _list(folder: Path) -> None:
    list_sessions(folder.parent)


def _read(folder: Path) -> None:
    with RecordedSession.open(folder) as session:
        for name in ("estimates", "embeddings", "hypotheses", "events", "gaps", "annotations"):
            with contextlib.suppress(RealtimeERError):
                session.frame(name)
        session.counts()
        session.transcript()
        recorded_config(session.manifest)


def _verify(folder: Path) -> None:
    verify(folder, read_manifest(folder))


def _play_media(folder: Path) -> None:
    source = RecordedMedia(folder)
    for stream in source.streams(load_config("analyze"), VirtualClock()):
        _play(stream)


def _show(folder: Path) -> None:
    with RecordedSession.open(folder) as session:
        clock = VirtualClock()
        player = Player(session, clock=clock)
        try:
            for share in (0.0, 0.4, 1.0):
                start_s, end_s = player.span_s
                player.seek(start_s + share * (end_s - start_s))
                player.snapshot()
        finally:
            player.close()


def _export(folder: Path) -> None:
    out = folder.parent / "out"
    with RecordedSession.open(folder) as session:
        for name in FORMATS:
            with contextlib.suppress(RealtimeERError):
                export_session(session, name, out)
        with contextlib.suppress(RealtimeERError):
            import_eaf(session, out / f"{session.name}.eaf")


def _annotate(folder: Path) -> None:
    for rater in ("anna", "ben"):
        with contextlib.suppress(RealtimeERError), seeds.annotator(folder, rater) as store:
            store.marks()
            store.undo()


def _mend(folder: Path) -> None:
    repair(folder)
    assert repair(folder).done == ()


def run_replay(data: bytes) -> None:
    """The evidence of a recorded session, computed again; ``data`` seeds what is damaged."""
    path = _fresh("replay") / "session.sqlite"
    shutil.copy(seeds.evidence() / "session.sqlite", path)
    _scramble(path, random.Random(data))
    with contextlib.suppress(RealtimeERError):
        config = recorded_config(read_manifest(seeds.evidence()))
        with contextlib.closing(open_database(path)) as connection:
            for count, _pair in enumerate(rebuild(connection, config, VectorHead())):
                if count > MOST_MESSAGES:
                    break


# --- text files --------------------------------------------------------------------------------


def run_config(data: bytes) -> None:
    """A configuration, and a set of annotation labels."""
    path = _fresh("config") / "mine.toml"
    path.write_bytes(data)
    for read in (load_config, load_labels, load_scheme):
        with contextlib.suppress(RealtimeERError):
            read(path)


def run_manifest(data: bytes) -> None:
    """A corpus' manifest and a list of utterances; no row may lead out of the corpus' folder."""
    folder = _fresh("manifest")
    path = folder / "manifest.csv"
    path.write_bytes(data)
    rows: tuple[ManifestRow, ...] = ()
    with contextlib.suppress(RealtimeERError):
        rows = read_corpus(path)
    missing_files(rows, folder)
    for row in rows:
        for name in filter(None, (row.video, row.audio)):
            assert (folder / name).resolve().is_relative_to(folder.resolve()), name
    if rows:
        write_manifest(folder / "again.csv", rows)
        assert read_corpus(folder / "again.csv") == rows
    for read in (read_scp, load_scheme):
        with contextlib.suppress(RealtimeERError):
            read(path)


def run_eaf(data: bytes) -> None:
    """An ELAN file that is brought back into a session."""
    folder = _fresh("eaf") / "anna"
    shutil.copytree(seeds.session(), folder, ignore=shutil.ignore_patterns("media.mkv"))
    path = folder.parent / "corrected.eaf"
    path.write_bytes(data)
    with contextlib.suppress(RealtimeERError), RecordedSession.open(folder) as session:
        for database in import_eaf(session, path).databases:
            assert database.parent == folder / "annotations"
        session.frame("annotations")


# --- models ------------------------------------------------------------------------------------


def run_model(data: bytes) -> None:
    """A model's folder with one file replaced; the card's hashes are made right, as an attacker would.

    The first byte says which model and which file.
    """
    if not data:
        return
    kind, name = seeds.MODEL_FILES[data[0] % len(seeds.MODEL_FILES)]
    folder = _fresh("model") / kind
    shutil.copytree(resource_dir("assets") / "models" / f"compact-{kind}", folder)
    (folder / name).write_bytes(data[1:])
    if name != "card.json":
        seeds.rehash(folder)
    with contextlib.suppress(RealtimeERError):
        _use_model(kind, folder)


def _use_model(kind: str, folder: Path) -> None:
    if kind == "face":
        face = FaceEncoder(folder)
        with contextlib.suppress(RealtimeERError):
            face.crop_rule("compact")
    elif kind == "speech":
        StreamingAudioEncoder(folder)
    elif kind == "text":
        TextEncoder(folder).encode("how are you")
    elif kind == "detector":
        CompactDetector(folder)
    else:
        open_head(folder, {})


def run_weights(data: bytes) -> None:
    """A file of published weights: safetensors, or what torch saved; never unpickled freely."""
    from realtime_er.encoders.paper.checkpoints import read_state

    folder = _fresh("weights")
    for name in ("model.safetensors", "model.pt"):
        (folder / name).write_bytes(data)
        with contextlib.suppress(RealtimeERError):
            read_state(folder / name)


# --- camera ------------------------------------------------------------------------------------


class _Replies:
    """A server on this machine that says ``data``, as ``saying`` makes of it what is sent when."""

    def __init__(self, saying: Callable[[bytes], Reply]) -> None:
        self.data = b""
        self.server = RawServer(lambda client, request: saying(self.data)(client, request))


@functools.cache
def _replies(saying: Callable[[bytes], Reply]) -> _Replies:
    made = _Replies(saying)
    atexit.register(made.server.close)
    return made


def run_camera(data: bytes) -> None:
    """What a network camera sends, HTTP head included."""
    _look("http", sending, data)


def run_rtsp(data: bytes) -> None:
    """What an RTSP camera says, request by request, and the pictures that follow."""
    _look("rtsp", _conversation, data)


def _conversation(data: bytes) -> Reply:
    return answering(data.split(seeds.NEXT_ANSWER))


def _look(scheme: str, saying: Callable[[bytes], Reply], data: bytes) -> None:
    replies = _replies(saying)
    replies.data = data
    replies.server.requests.clear()
    clock = SessionClock()
    url = replies.server.url("anna:secret").replace("http", scheme)
    capture = NetworkCapture(url, clock, timeout_s=0.5)
    try:
        with contextlib.suppress(RealtimeERError):
            capture.open()
            for _ in range(20):
                capture.read(threading.Event())
    finally:
        capture.close()
    assert clock.now_s() < 20.0, "a camera held us up"


TARGETS: dict[str, Target] = {
    "media": Target(seeds.media, run_media),
    "session": Target(seeds.session_files, run_session),
    "cells": Target(seeds.numbers, run_cells),
    "replay": Target(seeds.numbers, run_replay),
    "config": Target(seeds.configs, run_config),
    "manifest": Target(seeds.manifests, run_manifest),
    "eaf": Target(seeds.eafs, run_eaf),
    "model": Target(seeds.models, run_model),
    "weights": Target(seeds.weights, run_weights),
    "camera": Target(seeds.camera, run_camera),
    "rtsp": Target(seeds.rtsp, run_rtsp),
}
"""By the name that the command line takes."""
