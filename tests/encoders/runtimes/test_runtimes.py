"""Other forms of the published encoders: made once, compared with torch, refused or used."""

import dataclasses
import json
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

from realtime_er.encoders.paper.distilroberta import DistilRobertaEncoder  # noqa: E402
from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder  # noqa: E402
from realtime_er.encoders.paper.wav2vec2 import Wav2Vec2Encoder  # noqa: E402
from realtime_er.encoders.runtimes import choice as choice_module  # noqa: E402
from realtime_er.encoders.runtimes import opening  # noqa: E402
from realtime_er.encoders.runtimes.choice import Choice, choose, recall  # noqa: E402
from realtime_er.encoders.runtimes.opening import Place, candidates, open_form  # noqa: E402
from realtime_er.encoders.runtimes.parity import Parity, Reference, compare  # noqa: E402
from realtime_er.encoders.runtimes.protocol import REFERENCE, Form  # noqa: E402
from realtime_er.encoders.runtimes.store import Store, clear  # noqa: E402
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime  # noqa: E402
from realtime_er.errors import ConfigError, ModelError  # noqa: E402
from tests.encoders.paper import tiny  # noqa: E402

ONNX = Form("onnx", "fp32")
INT8 = Form("onnx", "int8")
SAMPLES = 1600
N = 6


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny.write_face(folder / "face")
    tiny.write_audio(folder / "audio")
    tiny.write_text(folder / "text")
    return {
        "face": EmoAffectNetEncoder(folder / "face"),
        "audio": Wav2Vec2Encoder(folder / "audio"),
        "text": DistilRobertaEncoder(folder / "text"),
    }


def network_of(encoders, name):
    """Small windows of sound: the tiny encoder has thousands of frames in four seconds."""
    network = encoders[name].network
    if name == "audio":
        return dataclasses.replace(network, example=(network.example[0][:, :SAMPLES],))
    return network


def calls(name, count, seed, encoder=None):
    rng = np.random.default_rng(seed)
    if name == "face":
        return [(rng.normal(0, 50, (1, 3, 224, 224)).astype("f4"),) for _ in range(count)]
    if name == "audio":
        return [(rng.normal(size=(1, SAMPLES)).astype("f4"),) for _ in range(count)]
    letters = np.array(list("abcdefgh "))
    return [encoder.example("".join(rng.choice(letters, 3 + at % 15))) for at in range(count)]


def place_of(encoders, name, root, threads=1):
    network = network_of(encoders, name)
    return Place(
        "cpu",
        threads,
        lambda count, seed: calls(name, min(count, N), seed, encoders["text"]),
        Store(name, network.identity, root),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One cache for the tests that only read it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def no_time(monkeypatch):
    monkeypatch.setattr(choice_module, "MEASURED_S", 0.0)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["face", "audio", "text"])
def test_exported_networks_give_what_torch_gives(encoders, kept, name, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    network, place = network_of(encoders, name), place_of(encoders, name, kept)
    opened = open_form(Form(runtime, "fp32"), network, place)
    reference = Reference(TorchRuntime(network.module), place.material(N, 5))
    parity = compare(reference, opened)
    assert parity.passed, parity
    assert parity.n_inputs == N
    for one, (features, logits) in zip(
        reference.inputs, map(reference.outputs, range(N)), strict=True
    ):
        found = opened.run(*one)
        np.testing.assert_allclose(found[0], features, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[1], logits, rtol=1e-3, atol=1e-4)
        assert found[0].dtype == found[1].dtype == np.float32


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_neighbours_in_a_batch_change_nothing(encoders, kept, runtime):
    if runtime == "openvino":
        pytest.importorskip("openvino")
    form = Form(runtime, "fp32")
    for name in ("face", "audio"):
        opened = open_form(form, network_of(encoders, name), place_of(encoders, name, kept))
        alone = [opened.run(*one) for one in calls(name, 3, 7)]
        batch = opened.run(np.concatenate([one[0] for one in calls(name, 3, 7)]))
        for place in (0, 1):
            together = np.concatenate([one[place] for one in alone])
            np.testing.assert_allclose(batch[place], together, rtol=1e-4, atol=1e-5)
    text = encoders["text"]
    texts = ["a", "abcdefghijkl mno", "he he"]
    expected = [text.encode([one])[0][0] for one in texts]
    place = place_of(encoders, "text", kept)
    other = DistilRobertaEncoder.__new__(DistilRobertaEncoder)
    other.__dict__.update(text.__dict__)
    other.runtime = open_form(form, network_of(encoders, "text"), place)
    np.testing.assert_allclose(other.encode(texts)[0], expected, rtol=1e-3, atol=1e-4)


def test_int8_is_other_arithmetic_near_enough_to_compare(encoders, kept):
    for name in ("face", "audio", "text"):
        network, place = network_of(encoders, name), place_of(encoders, name, kept)
        opened = open_form(INT8, network, place)
        reference = Reference(TorchRuntime(network.module), place.material(N, 5))
        parity = compare(reference, opened)
        assert 0.9 < parity.cosine < 1.0 - 1e-7, name
        whole = place.store.folder / "int8.onnx"
        assert whole.stat().st_size < (place.store.folder / "fp32.onnx").stat().st_size * 1.5


def test_what_agrees_is_chosen_and_remembered(encoders, tmp_path, monkeypatch):
    network, place = network_of(encoders, "text"), place_of(encoders, "text", tmp_path)
    assert recall("onnx", "fp32", place) is None
    lines = []
    made = choose(network, "onnx", "fp32", place, tell=lines.append)
    assert made.form == ONNX
    assert "0 other labels on 6 inputs" in made.agreement
    assert made.cost_ms.keys() == {"onnx fp32"}
    assert lines == ["text: making onnx fp32", "text: comparing onnx fp32 with torch on 6 inputs"]
    assert recall("onnx", "fp32", place) == made
    assert recall("auto", "auto", place) is None
    assert recall("onnx", "fp32", place_of(encoders, "text", tmp_path, threads=2)) is None
    monkeypatch.setattr(choice_module, "processor", lambda: "another machine")
    assert recall("onnx", "fp32", place) is None


def test_the_fastest_that_agrees_is_chosen(encoders, tmp_path, monkeypatch):
    network, place = network_of(encoders, "face"), place_of(encoders, "face", tmp_path)
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    costs = {"onnx int8": 1.0, "onnx fp32": 2.0, "torch fp32": 3.0}
    monkeypatch.setattr(choice_module, "_timed", lambda *_args, **_kwargs: costs)
    monkeypatch.setattr(
        choice_module,
        "compare",
        lambda _reference, runtime: Parity(7, 0.5, 3) if runtime.form == INT8 else Parity(25, 1, 0),
    )
    made = choose(network, "auto", "auto", place)
    assert made.form == ONNX
    assert made.refused == {"onnx int8": "lowest cosine 0.50000, 3 other labels on 7 inputs"}
    costs["torch fp32"] = 0.5
    assert choose(network, "auto", "auto", place).form == REFERENCE


def test_what_disagrees_is_refused_with_the_reason(encoders, tmp_path, monkeypatch):
    network, place = network_of(encoders, "text"), place_of(encoders, "text", tmp_path)

    class Wrong:
        form = ONNX

        def run(self, *inputs):
            features, logits = TorchRuntime(network.module).run(*inputs)
            return features, -logits

    monkeypatch.setattr(choice_module, "open_form", lambda *_: Wrong())
    with pytest.raises(ModelError) as caught:
        choose(network, "onnx", "fp32", place)
    text = str(caught.value)
    assert "\n" not in text
    assert "text encoder cannot run as models.runtime=onnx" in text
    assert "lowest cosine 1.00000, 6 other labels on 6 inputs" in text
    assert recall("onnx", "fp32", place) is None


def test_values_that_are_not_finite_never_agree(encoders):
    network = network_of(encoders, "text")
    reference = Reference(TorchRuntime(network.module), calls("text", 3, 1, encoders["text"]))

    class Broken:
        form = ONNX

        def run(self, *inputs):
            features, logits = TorchRuntime(network.module).run(*inputs)
            return features * np.float32("nan"), logits

    assert not compare(reference, Broken()).passed


def test_files_are_made_once_and_again_when_damaged(tmp_path):
    store = Store("face", "0" * 64, tmp_path)
    made = []

    def make(path):
        made.append(path)
        path.write_bytes(b"network %d" % len(made))

    path = store.file("fp32.onnx", make)
    assert store.file("fp32.onnx", make) == path
    assert Store("face", "0" * 64, tmp_path).find("fp32.onnx") == path
    assert len(made) == 1
    path.write_bytes(b"networ")
    assert store.find("fp32.onnx") is None
    store.file("fp32.onnx", make)
    assert len(made) == 2
    assert path.read_bytes() == b"network 2"
    (store.folder / "files.json").write_text("{")
    store.file("fp32.onnx", make)
    assert len(made) == 3


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    store = Store("face", "0" * 64, tmp_path)

    def fail(path):
        path.write_bytes(b"half")
        raise ModelError("no")

    with pytest.raises(ModelError, match="no"):
        store.file("fp32.onnx", fail)
    assert not [path for path in store.folder.iterdir() if path.suffix != ".json"]


def test_other_weights_and_versions_have_their_own_folder(tmp_path, monkeypatch):
    def make(path):
        path.write_bytes(b"x" * 10)

    first = Store("face", "0" * 64, tmp_path).file("fp32.onnx", make)
    other = Store("face", "1" * 64, tmp_path).file("fp32.onnx", make)
    assert first != other
    monkeypatch.setattr(
        "realtime_er.encoders.runtimes.store.versions", lambda: {"torch": "another"}
    )
    newer = Store("face", "0" * 64, tmp_path)
    assert newer.find("fp32.onnx") is None
    newer.file("fp32.onnx", make)
    assert not first.exists()
    assert other.exists()
    assert clear(tmp_path) >= 20
    assert clear(tmp_path) == 0


def test_of_two_that_need_a_file_one_waits(tmp_path):
    begun, made, found = threading.Event(), [], []

    def make(path):
        begun.set()
        made.append(path)
        path.write_bytes(b"network")

    def need():
        found.append(Store("face", "0" * 64, tmp_path).file("fp32.onnx", make))

    first = threading.Thread(target=need)
    first.start()
    begun.wait(5)
    need()
    first.join(5)
    assert len(found) == 2
    assert len(made) == 1


def test_an_unreadable_choice_is_none_at_all(tmp_path, encoders):
    place = place_of(encoders, "text", tmp_path)
    place.store.remember(choice_module.key_of("auto", "auto", place), {"form": "fast"})
    assert recall("auto", "auto", place) is None
    made = Choice(ONNX, {"onnx fp32": 1.5}, {"onnx int8": "no"}, "near")
    assert Choice.from_record(json.loads(json.dumps(made.to_record()))) == made


def test_a_missing_openvino_is_one_line(monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        candidates("openvino", "auto", "cpu")
    assert "pip install" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {form.runtime for form in candidates("auto", "auto", "cpu")} == {"onnx", "torch"}


def test_a_form_that_cannot_be_is_named():
    with pytest.raises(
        ConfigError, match=r"models\.precision=fp16 cannot run here; there are onnx"
    ):
        candidates("onnx", "fp16", "cpu")
    assert candidates("auto", "fp16", "cuda") == [Form("torch", "fp16")]


def test_halves_of_torch_stay_near(encoders):
    network = network_of(encoders, "audio")
    reference = Reference(TorchRuntime(network.module), calls("audio", 3, 1))
    half = TorchRuntime(network.module, precision="bf16")
    assert str(half.form) == "torch bf16"
    parity = compare(reference, half)
    assert 0.99 < parity.cosine < 1.0
    features, logits = half.run(*reference.inputs[0])
    assert features.dtype == logits.dtype == np.float32
