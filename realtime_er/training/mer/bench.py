"""Corpora of one set of encoders, and heads trained and scored on them; what experiments share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from realtime_er.errors import CorpusError
from realtime_er.messages import MODALITIES
from realtime_er.training.corpora.label_schemes import SCHEMES, LabelScheme
from realtime_er.training.features import Features, joint_encoders, load_features
from realtime_er.training.mer import published
from realtime_er.training.mer.data import Material
from realtime_er.training.mer.fit import fit_head
from realtime_er.training.mer.recipe import MerRecipe
from realtime_er.training.mer.tables import Value
from realtime_er.training.mer.train import Parts, scheme_for, score, split_parts


@dataclass
class Bench:
    """Corpora of one set of encoders, and how heads are trained on them.

    Attributes:
        name: of the set; a corpus' short name where the encoders were tuned on it.
        corpora: short name to features, in the order of the tables.
        recipe: how heads are trained; its seed is replaced by each of ``seeds``.
        seeds: one head each.
        device: torch's name of where to run.
        labels: classes for everything; None for those that the publication uses.
        modalities: those that are read.
        published_split: see ``split_parts``.
        resamples: for intervals.
        say: called with a sentence before each fit.
    """

    name: str
    corpora: dict[str, Features]
    recipe: MerRecipe = field(default_factory=MerRecipe)
    seeds: tuple[int, ...] = (1,)
    device: str = "cpu"
    labels: LabelScheme | None = None
    modalities: tuple[str, ...] = MODALITIES
    published_split: bool = False
    resamples: int = 1000
    say: Callable[[str], None] | None = None

    def common(self) -> LabelScheme:
        """The classes that corpora share in experiments over several."""
        return self.labels or SCHEMES["seven"]

    def own(self, corpus: str) -> LabelScheme:
        """The classes of a corpus by itself."""
        return self.labels or scheme_for([self.corpora[corpus]])

    def parts(self, names: Sequence[str], scheme: LabelScheme) -> Parts:
        """Parts of some corpora, joined."""
        return split_parts(
            [self.corpora[name] for name in names],
            scheme,
            self.modalities,
            published_split=self.published_split,
        )

    def scores(
        self,
        what: str,
        parts: Parts,
        tests: dict[str, Material | None],
        scheme: LabelScheme,
        **changes: Any,  # noqa: ANN401 - settings of the recipe
    ) -> dict[str, list[dict[str, Any]]]:
        """Trains a head for every seed and scores each on every test part.

        A test part is read with the modalities that the head has seen; one of which nothing is
        left, or that there is not, has no scores.
        """
        seen = [m for column, m in enumerate(MODALITIES) if parts.train.mask[:, column].any()]
        read = {
            name: None
            if test is None
            else test.with_modalities(seen).with_sizes(parts.train.sizes())
            for name, test in tests.items()
        }
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in tests}
        for place, seed in enumerate(self.seeds):
            if self.say is not None:
                self.say(f"{self.name}: {what}, seed {seed}, {len(parts.train)} clips")
            recipe = replace(self.recipe, seed=seed, subset_heads=False, **changes)
            fitted = fit_head(
                parts.train, parts.val, recipe, multi=scheme.multi, device=self.device
            )
            for name, test in read.items():
                if test is not None and len(test):
                    resamples = self.resamples if place == 0 else 0
                    found[name].append(
                        score(fitted.net, test, multi=scheme.multi, resamples=resamples)
                    )
        return found


def value_of(
    runs: Sequence[dict[str, Any]], column: str, published_percent: float | None = None
) -> Value:
    """One column of scores over seeds."""
    if not runs:
        return Value(None, published_percent)
    return Value.of(
        [run["metrics"][column] for run in runs],
        published_percent,
        interval_95=runs[0]["interval_95"].get(column),
        n=runs[0]["n"],
    )


def title(corpus: str) -> str:
    """How tables call a corpus, or a set of encoders."""
    return published.TITLES.get(corpus, corpus)


def find_feature_sets(folder: Path) -> dict[str, dict[str, Features]]:
    """Files of features under a folder, by the set of encoders.

    Args:
        folder: holds ``CORPUS.npz``, or ``ENCODERS/CORPUS.npz``, or both.

    Returns:
        Name of the set (of its folder, in small letters) to corpus to features, both in the order
        of the publication's tables, then by name.

    Raises:
        CorpusError: there are none, two files of a folder hold one corpus, or one cannot be read.
        SpecMismatch: files of one folder were described by different encoders.
    """
    found: dict[str, dict[str, Features]] = {}
    subfolders = (
        sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )
    for place in (folder, *subfolders):
        corpora: dict[str, Features] = {}
        for path in sorted(place.glob("*.npz")) if not place.name.endswith(".parts") else ():
            features = load_features(path)
            if features.corpus in corpora:
                raise CorpusError(f"{path}: {features.corpus} stands twice in {place}")
            corpora[features.corpus] = features
        if corpora:
            joint_encoders(list(corpora.values()))
            found[place.name.lower()] = dict(sorted(corpora.items(), key=lambda one: _rank(one[0])))
    if not found:
        raise CorpusError(
            f"{folder}: no CORPUS.npz and no ENCODERS/CORPUS.npz; write them with: realtime-er extract"
        )
    return dict(sorted(found.items(), key=lambda one: _rank(one[0])))


def _rank(name: str) -> tuple[int, str]:
    known = list(published.TITLES)
    return (known.index(name) if name in known else len(known), name)
