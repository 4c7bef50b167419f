"""Every head of the registry keeps one contract; what cannot run live says why in one line."""

import json

import numpy as np
import pytest

from realtime_er.errors import ConfigError, SpecMismatch, WeightsMissing
from realtime_er.fusion import opening
from realtime_er.fusion.head import SUBSETS, subset_name
from realtime_er.fusion.opening import head_folder, open_head
from realtime_er.fusion.registry import HEADS, heads_reading, kind_of
from realtime_er.messages import LABELS, MODALITIES
from tests.fusion.test_head import ENCODERS, write_head

torch = pytest.importorskip("torch")

SIZES = {"face": 16, "audio": 24, "text": 12}
STEPS = {"face": 4, "audio": 7, "text": 1}
COMPACT = [
    pytest.param(name, reads, id=f"{name}-{reads}")
    for name, kind in HEADS.items()
    for reads in kind.reads
    if reads != "maps"
]


def built(name, reads, seed=0):
    torch.manual_seed(seed)
    net = kind_of(name).builder(reads)(SIZES).eval()
    with torch.no_grad():  # no learned vector may stand at zero, where it would hide
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def inputs(reads, mask, seed=1):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.as_tensor(mask, dtype=torch.float32)
    rows = len(mask)
    if reads == "statistics":
        made = [torch.randn(rows, SIZES[m], generator=generator) for m in MODALITIES]
        return [*made, mask]
    made = [torch.randn(rows, STEPS[m], SIZES[m], generator=generator) for m in MODALITIES]
    lengths = torch.stack(
        [torch.randint(1, STEPS[m] + 1, (rows,), generator=generator) for m in MODALITIES], 1
    )
    return [*made, mask, lengths]


def every_subset():
    return [[float(name in subset) for name in MODALITIES] for subset in SUBSETS]


@pytest.mark.parametrize(("name", "reads"), COMPACT)
def test_every_head_reads_every_subset_and_nothing_that_is_absent(name, reads):
    net = built(name, reads)
    given = inputs(reads, every_subset())
    with torch.no_grad():
        scores = net(*given)
        other = list(given)
        for place in range(3):
            absent = given[3][:, place] == 0
            other[place] = given[place].clone()
            other[place][absent] = 50.0
        assert torch.allclose(net(*other), scores, atol=1e-5)
    assert scores.shape == (7, len(LABELS))
    assert torch.isfinite(scores).all()
    # What is there does matter, in every subset.
    assert len({tuple(row) for row in scores.round(decimals=4).tolist()}) == 7


@pytest.mark.parametrize(("name", "reads"), COMPACT)
def test_every_head_scores_a_clip_alike_in_any_company(name, reads):
    net = built(name, reads)
    given = inputs(reads, every_subset())
    with torch.no_grad():
        together = net(*given)
        alone = torch.cat([net(*(part[row : row + 1] for part in given)) for row in range(7)])
    assert torch.allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize(("name", "reads"), COMPACT)
def test_every_head_can_be_trained_and_scales_its_inputs(name, reads):
    net = built(name, reads)
    given = inputs(reads, [[1.0, 1.0, 1.0]] * 6)
    with torch.no_grad():
        before = net(*given)
        for modality in MODALITIES:
            net.set_standardisation(
                modality, torch.full((SIZES[modality],), 3.0), torch.full((SIZES[modality],), 0.5)
            )
        moved = [2.0 * part + 3.0 for part in given[:3]]
        assert torch.allclose(net(*moved, *given[3:]), before, atol=1e-4)
    net.train()
    labels = torch.arange(6)
    net.loss(net(*given), labels).backward()
    still = [key for key, value in net.named_parameters() if value.grad is None]
    assert [key for key in still if "absent" not in key] == []


def test_padding_of_a_sequence_has_no_influence():
    net = built("cfn-sr", "sequence")
    given = inputs("sequence", every_subset())
    padded = [part.clone() for part in given]
    for place, name in enumerate(MODALITIES):
        gone = torch.arange(STEPS[name]) >= given[4][:, place : place + 1]
        padded[place][gone] = -7.0
    with torch.no_grad():
        assert torch.allclose(net(*padded), net(*given), atol=1e-5)


def test_the_networks_on_maps_are_those_of_the_published_comparison():
    from realtime_er.cli.train_ravdess import RAVDESS_HEADS
    from realtime_er.fusion.ravdess import FUSIONS
    from tests.fusion.nets import TINY

    assert set(RAVDESS_HEADS) == set(heads_reading("maps")) == set(FUSIONS)
    net = kind_of("msaf").builder("maps")("msaf", 8, TINY)
    assert "msaf.0.blocks.0.joint_features.0.weight" in net.state_dict()


def test_an_unknown_head_is_told_what_there_is():
    with pytest.raises(ConfigError, match="no fusion head named 'mssf'; there are gated"):
        kind_of("mssf")


@pytest.fixture
def no_saved_heads(monkeypatch, tmp_path):
    monkeypatch.setattr(opening, "saved_heads_dir", lambda: tmp_path / "saved")
    return tmp_path / "saved"


def test_a_head_is_found_by_name_by_folder_and_where_it_ships(tmp_path, no_saved_heads):
    own = write_head(tmp_path / "compact-fusion", architecture="gated")
    assert head_folder("", "compact", str(tmp_path)) == own
    assert head_folder("gated", "compact", str(tmp_path)) == own
    beside = write_head(tmp_path / "compact-fusion-msaf", architecture="msaf")
    assert head_folder("msaf", "compact", str(tmp_path)) == beside
    no_saved_heads.mkdir()
    saved = write_head(no_saved_heads / "mmtm", architecture="mmtm")
    assert head_folder("mmtm", "compact", str(tmp_path)) == saved
    assert head_folder(str(saved), "compact") == saved
    assert open_head(saved, ENCODERS).head_id == "head-1"


@pytest.mark.parametrize(
    ("chosen", "error", "said"),
    [
        ("cfn-sr", ConfigError, "cfn-sr reads sequence or maps, which a live session does not"),
        ("msaf", WeightsMissing, "no trained weights .* evaluate compare --data DIR --save"),
        ("heads/msaf", WeightsMissing, "heads/msaf: no folder of a head there"),
        ("foo", ConfigError, "no fusion head named 'foo'"),
    ],
)
def test_what_is_not_there_live_says_why(chosen, error, said, tmp_path, no_saved_heads):
    with pytest.raises(error, match=said) as raised:
        head_folder(chosen, "compact", str(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"architecture": "cfn-sr"}, "this cfn-sr head reads sequence"),
        ({"architecture": "msaf", "reads": "maps"}, "this msaf head reads maps"),
        ({"architecture": "perceiver"}, "architecture 'perceiver' is not one of"),
    ],
)
def test_a_folder_of_another_kind_of_head_is_refused(card, said, tmp_path):
    with pytest.raises(SpecMismatch, match=said):
        open_head(write_head(tmp_path / "head", **card), ENCODERS)


def test_the_shipped_head_is_opened_by_its_name():
    folder = head_folder("gated", "compact")
    assert json.loads((folder / "card.json").read_text())["architecture"] == "gated"
    assert subset_name(MODALITIES) in json.loads((folder / "card.json").read_text())["temperatures"]
    assert np.isclose(open_head(folder, {}).prior.sum(), 1.0)
