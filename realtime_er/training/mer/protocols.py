"""The publication's experiments over files of features, as its tables with its figures beside.

    single     each corpus by itself, without and with weighted loss
    cross      trained on each corpus, tested on every one
    multi      trained on all, tested on each
    loco       one corpus left out: scored on the others' test parts, and on the one left out
    ablation   without one modality: zeroed at the test (S1), or trained without it (S2)

Features lie as ``DIR/CORPUS.npz``, or where several encoders are compared as
``DIR/ENCODERS/CORPUS.npz``; such a folder named after a corpus holds that corpus' own encoders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from realtime_er.errors import ConfigError, CorpusError
from realtime_er.messages import MODALITIES
from realtime_er.training.corpora.label_schemes import LabelScheme
from realtime_er.training.features import joint_encoders
from realtime_er.training.mer import published
from realtime_er.training.mer.bench import Bench, find_feature_sets, title, value_of
from realtime_er.training.mer.data import Material
from realtime_er.training.mer.encoders import choose_device
from realtime_er.training.mer.recipe import MerRecipe
from realtime_er.training.mer.tables import Cell, Table, Value, mean_value
from realtime_er.training.mer.train import Parts, scheme_for

PROTOCOLS = ("single", "cross", "multi", "loco", "ablation")

_LETTERS = {"audio": "A", "face": "V", "text": "T"}
Line = published.Line
_NOTHING: Cell = (Value(),)


def single_corpus(bench: Bench) -> list[Table]:
    """Each corpus by itself, under other methods' published figures."""
    tables = []
    for corpus in bench.corpora:
        scheme = bench.own(corpus)
        parts = bench.parts([corpus], scheme)
        # With other classes than the publication's, its figures say nothing.
        comparable = (
            corpus in published.SINGLE
            and scheme.classes == scheme_for([bench.corpora[corpus]]).classes
        )
        columns = published.SINGLE_COLUMNS["mosei" if scheme.multi else "meld"]
        rows: list[tuple[str, list[Cell]]] = [
            (name, [(Value(None, figure),) for figure in line])
            for name, line in published.OTHERS.get(corpus, ())
            if comparable
        ]
        for name, weighted in (("w/o WL", False), ("WL", True)):
            runs = bench.scores(
                f"{corpus} {name}", parts, {"test": parts.test}, scheme, class_weights=weighted
            )
            line: Line = published.SINGLE[corpus][name] if comparable else (None,) * len(columns)
            cells: list[Cell] = [
                (value_of(runs["test"], column, figure),)
                for column, figure in zip(columns, line, strict=True)
            ]
            rows.append((f"Ours {name}", cells))
        notes = [_told_clips(corpus, parts), f"Labels: {', '.join(scheme.classes)}."]
        tables.append(Table(f"{title(corpus)}, single corpus", corpus, columns, rows, notes))
    return tables


def cross_corpus(bench: Bench) -> list[Table]:
    """UAR of a head trained on one corpus (row) on the test part of every corpus."""
    names, scheme = _several(bench, "cross"), bench.common()
    parts = {name: bench.parts([name], scheme) for name in names}
    tests = {name: one.test for name, one in parts.items()}
    grid: dict[str, dict[str, Value]] = {}
    for trained in names:
        runs = bench.scores(f"cross, trained on {trained}", parts[trained], tests, scheme)
        known = published.CROSS.get(trained, {})
        grid[trained] = {on: value_of(runs[on], "UAR", known.get(on)) for on in names}
    rows: list[tuple[str, list[Cell]]] = []
    for trained in names:
        others = [grid[trained][on] for on in names if on != trained]
        mean = mean_value(others, published.CROSS_ROW_MEANS.get(trained))
        rows.append((title(trained), [*((grid[trained][on],) for on in names), (mean,)]))
    last: list[Cell] = []
    for on in names:
        told = published.CROSS_COLUMN_MEANS.get(on, (None, None))
        mean = mean_value([grid[trained][on] for trained in names if trained != on], told[0])
        own = grid[on][on].here
        above = None if own is None or mean.here is None else own - mean.here
        last.append((mean, Value(above, told[1])))
    rows.append(("avg / Δ", [*last, _NOTHING]))
    columns = (*(title(name) for name in names), "avg")
    notes = [
        "UAR; a row's mean and a column's leave the diagonal out, Δ is how far that is above.",
        f"Labels: {', '.join(scheme.classes)}. The publication does not say which it used here.",
    ]
    return [Table("Cross-corpus, single-corpus models", "trained on", columns, rows, notes)]


def multi_corpus(bench: Bench) -> list[Table]:
    """UAR of one head trained on all corpora, on the test part of each."""
    names, scheme = _several(bench, "multi"), bench.common()
    tests = {name: bench.parts([name], scheme).test for name in names}
    runs = bench.scores("multi, trained on all", bench.parts(names, scheme), tests, scheme)
    cells: list[Cell] = [(value_of(runs[name], "UAR"),) for name in names]
    columns = tuple(title(name) for name in names)
    notes = ["UAR; corpora are joined as they are, large ones weigh more."]
    rows = [(title(bench.name), cells)]
    return [Table("Multi-corpus, trained on all", "encoders", columns, rows, notes)]


def leave_one_out(bench: Bench) -> list[Table]:
    """One corpus left out: UAR on the others' test parts, and on the one left out."""
    names, scheme = _several(bench, "loco"), bench.common()
    cells: list[Cell] = []
    for out in names:
        if out == bench.name:
            cells.append(_NOTHING)  # its encoders have seen the corpus that would be left out
            continue
        parts = bench.parts([name for name in names if name != out], scheme)
        tests = {"without": parts.test, "on": bench.parts([out], scheme).test}
        runs = bench.scores(f"loco, without {out}", parts, tests, scheme)
        known = published.LOCO.get(bench.name, {}).get(out, (None, None))
        cells.append(
            (value_of(runs["without"], "UAR", known[0]), value_of(runs["on"], "UAR", known[1]))
        )
    columns = tuple(title(name) for name in names)
    notes = [
        "UAR, w/o / LOCO: on the joined test parts of the corpora trained on, and on the test part "
        "of the corpus left out.",
        f"Labels: {', '.join(scheme.classes)}.",
    ]
    rows = [(title(bench.name), cells)]
    return [Table("Leave one corpus out", "encoders", columns, rows, notes)]


def ablation(bench: Bench) -> list[Table]:
    """Recalls without one modality, in both set-ups, and hidden by the mask as in live use."""
    tables = []
    for corpus in bench.corpora:
        scheme = bench.own(corpus)
        parts = bench.parts([corpus], scheme)
        there = [m for column, m in enumerate(MODALITIES) if parts.train.mask[:, column].any()]
        order = published.ABLATION_COLUMNS.get(corpus, ())
        names = order if set(order) == set(scheme.classes) else scheme.classes
        known = published.ABLATION.get(corpus, {}) if names == order else {}
        told = "".join(letter for name, letter in _LETTERS.items() if name in there)
        removable = [name for name in _LETTERS if name in there] if len(there) > 1 else []
        tests: dict[str, Material | None] = {told: parts.test}
        if parts.test is not None:
            for name in removable:
                tests[f"S1 w/o {_LETTERS[name]}"] = parts.test.with_zeros(name)
            for name in removable:
                kept = [one for one in there if one != name]
                tests[f"hidden {_LETTERS[name]}"] = parts.test.with_modalities(kept)
        runs = bench.scores(f"{corpus}, all modalities", parts, tests, scheme)
        for name in removable:
            own = parts.with_modalities([one for one in there if one != name])
            key = f"S2 w/o {_LETTERS[name]}"
            runs |= bench.scores(f"{corpus}, {key}", own, {key: own.test}, scheme)
        rows = [
            (key, _recalls(runs[key], scheme, names, known.get(key)))
            for key in sorted(runs, key=lambda key: key.startswith("hidden"))
        ]
        notes = [
            "Recall of each class and UAR. S1: the same head, the modality's vector set to zero; "
            "S2: trained without it; hidden: the same head, told that it is absent.",
            _told_clips(corpus, parts),
        ]
        columns = (*(name[:3] for name in names), "UAR")
        tables.append(Table(f"{title(corpus)}, modalities", corpus, columns, rows, notes))
    return tables


def _recalls(
    runs: Sequence[dict[str, Any]],
    scheme: LabelScheme,
    names: Sequence[str],
    known: Sequence[float | None] | None,
) -> list[Cell]:
    figures = known if known is not None else [None] * (len(names) + 1)
    cells: list[Cell] = [
        (Value.of([run["recalls"][scheme.classes.index(name)] for run in runs], figure),)
        for name, figure in zip(names, figures, strict=False)
    ]
    return [*cells, (value_of(runs, "UAR", figures[-1]),)]


def _several(bench: Bench, protocol: str) -> list[str]:
    if len(bench.corpora) < 2:
        only = ", ".join(bench.corpora)
        raise CorpusError(f"{protocol} needs two corpora or more; there is only {only}")
    return list(bench.corpora)


def _told_clips(corpus: str, parts: Parts) -> str:
    counts = (len(parts.train), len(parts.val), 0 if parts.test is None else len(parts.test))
    told = "train {}, val {}, test {} clips".format(*counts)
    if corpus in published.SIZES:
        told += " (published: {}, {}, {})".format(*published.SIZES[corpus])
    left = parts.train.left_out
    return told + (f"; left out of train: {left}" if left else "") + "."


_RUN: dict[str, Callable[[Bench], list[Table]]] = {
    "single": single_corpus,
    "cross": cross_corpus,
    "multi": multi_corpus,
    "loco": leave_one_out,
    "ablation": ablation,
}

_BY_ENCODERS = ("multi", "loco")
"""Experiments with one row for each set of encoders."""


def run_mer(
    features_dir: str | Path,
    protocol: str,
    out_dir: str | Path,
    *,
    recipe: MerRecipe | None = None,
    seeds: Sequence[int] = (1,),
    labels: LabelScheme | None = None,
    modalities: Sequence[str] = MODALITIES,
    device: str = "auto",
    published_split: bool = False,
    resamples: int = 1000,
    say: Callable[[str], None] | None = None,
) -> str:
    """Runs one experiment and writes ``mer-PROTOCOL.md`` and ``mer-PROTOCOL.json``.

    Args:
        features_dir: files of features, see the module.
        protocol: one of ``PROTOCOLS``.
        out_dir: receives the two files; made if it is not there.
        recipe: how heads are trained; its seed is not used.
        seeds: a head is trained for each; tables then give mean and standard deviation.
        labels: classes for everything; None for those that the publication uses.
        modalities: those that are read.
        device: torch's name of where to train, or "auto".
        published_split: AFEW's validation part both chooses the epoch and is scored, as published.
        resamples: for 95 % intervals, which stand in the JSON file.
        say: called with a sentence before each fit.

    Returns:
        The tables as Markdown: bold is measured here, in brackets is published.

    Raises:
        ConfigError: there is no such protocol, or no seed.
        CorpusError: features are missing or too few, or a label is not in the map.
        SpecMismatch: corpora to be joined were described by different encoders.
    """
    if protocol not in _RUN:
        raise ConfigError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    if not seeds:
        raise ConfigError("an experiment needs at least one seed")
    settled = recipe or MerRecipe()
    benches = [
        Bench(
            name, corpora, settled, tuple(seeds), choose_device(device), labels, tuple(modalities),
            published_split, resamples, say,
        )
        for name, corpora in find_feature_sets(Path(features_dir)).items()
    ]  # fmt: skip
    tables: list[Table] = []
    for bench in benches:
        found = _RUN[protocol](bench)
        if len(benches) > 1 and protocol not in _BY_ENCODERS:
            found = [replace(one, title=f"{one.title}, encoders {bench.name}") for one in found]
        tables += found
    if protocol in _BY_ENCODERS:
        tables = [_joined(tables)]
    record = {
        "protocol": protocol,
        "recipe": {name: value for name, value in asdict(settled).items() if name != "seed"},
        "seeds": list(seeds),
        "modalities": list(modalities),
        "published_split": published_split,
        "encoders": {bench.name: joint_encoders(list(bench.corpora.values())) for bench in benches},
        "tables": [table.to_record() for table in tables],
    }
    text = _heading(protocol, settled, seeds) + "\n".join(table.markdown() for table in tables)
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"mer-{protocol}.md").write_text(text, encoding="utf-8")
    (out / f"mer-{protocol}.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    return text


def _heading(protocol: str, recipe: MerRecipe, seeds: Sequence[int]) -> str:
    return (
        f"## MER, {protocol}\n\n"
        "**Bold** is measured here, (in brackets) is published; percent. "
        f"{recipe.gate} gate, {recipe.gated_dim} units, seeds {', '.join(map(str, seeds))}.\n\n"
    )


def _joined(tables: Sequence[Table]) -> Table:
    """One table of the rows of several, and their mean where the publication gives one."""
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    rows: list[tuple[str, list[Cell]]] = []
    for table in tables:
        for name, cells in table.rows:
            own = dict(zip(table.columns, cells, strict=True))
            rows.append((name, [own.get(column, _NOTHING) for column in columns]))
    if len(rows) > 1:
        corpus_of = {shown: corpus for corpus, shown in published.TITLES.items()}
        means: list[Cell] = []
        for place, column in enumerate(columns):
            cells = [row[1][place] for row in rows]
            told = published.LOCO_MEANS.get(corpus_of.get(column, ""), ())
            width = max(len(cell) for cell in cells)
            means.append(
                tuple(
                    mean_value(
                        [cell[part] for cell in cells if len(cell) == width],
                        told[part] if width == len(told) else None,
                    )
                    for part in range(width)
                )
            )
        rows.append(("avg", means))
    first = tables[0]
    return Table(first.title, first.corner, columns, rows, first.notes)
