"""The detector's network, its loss and its export, on drawn faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.encoders.bundle import write_card
from realtime_er.perception.detectors import CompactDetector
from tests.training.detector_samples import FACE, drawn_bank

torch = pytest.importorskip("torch")

from realtime_er.training.detector import fit as detector_fit  # noqa: E402
from realtime_er.training.detector import train as detector  # noqa: E402
from realtime_er.training.detector.data import find_teacher  # noqa: E402
from realtime_er.training.detector.fit import fit  # noqa: E402
from realtime_er.training.detector.holdouts import list_portraits  # noqa: E402
from realtime_er.training.detector.model import (  # noqa: E402
    DetectorNet,
    draw_targets,
    loss_of,
)
from realtime_er.training.detector.train import export, train_detector  # noqa: E402


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_fit, "_BATCH", 2)
    monkeypatch.setattr(detector_fit, "_BATCHES_PER_EPOCH", 1)
    monkeypatch.setattr(detector_fit, "_SHAPES", ((64, 96),))


def test_targets_peak_at_the_middle_and_doubts_teach_nothing() -> None:
    doubt = np.array([[96, 64, 60, 60]], np.float32)
    targets = draw_targets([FACE[None]], [doubt], 128, 160)
    row, column = np.unravel_index(int(targets.score[0].argmax()), (16, 20))
    assert (row, column) == (60 // 8, 60 // 8)
    assert float(targets.score.max()) == 1.0
    assert float(targets.weight[0, 10, 15]) == 0.0
    assert float(targets.weight[0, 7, 7]) == 1.0
    assert targets.box[0, :, row, column].tolist() == [60, 60, 80, 100]
    nose = targets.shape[0, 2, :, row, column]
    assert nose.tolist() == pytest.approx([0.0, 0.05])


def test_the_right_answer_costs_least() -> None:
    targets = draw_targets([FACE[None]], [np.zeros((0, 4), np.float32)], 128, 160)
    logit = torch.where(targets.score > 0.999, 8.0, -8.0)
    right = loss_of((logit, targets.box, targets.shape), targets)
    moved = targets.box.clone()
    moved[:, 0] += 20
    assert float(right) < 0.05
    assert float(loss_of((-logit, targets.box, targets.shape), targets)) > float(right) + 1
    assert float(loss_of((logit, moved, targets.shape), targets)) > float(right) + 0.1
    assert float(loss_of((logit, targets.box, targets.shape + 0.1), targets)) > float(right) + 0.1


@pytest.mark.usefixtures("small_batches")
def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    bank = drawn_bank()
    whole = fit(bank, seed=3, epochs=1, refine_epochs=1, threads=1)

    class StoppedError(Exception):
        pass

    def stop(_: object) -> None:
        raise StoppedError

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(bank, seed=3, epochs=1, refine_epochs=1, threads=1, checkpoint=path, progress=stop)
    seen: list[int] = []
    rest = fit(
        bank, seed=3, epochs=1, refine_epochs=1, threads=1, checkpoint=path,
        progress=lambda state: seen.append(state.epoch),
    )  # fmt: skip
    assert set(seen) == {2}
    for one, other in zip(whole.state_dict().values(), rest.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_export_runs_through_the_detector_and_finds_what_the_maps_say(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = DetectorNet().eval()
    with torch.no_grad():
        net.head.bias[0] = 3.0  # a face everywhere
    export(net, tmp_path / "model.onnx")
    card = {
        "id": "t", "kind": "detector", "file": "model.onnx", "licence": "-", "labels": [],
        "input": {"longest_px": 64, "least_px": 64, "multiple_px": 32},
        "decision": {"min_score": 0.5, "most_overlap": 0.5},
    }  # fmt: skip
    write_card(tmp_path, card)
    image = np.zeros((100, 128, 3), np.uint8)
    found = CompactDetector(tmp_path).detect(image)
    # Equal cells are all peaks; of boxes that share more than half one stays: every second one.
    assert len(found) == 16
    first = found[0]
    # Boxes begin at 32 px of the shrunk picture: twice that in the picture.
    assert first.box_px[2] == pytest.approx(64, rel=0.01)
    assert first.landmarks_px is not None
    assert first.landmarks_px.shape == (5, 2)
    assert CompactDetector(tmp_path, min_score=0.99).detect(image) == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_batches")
def test_trains_from_portraits_and_clips_to_a_card(
    clips_dir: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_fit, "REFINE_EPOCHS", 1)
    monkeypatch.setattr(detector, "_DEV_SCENES", 2)
    monkeypatch.setattr(detector, "_THRESHOLDS", (0.3, 0.5))
    portraits = tmp_path / "data" / "portraits" / "images"
    portraits.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        for path in list_portraits(data_dir, part)[:4]:
            (portraits / path.name).write_bytes(path.read_bytes())
    clips = tmp_path / "clips"
    (clips / "grid").mkdir(parents=True)
    for name in ("single_face.mp4", "grid/sbwe5n.mpg", "grid/brbk7n.mpg", "no_face.mp4"):
        (clips / name).write_bytes((clips_dir / name).read_bytes())
    out = tmp_path / "model"
    card = train_detector(
        tmp_path / "data", out, epochs=1, clips_dir=clips, teacher=find_teacher(data_dir)
    )
    assert sorted(path.name for path in out.iterdir()) == ["card.json", "curves.csv", "model.onnx"]
    assert card.raw["decision"]["min_score"] in (0.3, 0.5)
    assert "milliseconds_640x480" in card.raw["metrics"]
    assert isinstance(CompactDetector(out).detect(np.zeros((48, 64, 3), np.uint8)), list)


def test_refuses_no_epochs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="epochs"):
        train_detector(tmp_path, tmp_path, epochs=0)
