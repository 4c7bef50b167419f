"""The streaming speech encoder on speakers it never heard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.bundle import Card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import CorpusError
from realtime_er.fusion.head import softmax, statistics
from realtime_er.messages import LABELS, FloatArray
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.evaluate import pictures
from realtime_er.training.evaluate.report import SEED, Goal, Report, add_recalls
from realtime_er.training.metrics import (
    accuracy,
    expected_calibration_error,
    unweighted_average_recall,
)
from realtime_er.training.speech.speakers import TEST_SPEAKERS, sex_of

_CORPUS_LABELS = {"ravdess": ravdess.LABELS, "emodb": emodb.LABELS}
_LANGUAGE = {"ravdess": "English", "emodb": "German"}
_GOALS = {"ravdess": Goal(0.65), "emodb": Goal(0.75)}
_STREAMED_CLIPS = 12


@dataclass(frozen=True)
class Heard:
    """Clips as the encoder and its pooled head hear them.

    Attributes:
        clips: N clips.
        statistics: float32 [N, 2 D] over a whole clip.
        logits: float32 [N, C].
        left_out: why other clips were not heard, a line each.
        compute: seconds of processor time per second of sound.
    """

    clips: list[SpeechClip]
    statistics: FloatArray
    logits: FloatArray
    left_out: list[str]
    compute: float

    def column(self, name: str) -> npt.NDArray[np.str_]:
        """One attribute of every clip, "speaker" for instance."""
        return np.array([str(getattr(clip, name)) for clip in self.clips])


def clips_of(data_dir: Path, split: str, card: Card) -> list[SpeechClip]:
    """Clips of one part: ``valid`` are the card's held-out speakers, ``test`` those kept elsewhere.

    Raises:
        CorpusError: nobody of the part is there, or a corpus cannot be read.
    """
    clips: list[SpeechClip] = []
    if (data_dir / "ravdess_speech").is_dir():
        clips += ravdess.read_ravdess(data_dir)
    if (data_dir / "emodb").is_dir():
        clips += emodb.read_emodb(data_dir)
    wanted = speakers_of(split, card)
    chosen = [clip for clip in clips if clip.speaker in wanted]
    if not chosen:
        other = (
            "put the test part there, or pass --split valid for the speakers held out here"
            if split == "test"
            else "name the folder that holds ravdess_speech/ and emodb/ with --data"
        )
        raise CorpusError(
            f"{data_dir}: ravdess_speech/Actor_XX and emodb have no clip of {', '.join(wanted)}; "
            f"{other}"
        )
    return chosen


def speakers_of(split: str, card: Card) -> tuple[str, ...]:
    """Who speaks in a part."""
    held_out = card.raw.get("training", {}).get("held_out_speakers", ())
    return tuple(TEST_SPEAKERS if split == "test" else held_out)


def hear(clips: Sequence[SpeechClip], folder: Path) -> Heard:
    """Streams every clip from fresh states.

    A clip that cannot be read, or is shorter than one step, gives no evidence and is left out.

    Raises:
        CorpusError: that is so of all of them.
    """
    encoder = StreamingAudioEncoder(folder)
    head = onnx_session(folder / encoder.card.raw["head"]["file"])
    kept, pooled, left_out = [], [], []
    sound_s = spent_s = 0.0
    for clip in clips:
        try:
            samples = clip.samples(encoder.sample_rate_hz)
        except CorpusError as error:
            left_out.append(str(error))
            continue
        encoder.reset()
        started_s = time.process_time()
        steps = [embedding for _, embedding in encoder.push(0, samples)]
        spent_s += time.process_time() - started_s
        sound_s += len(samples) / encoder.sample_rate_hz
        if steps:
            kept.append(clip)
            pooled.append(statistics(np.stack(steps)))
        else:
            left_out.append(f"{clip.path}: shorter than a step")
    if not kept:
        raise CorpusError(f"none of {len(clips)} clips could be heard; the first: {left_out[0]}")
    rows = np.stack(pooled)
    logits = np.asarray(head.run(["logits"], {"statistics": rows})[0], np.float32)
    return Heard(kept, rows, logits, left_out, spent_s / sound_s)


def streaming_gap(clips: Sequence[SpeechClip], folder: Path) -> float:
    """Largest difference between embeddings of a whole clip and of blocks of uneven lengths."""
    whole, pieces = StreamingAudioEncoder(folder), StreamingAudioEncoder(folder)
    rng = np.random.default_rng(SEED)
    gap = 0.0
    for clip in clips:
        samples = clip.samples(whole.sample_rate_hz)
        whole.reset()
        pieces.reset()
        at_once = [embedding for _, embedding in whole.push(0, samples)]
        streamed: list[FloatArray] = []
        place = 0
        while place < len(samples):
            length = int(rng.integers(1, 2000))
            block = samples[place : place + length]
            streamed += [embedding for _, embedding in pieces.push(place, block)]
            place += length
        if len(streamed) != len(at_once):
            return float("inf")
        if streamed:
            gap = max(gap, float(np.abs(np.stack(streamed) - np.stack(at_once)).max()))
    return gap


def project_labels(clips: Sequence[SpeechClip], card: Card) -> npt.NDArray[np.int64]:
    """Index of each clip's label among the project's seven, by the card's map."""
    place = {own: LABELS.index(name) for name, owns in card.label_map.items() for own in owns}
    return np.array([place[clip.label] for clip in clips], np.int64)


def evaluate_speech(data_dir: Path, split: str, out_dir: Path, models_dir: Path) -> Report:
    """Measures the speech encoder and its pooled head.

    Raises:
        CorpusError: nothing of the part is there.
        WeightsMissing: the model is not there.
    """
    folder = models_dir / "compact-speech"
    card = StreamingAudioEncoder(folder).card
    report = Report.of("speech", split, card)
    clips = clips_of(data_dir, split, card)
    heard = hear(clips, folder)
    _add_absent(report, heard, speakers_of(split, card))
    corpus, speaker = heard.column("corpus"), heard.column("speaker")
    truth = np.array([card.labels.index(clip.label) for clip in heard.clips], np.int64)
    competing = _only_own_classes(heard, card)
    prediction = competing.argmax(axis=1).astype(np.int64)
    for name in dict.fromkeys(corpus):
        rows = corpus == name
        on = f"{name} ({_LANGUAGE[name]}), {len(set(speaker[rows]))} unheard speakers"
        own = _CORPUS_LABELS[name]
        report.measure(
            on, f"UAR, {len(own)} classes", unweighted_average_recall, truth[rows],
            prediction[rows], unit="speakers", groups=speaker[rows], goal=_GOALS[name],
        )  # fmt: skip
        report.measure(
            on, "accuracy", accuracy, truth[rows], prediction[rows], unit="speakers",
            groups=speaker[rows],
        )  # fmt: skip
        report.measure(
            on, f"accuracy, {len(card.labels)} classes compete", accuracy, truth[rows],
            heard.logits.argmax(axis=1)[rows], unit="speakers", groups=speaker[rows],
        )  # fmt: skip
        sex = np.array([sex_of(one) for one in speaker])
        for which in ("women", "men"):
            chosen = rows & (sex == which)
            report.measure(
                f"{on}, {which}", "UAR", unweighted_average_recall, truth[chosen],
                prediction[chosen], unit="speakers", groups=speaker[chosen],
            )  # fmt: skip
        add_recalls(report, on, card.labels, truth[rows], prediction[rows], unit="clips")
        stem = f"speech-{split}-{name}-confusion.png"
        order = [card.labels.index(label) for label in own]
        place = {label: index for index, label in enumerate(order)}
        report.pictures.append(
            pictures.confusion(
                out_dir / stem, on, own,
                np.array([place[int(one)] for one in truth[rows]]),
                np.array([place[int(one)] for one in prediction[rows]]),
            )
        )  # fmt: skip
    _add_seven(report, heard, card, out_dir, split)
    report.add(
        "same sound in blocks of uneven lengths and at once", "largest difference",
        streaming_gap(heard.clips[:: max(1, len(heard.clips) // _STREAMED_CLIPS)], folder),
        n=min(len(heard.clips), _STREAMED_CLIPS), goal=Goal(1e-4, False),
    )  # fmt: skip
    report.add(
        "one second of sound", "ms of compute", 1000 * heard.compute, n=len(heard.clips),
        goal=Goal(15, False),
    )  # fmt: skip
    report.notes.append(
        "A corpus that taught nothing needs networks that are not shipped, as do folds over all "
        "speakers: realtime-er train speech --cv makes them, --split folds reads what they say."
    )
    return report


def _add_absent(report: Report, heard: Heard, wanted: Sequence[str]) -> None:
    """Says who of the part is not there, and how many clips could not be heard."""
    absent = [one for one in wanted if one not in set(heard.column("speaker"))]
    if absent:
        report.notes.append(f"Not measured, no clip there: {', '.join(absent)}.")
    if heard.left_out:
        report.notes.append(
            f"{len(heard.left_out)} clips left out; the first: {heard.left_out[0]}."
        )


def _only_own_classes(heard: Heard, card: Card) -> npt.NDArray[np.float64]:
    """Logits float64 [N, C] with minus infinity for classes that a clip's corpus lacks."""
    allowed = np.array(
        [[label in _CORPUS_LABELS[clip.corpus] for label in card.labels] for clip in heard.clips]
    )
    return np.where(allowed, heard.logits.astype(np.float64), -np.inf)


def _add_seven(report: Report, heard: Heard, card: Card, out_dir: Path, split: str) -> None:
    """The project's seven columns, as the live program reads a voice alone."""
    seven = card.to_project_labels(softmax(heard.logits.astype(np.float64)))
    truth = project_labels(heard.clips, card)
    prediction = seven.argmax(axis=1).astype(np.int64)
    speaker = heard.column("speaker")
    on = "all, the project's seven"
    report.measure(
        on, "UAR", unweighted_average_recall, truth, prediction, unit="speakers", groups=speaker
    )
    report.measure(on, "accuracy", accuracy, truth, prediction, unit="speakers", groups=speaker)
    gap = expected_calibration_error(truth, seven)
    report.add(on, "expected calibration error", gap, n=len(truth), note="raw softmax")
    report.pictures += [
        pictures.confusion(
            out_dir / f"speech-{split}-seven-confusion.png", on, LABELS, truth, prediction
        ),
        pictures.reliability(
            out_dir / f"speech-{split}-reliability.png", "speech encoder", {on: (truth, seven)}
        ),
    ]
