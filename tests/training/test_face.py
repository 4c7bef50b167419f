"""The face trainer, end to end on a handful of drawn pictures, and its augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realtime_er.encoders.bundle import load_card
from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS

torch = pytest.importorskip("torch")

from realtime_er.training.corpora.ferplus import VOTE_NAMES, FaceSet, read_ferplus  # noqa: E402
from realtime_er.training.face import fit as face_fit  # noqa: E402
from realtime_er.training.face.fit import deepened, fit  # noqa: E402
from realtime_er.training.face.model import FaceNet, augment  # noqa: E402
from realtime_er.training.face.train import embed_split, train_face  # noqa: E402
from realtime_er.training.progress import Progress  # noqa: E402


@pytest.fixture(scope="module")
def drawn_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora")
    (folder / "ferplus").mkdir()
    for seed, (split, n) in enumerate((("train", 24), ("valid", 70))):
        random = np.random.default_rng(seed)
        votes = random.multinomial(10, random.dirichlet(np.full(len(VOTE_NAMES), 0.2), n))
        images = random.integers(0, 256, (n, 48, 48), dtype=np.uint8)
        np.savez(folder / "ferplus" / f"{split}.npz", images=images, votes=votes.astype(np.uint8))
    return folder


def test_trains_exports_and_embeds(
    drawn_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_fit, "REFINE_EPOCHS", 1)
    seen: list[Progress] = []
    card = train_face(drawn_corpus, tmp_path, epochs=1, threads=1, progress=seen.append)
    over = [(state.epoch, state.epochs) for state in seen if state.part == 1.0]
    assert over == [(1, 2), (2, 2)]
    assert len((tmp_path / "curves.csv").read_text().splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "card.json",
        "curves.csv",
        "model.onnx",
    ]

    loaded = load_card(tmp_path)
    assert loaded.labels == LABELS
    assert loaded.raw == card
    assert sum(card["prior"].values()) == pytest.approx(1.0, abs=1e-5)
    low, high = card["metrics"]["accuracy_all"]["interval_95"]
    assert low <= card["metrics"]["accuracy_all"]["value"] <= high

    valid = read_ferplus(drawn_corpus, "valid")
    embedding, logits, targets = embed_split(drawn_corpus, tmp_path, "valid")
    assert embedding.shape == (len(valid), 128)
    assert logits.shape == targets.shape == (len(valid), 7)
    assert embedding.dtype == logits.dtype == targets.dtype == np.float32
    assert card["metrics"]["accuracy_all"]["value"] == pytest.approx(
        np.mean(logits.argmax(axis=1) == valid.leading()), abs=1e-4
    )


def test_absent_corpus_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        train_face(tmp_path, tmp_path / "model", epochs=1)
    assert not (tmp_path / "model").exists()


def test_refuses_no_epochs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="epochs"):
        train_face(tmp_path, tmp_path, epochs=0)


def test_augmentation_keeps_shape_and_range_and_follows_its_generator() -> None:
    image = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255.0
    before = image.clone()
    first = augment(image, torch.Generator().manual_seed(1))
    again = augment(image, torch.Generator().manual_seed(1))
    other = augment(image, torch.Generator().manual_seed(2))
    assert first.shape == image.shape
    assert first.dtype == torch.float32
    assert 0.0 <= float(first.min()) <= float(first.max()) <= 255.0
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(image, before)


def test_network_ignores_gain_and_offset_and_survives_a_blank_picture() -> None:
    net = FaceNet().eval()
    image = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 200.0
    with torch.no_grad():
        embedding, logits = net(image)
        _, shifted = net(image * 0.8 + 20.0)
        _, blank = net(torch.full((1, 1, 48, 48), 128.0))
    assert float(embedding.min()) >= 0.0
    assert torch.allclose(logits, shifted, atol=1e-2)
    assert bool(torch.isfinite(blank).all())


def test_a_deepened_network_computes_what_it_did() -> None:
    torch.manual_seed(0)
    shallow = FaceNet(deep=False).eval()
    image = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255.0
    deep = deepened(shallow).eval()
    assert sum(one.numel() for one in deep.parameters()) > 1_000_000
    with torch.no_grad():
        for ours, theirs in zip(deep(image), shallow(image), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = FaceSet(
        rng.integers(0, 256, (16, 48, 48), dtype=np.uint8),
        rng.dirichlet(np.ones(7), 16).astype(np.float32),
        np.ones(16, np.bool_),
    )

    class StoppedError(Exception):
        pass

    def stop(_: object) -> None:
        raise StoppedError

    def run(**how: object) -> FaceNet:
        return fit(faces, seed=3, epochs=1, threads=1, photographs=faces, refine_epochs=1, **how)

    whole = run()
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        run(checkpoint=path, progress=stop)
    seen: list[int] = []
    rest = run(checkpoint=path, progress=lambda state: seen.append(state.epoch))
    assert set(seen) == {2}
    for one, other in zip(whole.state_dict().values(), rest.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
