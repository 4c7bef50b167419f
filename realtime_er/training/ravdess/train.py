"""Trains a network of the RAVDESS comparison over its folds and writes what there is to know.

NAME/splits.json               who trains, chooses and tests in each fold
NAME/fold_1/model.safetensors  the kept epoch, published names
NAME/fold_1/card.json          recipe, actors, figures, how the epoch was chosen
NAME/fold_1/predictions.csv    probabilities of every clip that was tested
NAME/fold_1/curves.csv         figures of every epoch
NAME/results.json, results.md  all folds that are finished

With the published protocol the folder is NAME-published, and everything in it says so.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from realtime_er.encoders.bundle import load_card, write_card
from realtime_er.encoders.paper.own_labels import project_label
from realtime_er.errors import ConfigError
from realtime_er.fusion.ravdess import NetworkSize, RavdessNetwork, build_network
from realtime_er.fusion.ravdess_files import begin_from_unimodal
from realtime_er.messages import LABELS as PROJECT_LABELS
from realtime_er.training.corpora.ravdess import LABELS
from realtime_er.training.mer.team import is_first
from realtime_er.training.metrics import accuracy, unweighted_average_recall
from realtime_er.training.ravdess.cache import RavdessCorpus
from realtime_er.training.ravdess.fit import (
    MODEL_FILE,
    RESUME_FILE,
    FoldRun,
    RavdessProgress,
    fit_fold,
)
from realtime_er.training.ravdess.folds import Fold, Splits
from realtime_er.training.ravdess.recipe import RavdessRecipe
from realtime_er.training.ravdess.results import (
    BEST_ON_TEST,
    HELD_OUT,
    FoldResult,
    RavdessResult,
    write_results,
)

_FOLD = "{fold}"


@dataclass(frozen=True)
class NetworkPlan:
    """What is trained.

    Attributes:
        head: name of the fusion.
        switches: of ``build_network``.
        size: of the encoders; None for the published one.
        video_weights: checkpoint of the video encoder to begin from, "{fold}" standing for the
            fold's number; empty for fresh weights.
        audio_weights: likewise of the audio encoder.
    """

    head: str
    switches: Mapping[str, bool] = field(default_factory=dict)
    size: NetworkSize | None = None
    video_weights: str = ""
    audio_weights: str = ""

    def build(self, fold: int, seed: int) -> RavdessNetwork:
        """The network as a fold begins.

        Raises:
            ConfigError: no such fusion or switch.
            ModelError: a checkpoint is missing, or another model's.
        """
        torch.manual_seed(seed)
        net = build_network(self.head, len(LABELS), self.size, **self.switches)
        begin_from_unimodal(
            self.head,
            net,
            video=_of_fold(self.video_weights, fold),
            audio=_of_fold(self.audio_weights, fold),
        )
        return net


def _of_fold(path: str, fold: int) -> Path | None:
    return Path(path.replace(_FOLD, str(fold))) if path else None


def train_network(
    plan: NetworkPlan,
    corpus: RavdessCorpus,
    splits: Splits,
    recipe: RavdessRecipe,
    out_dir: Path,
    *,
    folds: Sequence[int] = (),
    published: bool = False,
    device: str = "cpu",
    workers: int = 1,
    progress: Callable[[RavdessProgress], None] | None = None,
) -> RavdessResult | None:
    """Trains the folds that are not finished yet.

    Args:
        plan: which network.
        corpus: described clips.
        splits: folds; with ``published`` those without actors who choose.
        recipe: how.
        out_dir: receives the network's folder.
        folds: numbers of those to do; empty for all.
        published: the epoch is chosen on the test fold, as published.
        device: torch's name of where to run.
        workers: threads that decode.
        progress: called after every epoch.

    Returns:
        All folds that are finished; None in the processes of a team that write nothing.

    Raises:
        ConfigError: no such fold, or the folder was begun with other settings.
        CorpusError: a part of a fold has no clip.
        ModelError: a checkpoint to begin from is missing, or another model's.
    """
    wanted = [fold for fold in splits.folds if not folds or fold.number in folds]
    unknown = sorted(set(folds) - {fold.number for fold in splits.folds})
    if unknown:
        known = ", ".join(str(fold.number) for fold in splits.folds)
        raise ConfigError(f"--fold {unknown[0]}: {splits.name} has folds {known}")
    folder = out_dir / (f"{plan.head}-published" if published else plan.head)
    if is_first():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "splits.json").write_text(splits.to_json(), encoding="utf-8")
    for fold in wanted:
        own = folder / f"fold_{fold.number}"
        signature = _signature(plan, corpus, fold, recipe, published=published)
        if (own / "card.json").is_file():
            if load_card(own).raw.get("signature") != signature:
                raise ConfigError(
                    f"{own}: finished with other settings or other clips; choose another --out, or "
                    "remove that folder"
                )
            continue
        net = plan.build(fold.number, recipe.seed)
        run = fit_fold(
            net, corpus, fold, recipe, own, signature, device=device, workers=workers,
            progress=progress,
        )  # fmt: skip
        if is_first():
            _write_fold(own, plan, corpus, splits, fold, recipe, run, signature)
    if not is_first():
        return None
    result = _collected(folder, plan.head, splits, HELD_OUT if not published else BEST_ON_TEST)
    write_results(folder, result)
    return result


def _signature(
    plan: NetworkPlan,
    corpus: RavdessCorpus,
    fold: Fold,
    recipe: RavdessRecipe,
    *,
    published: bool,
) -> str:
    told = {
        "plan": {**asdict(plan), "switches": dict(plan.switches)},
        "fold": asdict(fold),
        "recipe": asdict(recipe),
        "published": published,
        "clips": {number: actor.digest() for number, actor in corpus.actors.items()},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _write_fold(
    folder: Path,
    plan: NetworkPlan,
    corpus: RavdessCorpus,
    splits: Splits,
    fold: Fold,
    recipe: RavdessRecipe,
    run: FoldRun,
    signature: str,
) -> None:
    truth = corpus.labels(run.test_clips)
    guess = run.probabilities.argmax(axis=1)
    selection = HELD_OUT if fold.val else BEST_ON_TEST
    result = FoldResult(
        fold.number,
        fold.test,
        fold.val,
        run.best_epoch,
        accuracy(truth, guess),
        unweighted_average_recall(truth, guess),
        run.last_accuracy,
        len(truth),
    )
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("clip", "actor", "label", "predicted", *LABELS, "epoch_selection"))
        for row, (actor, place) in enumerate(run.test_clips):
            name = corpus.actors[actor].ids[place]
            shares = [f"{share:.6f}" for share in run.probabilities[row]]
            writer.writerow(
                (name, actor, LABELS[truth[row]], LABELS[guess[row]], *shares, selection)
            )
    with (folder / "curves.csv").open("w", encoding="utf-8", newline="") as stream:
        curves = csv.DictWriter(stream, [*run.history[0], "epoch_selection"])
        curves.writeheader()
        curves.writerows({**epoch, "epoch_selection": selection} for epoch in run.history)
    figures = {
        "n": result.clips, "split": f"test actors {fold.test}", "seed": recipe.seed,
        "selection": selection,
    }  # fmt: skip
    write_card(
        folder,
        {
            "id": f"{plan.head}-ravdess-{splits.name}-fold{fold.number}"
            + ("" if fold.val else "-published"),
            "kind": "fusion",
            "file": MODEL_FILE,
            "licence": "research use only: CC BY-NC-SA 4.0, as RAVDESS",
            "architecture": plan.head,
            "reads": "maps",
            "labels": list(LABELS),
            "label_map": {
                label: [own for own in LABELS if project_label(own) == label]
                for label in PROJECT_LABELS
            },
            "input": {
                "pictures": "float32 [N, 3, 30, 224, 224], RGB, ImageNet's mean and deviation",
                "cepstra": "float32 [N, 13, 212]",
            },
            "switches": dict(plan.switches),
            "signature": signature,
            "selection": selection,
            "training": {
                "data": "RAVDESS speech videos",
                "recipe": asdict(recipe),
                "fold": asdict(fold),
                "begun_from": [path for path in (plan.video_weights, plan.audio_weights) if path],
                "command": f"realtime-er train {plan.head} --data RAVDESS"
                + ("" if fold.val else " --published-split"),
            },
            "headline": ["test.accuracy"],
            "metrics": {
                "test.accuracy": {"value": round(result.accuracy, 4), **figures},
                "test.uar": {"value": round(result.uar, 4), **figures},
            },
            "result": asdict(result),
        },
    )
    # Finished: nobody goes on from here, and it is three times as large as the weights.
    (folder / RESUME_FILE).unlink()


def _collected(folder: Path, head: str, splits: Splits, selection: str) -> RavdessResult:
    found = []
    for fold in splits.folds:
        own = folder / f"fold_{fold.number}"
        if (own / "card.json").is_file():
            raw = load_card(own, verify=False).raw["result"]
            actors = {name: tuple(raw[name]) for name in ("test_actors", "val_actors")}
            found.append(FoldResult(**{**raw, **actors}))
    return RavdessResult(head, tuple(found), len(splits.folds), selection)
