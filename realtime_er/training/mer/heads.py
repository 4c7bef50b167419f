"""A head that is there already, published or trained here, scored on files of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from realtime_er.errors import SpecMismatch
from realtime_er.fusion.gated import Gate, GatedAttentionFusion, load_head
from realtime_er.messages import MODALITIES
from realtime_er.training.corpora.label_schemes import SCHEMES, LabelScheme
from realtime_er.training.features import Features
from realtime_er.training.mer import published
from realtime_er.training.mer.bench import find_feature_sets, title, value_of
from realtime_er.training.mer.data import Material
from realtime_er.training.mer.tables import Cell, Table
from realtime_er.training.mer.train import load_mer, scheme_for, score, split_parts


def score_head(
    head: Path,
    features_dir: Path,
    out_dir: Path,
    *,
    gate: Gate = "softmax",
    labels: LabelScheme | None = None,
    modalities: Sequence[str] = MODALITIES,
    published_split: bool = False,
    resamples: int = 1000,
) -> str:
    """Scores a head on the test part of every corpus there and writes ``mer-head.md``.

    Args:
        head: a folder that ``train mer`` wrote, or a published checkpoint (``fusion.pth``).
        features_dir: files of features, see ``find_feature_sets``.
        out_dir: receives the table; made if it is not there.
        gate: of a checkpoint, which does not say; a folder's card does.
        labels: classes; None for those of the publication that the head has as many of.
        modalities: those that are read.
        published_split: see ``split_parts``.
        resamples: for intervals.

    Returns:
        Tables as Markdown: bold is measured here, in brackets is published.

    Raises:
        WeightsMissing: the head is not there.
        SpecMismatch: it is another model's, was trained on other encoders, or has other classes.
        CorpusError: there are no features, or a label is not in the map.
    """
    tables = []
    for name, corpora in find_feature_sets(features_dir).items():
        for corpus, features in corpora.items():
            net, classes, note = _opened(head, features, gate)
            scheme = _scheme(features, labels, net, classes, head)
            parts = split_parts([features], scheme, modalities, published_split=published_split)
            if parts.test is None:
                continue
            test = _fitted(parts.test, net, head)
            run = score(net, test, multi=scheme.multi, resamples=resamples)
            own = scheme.classes == scheme_for([features]).classes and corpus in published.SINGLE
            columns = published.SINGLE_COLUMNS["mosei" if scheme.multi else "meld"]
            line = published.SINGLE[corpus]["WL"] if own else (None,) * len(columns)
            cells: list[Cell] = [
                (value_of([run], column, figure),)
                for column, figure in zip(columns, line, strict=True)
            ]
            heading = f"{title(corpus)}, features of {name}"
            notes = [f"test {len(test)} clips; in brackets: the publication's head with WL.", note]
            tables.append(Table(heading, corpus, columns, [(head.name, cells)], notes))
    text = f"## MER, {head.name}\n\n" + "\n".join(table.markdown() for table in tables)
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "mer-head.md").write_text(text, encoding="utf-8")
    return text


def _opened(
    head: Path, features: Features, gate: Gate
) -> tuple[GatedAttentionFusion, tuple[str, ...], str]:
    """The head, its classes where they are known, and what can be said of its encoders."""
    if head.is_dir():
        sha256 = {name: one["sha256"] for name, one in features.encoders.items()}
        net, card = load_mer(head, sha256)
        return net, card.labels, "The features are of the encoders that the head was trained on."
    net = load_head(head, gate=gate)
    note = f"The file names no encoders, so nothing says that these are its own; {gate} gate."
    return net, (), note


def _scheme(
    features: Features,
    labels: LabelScheme | None,
    net: GatedAttentionFusion,
    classes: tuple[str, ...],
    head: Path,
) -> LabelScheme:
    known = [labels] if labels is not None else [scheme_for([features]), SCHEMES["seven"]]
    for scheme in known:
        if len(scheme.classes) == net.classifier.out_features and classes in ((), scheme.classes):
            return scheme
    has = ", ".join(classes) or f"{net.classifier.out_features} classes"
    told = " or ".join(f"{scheme.name} ({', '.join(scheme.classes)})" for scheme in known)
    raise SpecMismatch(f"{head}: has {has}, the labels are {told}; give --labels NAME|FILE")


def _fitted(test: Material, net: GatedAttentionFusion, head: Path) -> Material:
    """The clips with absent modalities as long as the head wants them."""
    layers = (net.fc_video, net.fc_audio, net.fc_text)
    sizes = {name: layer.in_features for name, layer in zip(MODALITIES, layers, strict=True)}
    for column, (name, size) in enumerate(test.sizes().items()):
        if test.mask[:, column].any() and size != sizes[name]:
            raise SpecMismatch(
                f"{head}: reads {sizes[name]} numbers of {name}, the features have {size}; "
                "extract them with the encoders that it was trained on"
            )
    return test.with_sizes(sizes)
