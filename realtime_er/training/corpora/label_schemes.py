"""What a corpus' own labels mean for a model: class lists and maps, built in or from a file.

A file is TOML or JSON::

    classes = ["Neutral", "Happy", "Sad"]
    multi = false                 # true: a clip may have several labels, or none

    [map.iemocap]
    neu = "Neutral"
    exc = "Happy"
    fru = ""                      # left out
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS
from realtime_er.training.corpora.manifest import ManifestRow

NO_EMOTION = "none"
"""Own label of a multi-label clip in which no emotion was heard or seen."""


@dataclass(frozen=True)
class LabelScheme:
    """A model's classes and how each corpus' labels become them.

    Attributes:
        name: for messages and cards.
        classes: in the order of the model's outputs.
        multi: whether a clip may have several classes, or none.
        maps: corpus to own label to class; an empty class leaves the label out.
    """

    name: str
    classes: tuple[str, ...]
    multi: bool
    maps: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise CorpusError(f"labels {self.name}: needs two or more classes, each once")
        for corpus, table in self.maps.items():
            for native, target in table.items():
                if target and target not in self.classes:
                    raise CorpusError(
                        f"labels {self.name}: {corpus} {native!r} becomes {target!r}, which is "
                        f"none of {', '.join(self.classes)}"
                    )

    def classes_of(self, row: ManifestRow) -> tuple[int, ...] | None:
        """Class indices of a clip.

        Returns:
            One index; with ``multi`` any number, sorted. None where the clip is left out: its
            label (its strongest one, in a single-label scheme) maps to nothing.

        Raises:
            CorpusError: the corpus or a label is not in the map.
        """
        table = self.maps.get(row.corpus)
        if table is None:
            raise CorpusError(
                f"labels {self.name}: no map for corpus {row.corpus!r} (there are "
                f"{', '.join(sorted(self.maps))}); add [map.{row.corpus}] to a label file"
            )
        for native in row.native:
            if native not in table:
                raise CorpusError(
                    f"labels {self.name}: {row.id} has the label {native!r}, which is not in the "
                    f'map of {row.corpus} ({", ".join(table)}); add it, or map it to ""'
                )
        targets = [table[native] for native in row.native]
        if self.multi:
            return tuple(sorted({self.classes.index(target) for target in targets if target}))
        return (self.classes.index(targets[0]),) if targets[0] else None


@dataclass(frozen=True)
class LabelledRows:
    """Rows with their classes, and how many rows of each own label were left out."""

    rows: tuple[ManifestRow, ...]
    classes: tuple[tuple[int, ...], ...]
    left_out: dict[str, int] = field(default_factory=dict)


def apply_scheme(scheme: LabelScheme, rows: Iterable[ManifestRow]) -> LabelledRows:
    """Labels every row, leaving out those that the scheme leaves out.

    Raises:
        CorpusError: a corpus or label is not in the scheme's map.
    """
    kept: list[ManifestRow] = []
    classes: list[tuple[int, ...]] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        own = scheme.classes_of(row)
        if own is None:
            left_out[f"{row.corpus}:{row.native[0]}"] += 1
        else:
            kept.append(row)
            classes.append(own)
    return LabelledRows(tuple(kept), tuple(classes), dict(left_out))


_MELD = {
    "neutral": "Neutral",
    "joy": "Happy",
    "sadness": "Sad",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "anger": "Angry",
}
_MOSEI = {
    "happy": "Happy",
    "sad": "Sad",
    "anger": "Angry",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
}
_IEMOCAP = {
    "neu": "Neutral",
    "hap": "Happy",
    "sad": "Sad",
    "ang": "Angry",
    "exc": "Excited",
    "fru": "Frustrated",
    # Not among the six published classes.
    "sur": "",
    "fea": "",
    "dis": "",
    "oth": "",
    "xxx": "",
}
_ACTED = {
    "neutral": "Neutral",
    "happy": "Happy",
    "sad": "Sad",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "angry": "Angry",
}

SCHEMES: dict[str, LabelScheme] = {
    scheme.name: scheme
    for scheme in (
        # How MER folds IEMOCAP and MOSEI into seven classes is not published; this is the likely
        # way, and a file can say otherwise.
        LabelScheme(
            "seven",
            LABELS,
            multi=False,
            maps={
                "meld": _MELD,
                "afew": {name: name for name in LABELS},
                "iemocap": {**_IEMOCAP, "exc": "Happy", "fru": ""},
                "mosei": {**_MOSEI, NO_EMOTION: "Neutral"},
                "ravdess": {**_ACTED, "calm": "Neutral"},
                "emodb": {
                    **{name: _ACTED[name] for name in _ACTED if name != "surprise"},
                    "boredom": "Neutral",
                },
            },
        ),
        LabelScheme(
            "iemocap6",
            ("Neutral", "Happy", "Sad", "Angry", "Excited", "Frustrated"),
            multi=False,
            maps={"iemocap": _IEMOCAP},
        ),
        LabelScheme(
            "mosei6",
            ("Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust"),
            multi=True,
            maps={"mosei": {**_MOSEI, NO_EMOTION: ""}},
        ),
    )
}
"""Built-in schemes by name."""


def load_scheme(name_or_path: str | Path) -> LabelScheme:
    """A built-in scheme by name, or one from a TOML or JSON file.

    Raises:
        CorpusError: there is no such scheme or file, or the file does not hold one.
    """
    if str(name_or_path) in SCHEMES:
        return SCHEMES[str(name_or_path)]
    path = Path(name_or_path)
    if not path.is_file():
        raise CorpusError(
            f"{path}: no such label scheme or file; built in are {', '.join(SCHEMES)}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read: {error}") from error
    return _parsed(path, raw)


def _parsed(path: Path, raw: object) -> LabelScheme:
    if not isinstance(raw, dict) or set(raw) - {"classes", "multi", "map"}:
        raise CorpusError(f"{path}: a label file holds classes, multi and [map.CORPUS] only")
    classes, multi, maps = raw.get("classes"), raw.get("multi", False), raw.get("map")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise CorpusError(f"{path}: classes must be a list of names")
    if not isinstance(multi, bool):
        raise CorpusError(f"{path}: multi must be true or false, not {multi!r}")
    if not isinstance(maps, dict) or not maps:
        raise CorpusError(f"{path}: has no [map.CORPUS]")
    for corpus, table in maps.items():
        if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
            raise CorpusError(f'{path}: [map.{corpus}] must give a class, or "", to each label')
    return LabelScheme(path.stem, tuple(classes), multi, maps)
