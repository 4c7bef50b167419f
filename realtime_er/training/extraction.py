"""Runs the encoders over a corpus: a manifest in, one file of features out, resumable.

Clips are described in shards of 100. A shard that is finished lies beside the output until all are,
so a run that was stopped goes on where it was. What cannot be read is passed by and reported.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
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


@dataclass(frozen=True)
class ExtractSettings:
    """How a corpus is described.

    Attributes:
        windows: "time" cuts faces into windows of 4 s like the sound; "faces" counts 20 faces, as
            published.
        words: what recognises words where there is no transcript, for the record; empty: nothing.
        shard_rows: clips in a shard.
        workers: threads that decode files and look for faces.
    """

    windows: Windows = "time"
    words: str = ""
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
        # One pool for the whole run: its threads keep their detectors and recognisers.
        with ThreadPoolExecutor(max(1, self._settings.workers)) as pool:
            for number, chunk in enumerate(chunks):
                shard = self._shard(parts / f"{number:05d}.npz", chunk, root, rows, pool)
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

    def _shard(
        self,
        path: Path,
        chunk: Sequence[ManifestRow],
        root: Path,
        rows: Sequence[ManifestRow],
        pool: Executor,
    ) -> Features:
        """A finished shard from an earlier run, or a new one."""
        with_pictures = any(row.video for row in rows)
        told = [FORMAT, self._meta(), with_pictures, [asdict(row) for row in chunk]]
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        if path.is_file():
            try:
                found = load_features(path)
            except CorpusError:
                found = None  # half written by a run that was killed: done again
            if found is not None and found.meta.get("key") == key:
                return found
        shard = self._describe(chunk, root, key, pool, with_pictures=with_pictures)
        save_features(path, shard)
        return shard

    def _describe(
        self,
        chunk: Sequence[ManifestRow],
        root: Path,
        key: str,
        pool: Executor,
        *,
        with_pictures: bool,
    ) -> Features:
        encoders = self._encoders
        wanted = Wanted(
            face=encoders.face is not None,
            audio=encoders.audio is not None,
            text=encoders.text is not None,
            window_samples=(
                round(WINDOW_S * SAMPLE_RATE_HZ)
                if encoders.audio is None
                else encoders.audio.window_samples
            ),
            with_pictures=with_pictures,
        )

        def read(row: ManifestRow) -> ClipContent:
            detector, transcribe = self._tools()
            return read_clip(row, root, wanted, detector, transcribe)

        kept: list[ClipContent] = []
        vectors: dict[str, Vectors] = {name: [] for name in MODALITIES}
        problems: list[Problem] = []
        for start in range(0, len(chunk), _CLIPS_AT_ONCE):
            group = chunk[start : start + _CLIPS_AT_ONCE]
            # One worker reads in this thread, so that a debugger and a profiler see it.
            alone = self._settings.workers <= 1
            clips = list(map(read, group) if alone else pool.map(read, group))
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


def join(shards: Sequence[Features], meta: dict[str, Any]) -> Features:
    """Shards of one corpus, one after the other."""

    def column(name: str) -> Any:  # noqa: ANN401 - texts and vectors
        return np.concatenate([getattr(shard, name) for shard in shards])

    names = ("ids", "splits", "labels", "speakers", "groups", "words")
    columns = {name: column(name) for name in (*names, "video", "audio", "text", "mask")}
    return Features(corpus=shards[0].corpus, meta=meta, **columns)
