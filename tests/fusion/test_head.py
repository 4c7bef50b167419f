"""Statistics, the ONNX head's contract, and the axioms of the attribution."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from realtime_er.encoders.bundle import write_card
from realtime_er.errors import SpecMismatch, WeightsMissing
from realtime_er.fusion.head import (
    SUBSETS,
    FusionInput,
    OnnxFusionHead,
    shapley,
    statistics,
    subset_name,
)
from realtime_er.messages import LABELS, MODALITIES

ENCODERS = {"face": "f-1", "audio": "a-1", "text": "t-1"}
PRIOR = np.full(7, 1 / 7, np.float32)
SIZES = {"face": 4, "audio": 6, "text": 3}


def write_head(folder, **changes):
    """A linear head, logits = sum over modalities of mask * (vector @ weight), in plain ONNX."""
    rng = np.random.default_rng(5)
    nodes, weights, terms = [], [], []
    for place, name in enumerate(MODALITIES):
        weight = rng.normal(size=(SIZES[name], 7)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w_{name}"))
        weights.append(numpy_helper.from_array(np.array([place]), f"i_{name}"))
        nodes += [
            helper.make_node("MatMul", [name, f"w_{name}"], [f"m_{name}"]),
            helper.make_node("Gather", ["mask", f"i_{name}"], [f"g_{name}"], axis=1),
            helper.make_node("Mul", [f"m_{name}", f"g_{name}"], [f"t_{name}"]),
        ]
        terms.append(f"t_{name}")
    nodes.append(helper.make_node("Sum", terms, ["logits"]))
    lengths = {**SIZES, "mask": 3}
    graph = helper.make_graph(
        nodes,
        "head",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
            for name, size in lengths.items()
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 7])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    card = {
        "id": "head-1",
        "kind": "fusion",
        "file": "model.onnx",
        "licence": "MIT",
        "labels": list(LABELS),
        "encoders": ENCODERS,
        "prior": dict.fromkeys(LABELS, 1 / 7),
        "temperatures": {subset_name(subset): 1.0 for subset in SUBSETS},
        **changes,
    }
    write_card(folder, card)
    return folder


def complete_input(seed=0):
    rng = np.random.default_rng(seed)
    return FusionInput(
        **{name: rng.normal(size=size).astype(np.float32) for name, size in SIZES.items()}
    )


def test_statistics_are_mean_and_population_deviation():
    values = np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]], np.float32)
    found = statistics(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [3.0, 2.0, np.sqrt(8 / 3), 0.0], rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 50, 1001])
def test_statistics_are_numpys_to_the_last_bit(rows):
    values = np.random.default_rng(rows).normal(3.0, 40.0, (rows, 33)).astype(np.float32)
    exact = values.astype(np.float64)
    expected = np.concatenate([exact.mean(axis=0), exact.std(axis=0)]).astype(np.float32)
    assert statistics(values).tobytes() == expected.tobytes()


def test_statistics_of_one_row_have_no_deviation():
    np.testing.assert_array_equal(statistics(np.ones((1, 3), np.float32))[3:], np.zeros(3))


@pytest.mark.parametrize("shape", [(0, 3), (3,)])
def test_statistics_refuse_what_has_no_rows(shape):
    with pytest.raises(ValueError, match="T >= 1"):
        statistics(np.zeros(shape, np.float32))


def test_every_present_subset_gets_probabilities(tmp_path):
    head = OnnxFusionHead(write_head(tmp_path / "head"), ENCODERS)
    values = head.probabilities(complete_input())
    assert list(values) == list(SUBSETS)
    for value in values.values():
        assert value.dtype == np.float32
        assert value.shape == (7,)
        assert value.sum() == pytest.approx(1.0, abs=1e-6)


def test_absent_modalities_are_left_out_and_never_read(tmp_path):
    head = OnnxFusionHead(write_head(tmp_path / "head"), ENCODERS)
    everything = complete_input()
    values = head.probabilities(FusionInput(face=everything.face, text=everything.text))
    assert set(values) == {frozenset({"face"}), frozenset({"text"}), frozenset({"face", "text"})}
    full = head.probabilities(everything)
    for subset, value in values.items():
        np.testing.assert_allclose(value, full[subset], atol=1e-6)
    assert head.probabilities(FusionInput()) == {}


def test_each_subset_has_its_own_temperature(tmp_path):
    temperatures = {subset_name(subset): 1.0 for subset in SUBSETS}
    plain = OnnxFusionHead(write_head(tmp_path / "a", temperatures=temperatures), ENCODERS)
    hot = {**temperatures, "face+text": 2.0}
    scaled = OnnxFusionHead(write_head(tmp_path / "b", temperatures=hot), ENCODERS)
    before, after = (head.probabilities(complete_input()) for head in (plain, scaled))
    for subset in SUBSETS:
        expected = before[subset].astype(np.float64)
        if subset == {"face", "text"}:
            expected = np.sqrt(expected) / np.sqrt(expected).sum()
        np.testing.assert_allclose(after[subset], expected, atol=1e-6)


def test_a_wrong_encoder_is_refused(tmp_path):
    folder = write_head(tmp_path / "head")
    with pytest.raises(SpecMismatch, match="trained on audio encoder a-1, not a-2"):
        OnnxFusionHead(folder, {**ENCODERS, "audio": "a-2"})


def test_an_encoder_that_is_switched_off_may_be_left_out(tmp_path):
    head = OnnxFusionHead(write_head(tmp_path / "head"), {"text": "t-1"}, 1)
    assert head.head_id == "head-1"
    assert head.encoder_ids == ENCODERS


def test_an_incomplete_card_is_refused(tmp_path):
    folder = write_head(tmp_path / "head", temperatures={"face": 1.0})
    with pytest.raises(SpecMismatch, match="lacks"):
        OnnxFusionHead(folder, ENCODERS)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(WeightsMissing, match="nowhere"):
        OnnxFusionHead(tmp_path / "nowhere", ENCODERS)


def test_bad_vectors_are_refused(tmp_path):
    head = OnnxFusionHead(write_head(tmp_path / "head"), ENCODERS)
    with pytest.raises(ValueError, match=r"face must be \[4\]"):
        head.probabilities(FusionInput(face=np.zeros(5, np.float32)))
    with pytest.raises(ValueError, match="not finite"):
        head.probabilities(FusionInput(text=np.full(3, np.nan, np.float32)))


def game(seed=0):
    rng = np.random.default_rng(seed)
    return {subset: rng.dirichlet(np.ones(7)).astype(np.float32) for subset in SUBSETS}


@pytest.mark.parametrize("present", SUBSETS, ids=subset_name)
def test_contributions_sum_to_the_gain_over_the_prior(present):
    values = game()
    found = shapley(values, present, PRIOR)
    np.testing.assert_allclose(sum(found.values()), values[present] - PRIOR, atol=1e-6)
    for name in MODALITIES:
        assert found[name].dtype == np.float32
        if name not in present:
            np.testing.assert_array_equal(found[name], np.zeros(7))


def test_interchangeable_modalities_get_the_same():
    values = game()
    swap = {"face": "text", "text": "face", "audio": "audio"}
    for subset in SUBSETS:
        values[frozenset(swap[name] for name in subset)] = values[subset]
    found = shapley(values, MODALITIES, PRIOR)
    np.testing.assert_allclose(found["face"], found["text"], atol=1e-7)


def test_a_modality_that_changes_nothing_gets_nothing():
    values = game()
    for subset in SUBSETS:
        rest = subset - {"audio"}
        values[subset] = values[rest] if rest else PRIOR
    np.testing.assert_allclose(shapley(values, MODALITIES, PRIOR)["audio"], 0.0, atol=1e-7)


def test_two_modalities_match_the_formula_by_hand():
    values = game()
    face, text, both = (values[frozenset(s)] for s in ({"face"}, {"text"}, {"face", "text"}))
    found = shapley(values, {"face", "text"}, PRIOR)
    np.testing.assert_allclose(found["face"], ((face - PRIOR) + (both - text)) / 2, atol=1e-7)
