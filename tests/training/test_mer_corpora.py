"""Every corpus from its distributed layout through tiny encoders to a head that has learned it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.training.corpora.manifest import Listing  # noqa: E402
from realtime_er.training.corpora.readers import read_corpus  # noqa: E402
from realtime_er.training.extraction import Extractor  # noqa: E402
from realtime_er.training.features import load_features  # noqa: E402
from realtime_er.training.mer import encoders as mer_encoders  # noqa: E402
from realtime_er.training.mer.fit import fit_head  # noqa: E402
from realtime_er.training.mer.recipe import MerRecipe  # noqa: E402
from realtime_er.training.mer.train import scheme_for, score, split_parts  # noqa: E402
from tests.training import mer_media, trees  # noqa: E402

# Name of the reader, how its tree is built, and which clips are enough for the test.
CORPORA = {
    "iemocap": (lambda root, write: trees.iemocap(root, dialogues=2, write=write), 40),
    "mosei": (lambda root, write: trees.mosei(root, write=write), 12),
    "meld": (lambda root, write: trees.meld(root, write=write), 21),
    "afew": (lambda root, write: trees.afew(root, per_label=1, write=write), 28),
    "ravdess": (lambda root, write: trees.ravdess(root, actors=(1, 13, 17), write=write), 24),
    "ravdess-speech": (lambda root, write: trees.speech(root, write=write), 32),
    "emodb": (lambda root, write: trees.speech(root, write=write), 21),
}
QUICK = MerRecipe(gated_dim=16, learning_rate=0.01, weight_decay=0.0, epochs=60, patience=60,
                  dropout=0.0, gate="sigmoid", standardise=True)  # fmt: skip


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    torch.set_num_threads(1)
    folder = mer_media.write_encoders(tmp_path_factory.mktemp("encoders"))
    return mer_encoders.load_encoders(str(folder), device="cpu")


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    return mer_media.MediaWriter(tmp_path_factory.mktemp("media"))


def few(rows, most):
    """A clip of each own label to train on and two more of each part: a second for tiny networks."""
    chosen, seen = [], {"train": set(), "val": set(), "test": set()}
    for row in rows:
        own = seen[row.split]
        if row.native not in own and (row.split == "train" or len(own) < 2):
            own.add(row.native)
            chosen.append(row)
    return tuple(chosen[:most])


@pytest.mark.parametrize("name", list(CORPORA))
def test_a_head_learns_a_corpus_laid_out_like_the_real_one(tmp_path, name, encoders, media):
    if name == "mosei":
        pytest.importorskip("h5py")
    build, most = CORPORA[name]
    root = build(tmp_path / "corpus", media)
    listing = read_corpus(name, root)
    rows = few(listing.rows, most)
    out = tmp_path / "f.npz"
    Extractor(encoders, mer_media.BlockDetector).run(Listing(rows), root, out)
    features = load_features(out)
    assert len(features) == len(rows)
    assert features.ids.tolist() == [row.id for row in rows]
    heard_only = name in ("ravdess-speech", "emodb")
    assert features.mask[:, 0].tolist() == [0.0 if heard_only else 1.0] * len(rows)
    assert features.mask[:, 1].all()
    has_words = name not in ("afew", "emodb")
    assert features.mask[:, 2].tolist() == [float(has_words)] * len(rows)

    scheme = scheme_for([features])
    parts = split_parts([features], scheme, published_split=True)
    fitted = fit_head(parts.train, parts.train, QUICK, multi=scheme.multi)
    learned = score(fitted.net, parts.train, multi=scheme.multi)["metrics"]
    assert learned["UAR"] == 1.0
    assert learned["Acc"] == 1.0
    present = [recall for recall in score(fitted.net, parts.train, multi=scheme.multi)["recalls"]
               if np.isfinite(recall)]  # fmt: skip
    assert len(present) == (parts.train.targets.sum(axis=0) > 0).sum()
