"""Small corpora laid out exactly like the distributed ones.

Every builder takes ``write``, which makes one media file; by default a stub, since readers only
look at names. Tests that extract features give one that writes real media.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Write = Callable[[Path], None]


def stub(path: Path) -> None:
    path.write_bytes(b"stub")


def put(path: Path, write: Write) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)


def put_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


IEMOCAP_CODES = ("neu", "hap", "sad", "ang", "exc", "fru", "xxx", "sur")


def iemocap(root: Path, *, dialogues: int = 2, write: Write = stub) -> Path:
    """Five sessions; each dialogue has an utterance of every code, actors in turn."""
    for session in range(1, 6):
        for number in range(1, dialogues + 1):
            name = f"Ses{session:02d}{'FM'[number % 2]}_impro{number:02d}"
            at = root / f"Session{session}"
            labels = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
            words = []
            for index, code in enumerate(IEMOCAP_CODES):
                start = 6.2901 + 3 * index
                utterance = f"{name}_{'FM'[index % 2]}{index:03d}"
                labels += [
                    f"[{start:.4f} - {start + 1.9456:.4f}]\t{utterance}\t{code}\t[2.5000, 2.5000, 2.5000]",
                    "C-E2:\tNeutral;\t()",
                    "A-E3:\tval 3; act 2; dom  2;\t()",
                    "",
                ]
                words.append(
                    f"{utterance} [{start:08.4f}-{start + 1.9456:08.4f}]: Word {index}: said."
                )
                put(at / "sentences" / "wav" / name / f"{utterance}.wav", write)
            words.append("M: a turn that was never cut out")
            put_text(at / "dialog" / "EmoEvaluation" / f"{name}.txt", "\n".join(labels))
            # Archives made on a Mac carry these beside the real ones.
            put_text(at / "dialog" / "EmoEvaluation" / f"._{name}.txt", "\x00Mac OS X")
            put_text(at / "dialog" / "EmoEvaluation" / "Categorical" / f"{name}_e2_cat.txt", "x")
            put_text(at / "dialog" / "transcriptions" / f"{name}.txt", "\n".join(words))
            put(at / "dialog" / "avi" / "DivX" / f"{name}.avi", write)
    return root


MOSEI_VIDEOS = ("--qXJuDtHPw", "-3g5yACwYnA", "03bSnISJMiM", "0bxhZ-LIfZY")
MOSEI_PARTS = {"train": MOSEI_VIDEOS[:2], "val": MOSEI_VIDEOS[2:3], "test": MOSEI_VIDEOS[3:]}
MOSEI_SCORES: Sequence[Sequence[float]] = (
    (1.0, 0.667, 0.0, 0.0, 0.0, 0.0, 0.0),  # happy
    (-1.0, 0.0, 0.333, 1.0, 0.0, 0.333, 0.0),  # anger, then sad and disgust
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),  # none
)


def mosei(root: Path, *, segmented: bool = True, nested: bool = True, write: Write = stub) -> Path:
    """Four videos of three segments and one more that has no label."""
    import h5py

    raw = root / "Raw" if nested else root
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        data = file.create_group("All Labels").create_group("data")
        file["All Labels"].create_group("metadata")
        for video in MOSEI_VIDEOS:
            starts = np.arange(len(MOSEI_SCORES)) * 5.0 + 0.00049
            entry = data.create_group(video)
            entry["intervals"] = np.stack([starts, starts + 4.5], axis=1).astype(np.float32)
            entry["features"] = np.array(MOSEI_SCORES, np.float32)
    folds = [
        f"standard_{name}_fold={list(MOSEI_PARTS[part])!r}"
        for name, part in (("train", "train"), ("valid", "val"), ("test", "test"))
    ]
    put_text(root / "cmu_mosei_std_folds.py", "\n".join(folds) + "\n")
    for video in MOSEI_VIDEOS:
        lines = []
        for clip in range(len(MOSEI_SCORES) + 1):
            lines.append(f"{video}___{clip}___{clip * 5.0}___{clip * 5.0 + 4.5}___words of {clip}")
            if segmented:
                put(raw / "Videos" / "Segmented" / "Combined" / f"{video}_{clip}.mp4", write)
        put_text(raw / "Transcript" / "Segmented" / "Combined" / f"{video}.txt", "\n".join(lines))
        if not segmented:
            put(raw / "Videos" / "Full" / "Combined" / f"{video}.mp4", write)
    return root


MELD_HEAD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,"
    "StartTime,EndTime\n"
)
MELD_EMOTIONS = ("neutral", "joy", "sadness", "surprise", "fear", "disgust", "anger")
MELD_FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}


def meld(root: Path, *, nested: bool = False, per_label: int = 1, write: Write = stub) -> Path:
    """Three parts, one dialogue per label and repetition; ``nested`` is another unpacking."""
    for part, folder in MELD_FOLDERS.items():
        at = root / part if nested else root
        lines = []
        for repetition in range(per_label):
            for index, emotion in enumerate(MELD_EMOTIONS):
                utterance = index + len(MELD_EMOTIONS) * repetition
                lines.append(
                    f'{utterance + 1},"Oh, I\x92m {emotion}",Ross,{emotion},neutral,'
                    f'0,{utterance},4,7,"00:20:57,256","00:21:00,049"'
                )
                put(at / folder / f"dia0_utt{utterance}.mp4", write)
        put(at / folder / "._dia0_utt0.mp4", stub)
        put_text(at / f"{part}_sent_emo.csv", MELD_HEAD + "\n".join(lines) + "\n")
    return root


AFEW_FOLDERS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


def afew(root: Path, *, per_label: int = 2, write: Write = stub) -> Path:
    number = 46280
    for part in ("Train_AFEW", "Val_AFEW"):
        for label in AFEW_FOLDERS:
            for _ in range(per_label):
                put(root / part / label / f"{number:09d}.avi", write)
                number += 40
        put_text(root / part / "AlignedFaces_LBPTOP_Points" / "readme.txt", "x")
    return root


def ravdess(root: Path, *, actors: Sequence[int] = range(1, 25), zipped: bool = False,
            write: Write = stub) -> Path:  # fmt: skip
    """Each actor says both sentences once per emotion, with and without sound, and sings one."""
    for actor in actors:
        at = root / f"Video_Speech_Actor_{actor:02d}" if zipped else root
        folder = at / f"Actor_{actor:02d}"
        for emotion in range(1, 9):
            for sentence in (1, 2):
                for kind in ("01", "02"):
                    name = f"{kind}-01-{emotion:02d}-01-{sentence:02d}-01-{actor:02d}.mp4"
                    put(folder / name, write)
        put(folder / f"01-02-03-01-01-01-{actor:02d}.mp4", write)
    return root


def speech(root: Path, *, write: Write = stub) -> Path:
    """RAVDESS speech and EMO-DB, sound alone."""
    for actor in (1, 2, 14, 24):
        for emotion in range(1, 9):
            name = f"03-01-{emotion:02d}-01-02-01-{actor:02d}.flac"
            put(root / "ravdess_speech" / f"Actor_{actor:02d}" / name, write)
    for speaker in ("03", "10", "16"):
        for code in "NFTWAEL":
            put(root / "emodb" / f"{speaker}a01{code}a.flac", write)
    return root
