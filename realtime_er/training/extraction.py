"""Runs the encoders over a corpus: a manifest in, one file of features out, resumable.

Clips are described in shards of 100. A shard that is finished lies beside the output until all are,
so a run that was stopped goes on where it was. What cannot be read is passed by and reported.

Some threads decode files and look for faces while this one runs the encoders over several clips at once:

    files ──workers──> clips of the next groups (at most two) ──> encoders ──> shard
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime_er.errors import CorpusError
from realtime_er.fusion.aggregation import WINDOW_S
from realtime_er.messages import MODALITIES, SAMPLE_RATE_HZ, FloatArray
from realtime_er.perception.detectors import FaceDetector
from realtime_er.training.clip_reading import (
    ClipContent,
    Problem,
    Transcribe,
    Wanted,
    read_clip,
)
from realtime_er.training.clip_vectors import Vectors, Windows, describe_clips
from realtime_er.training.corpora.manifest import Listing, ManifestRow
from realtime_er.training.extract_report import ExtractProgress, ExtractReport
from realtime_er.training.features import FORMAT, Features, load_features, save_features
from realtime_er.training.mer.encoders import Encoders

_CLIPS_AT_ONCE = 16
"""Clips whose faces and sound are held at a time; they share the encoders' batches."""
_GROUPS_AHEAD = 2
"""Groups that are read while one is described; more would only fill the memory."""


@dataclass(frozen=True)
class ExtractSettings:
    """How a corpus is described.

    Attributes:
        windows: "time" cuts faces into windows of 4 s like the sound; "faces" counts 20 faces, as
            published.
        words: what recognises words where there is no transcript, for the record; empty: nothing.
        precision: of the encoders, for the record.
        shard_rows: clips in a shard.
        workers: threads that decode files and look for faces.
    """

    windows: Windows = "time"
    words: str = ""
    precision: str = "fp32"
    shard_rows: int = 100
    workers: int = 1


class Extractor:
    """Describes the clips of one corpus. One owning thread; ``workers`` threads read files for it.

    Args:
        encoders: what describes each modality.
        make_detector: makes a face detector, once for every reading thread.
        make_transcribe: makes what recognises words, likewise; None for no recognition.
        settings: how.
    """

    def __init__(
        self,
        encoders: Encoders,
        make_detector: Callable[[], FaceDetector] | None = None,
        make_transcribe: Callable[[], Transcribe] | None = None,
        settings: ExtractSettings | None = None,
    ) -> None:
        self._encoders = encoders
        self._make_detector = make_detector
        self._make_transcribe = make_transcribe
        self._settings = settings or ExtractSettings()
        self._own = threading.local()

    def run(
        self,
        listing: Listing,
        root: Path,
        out: Path,
        progress: Callable[[ExtractProgress], None] | None = None,
    ) -> ExtractReport:
        """Describes every clip and writes the file of features and the table of problems.

        Args:
            listing: rows of one corpus, and what its reader left out.
            root: the corpus' folder.
            out: the file to write, ``.npz``; shards lie in ``NAME.parts`` beside it meanwhile.
            progress: called after every shard.

        Raises:
            CorpusError: rows are of several corpora, or nothing could be described.
        """
        corpora = sorted({row.corpus for row in listing.rows})
        if len(corpora) != 1:
            raise CorpusError(f"one file of features holds one corpus, not {', '.join(corpora)}")
        rows, size = listing.rows, self._settings.shard_rows
        parts = out.with_name(f"{out.stem}.parts")
        parts.mkdir(parents=True, exist_ok=True)
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        shards: list[Features] = []
        problems = [Problem(one.id, "", one.reason) for one in listing.skipped]
        started_s = time.monotonic()
        keys = [self._key(chunk, rows) for chunk in chunks]
        paths = [parts / f"{number:05d}.npz" for number in range(len(chunks))]
        there = [_finished(path, key) for path, key in zip(paths, keys, strict=True)]
        missing = [chunk for chunk, found in zip(chunks, there, strict=True) if found is None]
        # One pool for the whole run: its threads keep their detectors and recognisers.
        with closing(self._read_groups(missing, root, rows)) as groups:
            for number, chunk in enumerate(chunks):
                shard = there[number]
                if shard is None:
                    shard = self._describe(chunk, groups, keys[number])
                    save_features(paths[number], shard)
                shards.append(shard)
                problems += [Problem(*one) for one in shard.meta["problems"]]
                if progress is not None:
                    clips, elapsed_s = sum(map(len, shards)), time.monotonic() - started_s
                    progress(
                        ExtractProgress(number + 1, len(chunks), clips, len(problems), elapsed_s)
                    )
        joined = join(shards, self._meta())
        counts = dict(zip(MODALITIES, joined.mask.sum(axis=0).astype(int).tolist(), strict=True))
        asked = len(rows) + len(listing.skipped)
        report = ExtractReport(corpora[0], out, asked, len(joined), counts, problems)
        report.write()
        if len(joined) == 0:
            why = problems[0].reason if problems else "the manifest is empty"
            raise CorpusError(f"{corpora[0]}: no clip could be described ({why})")
        save_features(out, joined)
        shutil.rmtree(parts)
        return report

    def _meta(self) -> dict[str, Any]:
        settings = asdict(self._settings)
        for name in ("shard_rows", "workers"):
            del settings[name]
        return {"encoders": self._encoders.identities(), "settings": settings}

    def _key(self, chunk: Sequence[ManifestRow], rows: Sequence[ManifestRow]) -> str:
        """What a finished shard is known by: its rows, and everything that describes them."""
        told = [FORMAT, self._meta(), _with_pictures(rows), [asdict(row) for row in chunk]]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _read_groups(
        self, chunks: Sequence[Sequence[ManifestRow]], root: Path, rows: Sequence[ManifestRow]
    ) -> Generator[list[ClipContent], None, None]:
        """The clips of all chunks, group by group and in order; workers read ahead of who asks."""
        wanted = self._wanted(rows)

        def read(row: ManifestRow) -> ClipContent:
            detector, transcribe = self._tools()
            return read_clip(row, root, wanted, detector, transcribe)

        groups = (group for chunk in chunks for group in _groups(chunk))
        if self._settings.workers <= 1:
            # One worker reads in this thread, so that a debugger and a profiler see it.
            for group in groups:
                yield [read(row) for row in group]
            return
        pool = ThreadPoolExecutor(self._settings.workers)
        ahead: deque[list[Future[ClipContent]]] = deque()
        try:
            for group in groups:
                ahead.append([pool.submit(read, row) for row in group])
                if len(ahead) > _GROUPS_AHEAD:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)

    def _wanted(self, rows: Sequence[ManifestRow]) -> Wanted:
        encoders = self._encoders
        return Wanted(
            face=encoders.face is not None,
            audio=encoders.audio is not None,
            text=encoders.text is not None,
            window_samples=(
                round(WINDOW_S * SAMPLE_RATE_HZ)
                if encoders.audio is None
                else encoders.audio.window_samples
            ),
            with_pictures=_with_pictures(rows),
        )

    def _describe(
        self, chunk: Sequence[ManifestRow], groups: Iterator[list[ClipContent]], key: str
    ) -> Features:
        """A shard, of the next groups."""
        kept: list[ClipContent] = []
        vectors: dict[str, Vectors] = {name: [] for name in MODALITIES}
        problems: list[Problem] = []
        for _group in _groups(chunk):
            clips = next(groups)
            found = describe_clips(self._encoders, clips, self._settings.windows)
            for place, clip in enumerate(clips):
                own = {name: found[name][place] for name in MODALITIES}
                lost = any(not problem.modality for problem in clip.problems)
                if not lost and all(vector is None for vector in own.values()):
                    clip.note("", "nothing of it could be described")
                    lost = True
                problems += clip.problems
                if lost:
                    continue
                kept.append(clip)
                for name in MODALITIES:
                    vectors[name].append(own[name])
        return self._columns(kept, vectors, problems, key, chunk[0].corpus)

    def _tools(self) -> tuple[FaceDetector | None, Transcribe | None]:
        """The calling thread's own detector and recogniser."""
        own = self._own
        if not hasattr(own, "tools"):
            needs_faces = self._encoders.face is not None and self._make_detector is not None
            needs_words = self._encoders.text is not None and self._make_transcribe is not None
            own.tools = (
                self._make_detector() if needs_faces and self._make_detector else None,
                self._make_transcribe() if needs_words and self._make_transcribe else None,
            )
        tools: tuple[FaceDetector | None, Transcribe | None] = own.tools
        return tools

    def _columns(
        self,
        clips: Sequence[ClipContent],
        vectors: dict[str, Vectors],
        problems: Sequence[Problem],
        key: str,
        corpus: str,
    ) -> Features:
        encoders = self._encoders
        sizes = {
            "face": 2 * encoders.face.dim if encoders.face else 0,
            "audio": 2 * encoders.audio.dim if encoders.audio else 0,
            "text": encoders.text.dim if encoders.text else 0,
        }
        filled: dict[str, FloatArray] = {}
        mask = np.zeros((len(clips), len(MODALITIES)), np.float32)
        for column, name in enumerate(MODALITIES):
            filled[name] = np.zeros((len(clips), sizes[name]), np.float32)
            for place, vector in enumerate(vectors[name]):
                if vector is not None:
                    filled[name][place] = vector
                    mask[place, column] = 1.0
        meta = {
            **self._meta(),
            "key": key,
            "problems": [[one.id, one.modality, one.reason] for one in problems],
        }
        rows = [clip.row for clip in clips]

        def texts(values: list[str]) -> np.ndarray[Any, np.dtype[np.str_]]:
            return np.array(values, np.str_)

        return Features(
            corpus=corpus,
            ids=texts([row.id for row in rows]),
            splits=texts([row.split for row in rows]),
            labels=texts(["|".join(row.native) for row in rows]),
            speakers=texts([row.speaker for row in rows]),
            groups=texts([row.group for row in rows]),
            words=texts([clip.words for clip in clips]),
            video=filled["face"],
            audio=filled["audio"],
            text=filled["text"],
            mask=mask,
            meta=meta,
        )


def _groups(chunk: Sequence[ManifestRow]) -> list[Sequence[ManifestRow]]:
    return [chunk[start : start + _CLIPS_AT_ONCE] for start in range(0, len(chunk), _CLIPS_AT_ONCE)]


def _with_pictures(rows: Sequence[ManifestRow]) -> bool:
    return any(row.video for row in rows)


def _finished(path: Path, key: str) -> Features | None:
    """A shard of an earlier run, if it is whole and was made of the same."""
    if not path.is_file():
        return None
    try:
        found = load_features(path)
    except CorpusError:
        return None  # half written by a run that was killed: done again
    return found if found.meta.get("key") == key else None


def join(shards: Sequence[Features], meta: dict[str, Any]) -> Features:
    """Shards of one corpus, one after the other."""

    def column(name: str) -> Any:  # noqa: ANN401 - texts and vectors
        return np.concatenate([getattr(shard, name) for shard in shards])

    names = ("ids", "splits", "labels", "speakers", "groups", "words")
    columns = {name: column(name) for name in (*names, "video", "audio", "text", "mask")}
    return Features(corpus=shards[0].corpus, meta=meta, **columns)
