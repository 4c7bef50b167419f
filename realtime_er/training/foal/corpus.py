"""The clips that Foal-Net learns from: IEMOCAP with four classes, in folds by session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.fusion.foal import CLASSES
from realtime_er.training.corpora.iemocap import read_iemocap
from realtime_er.training.corpora.layout import stable_share
from realtime_er.training.corpora.manifest import ManifestRow, Skipped
from realtime_er.training.corpora.scp import read_scp, session_of

_CLASSES = {"hap": "Happy", "neu": "Neutral", "sad": "Sad", "ang": "Angry"}
_EXCITED = "exc"


@dataclass(frozen=True)
class FoalClip:
    """An utterance with its class (place in ``fusion.foal.CLASSES``) and its session."""

    row: ManifestRow
    label: int
    session: int

    @property
    def name(self) -> str:
        """The utterance's name, "Ses01F_impro01_F000"."""
        return self.row.id.rpartition("/")[2]


@dataclass(frozen=True)
class FoalCorpus:
    """What was read.

    Attributes:
        root: where the rows' files begin.
        clips: the utterances of the four classes.
        left_out: own label to how many utterances have none of the four.
        skipped: what the reader passed by, and why.
    """

    root: Path
    clips: tuple[FoalClip, ...]
    left_out: dict[str, int]
    skipped: tuple[Skipped, ...]

    @property
    def sessions(self) -> tuple[int, ...]:
        """Sessions that are there, in order."""
        return tuple(sorted({clip.session for clip in self.clips}))


@dataclass(frozen=True)
class Fold:
    """Indices of clips: what is learned, what chooses the epoch, what is reported."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


def read_foal_corpus(data: Path, *, excited: bool = True) -> FoalCorpus:
    """Reads IEMOCAP as distributed, or a list of utterances.

    Args:
        data: folder with ``Session1`` to ``Session5``, or a ``.scp`` file.
        excited: whether Excited counts as Happy, as in the usual 5,531 utterances; otherwise it
            is left out.

    Raises:
        CorpusError: the layout is another, a line is wrong, or no utterance is left.
    """
    skipped: tuple[Skipped, ...] = ()
    if data.suffix == ".scp" or data.is_file():
        root, rows = data.parent, read_scp(data)
    else:
        listing = read_iemocap(data)
        root, rows, skipped = data, listing.rows, listing.skipped
    classes = {**_CLASSES, _EXCITED: "Happy"} if excited else _CLASSES
    clips = []
    left_out: Counter[str] = Counter()
    for row in rows:
        name = classes.get(row.native[0])
        session = session_of(row.id.rpartition("/")[2])
        if name is None or session is None:
            left_out[row.native[0]] += 1
            continue
        clips.append(FoalClip(row, CLASSES.index(name), session))
    if not clips:
        raise CorpusError(f"{data}: no utterance has one of the labels {', '.join(classes)}")
    return FoalCorpus(root, tuple(clips), dict(left_out), skipped)


def make_fold(
    clips: tuple[FoalClip, ...] | list[FoalClip],
    test_session: int,
    *,
    validation: float = 0.1,
    published_split: bool = False,
) -> Fold:
    """One fold of the five: a session is the test part.

    Args:
        clips: of all sessions.
        test_session: its number.
        validation: share of the other sessions' dialogues that chooses the epoch.
        published_split: the test session chooses the epoch as well, as the published figures do.

    Raises:
        CorpusError: a part would be empty.
    """
    test = tuple(i for i, clip in enumerate(clips) if clip.session == test_session)
    rest = [i for i, clip in enumerate(clips) if clip.session != test_session]
    if published_split:
        fold = Fold(tuple(rest), test, test)
    else:
        groups = [clips[i].row.group for i in rest]
        least = 1.0 / max(1, len(set(groups)))
        chosen = stable_share(groups, max(validation, least))
        fold = Fold(
            tuple(i for i in rest if clips[i].row.group not in chosen),
            tuple(i for i in rest if clips[i].row.group in chosen),
            test,
        )
    for name, part in (("train", fold.train), ("validation", fold.val), ("test", fold.test)):
        if not part:
            there = sorted({clip.session for clip in clips})
            raise CorpusError(
                f"session {test_session} as test leaves the {name} part empty; there are clips of "
                f"the sessions {', '.join(map(str, there))}"
            )
    return fold
