"""The published bundle in another form than torch: prepared, recorded, checked, refused."""

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

from realtime_er import recompute as recompute_module  # noqa: E402
from realtime_er.bundles import paper_runtimes  # noqa: E402
from realtime_er.bundles.paper import PaperBundle  # noqa: E402
from realtime_er.cli import app  # noqa: E402
from realtime_er.encoders.runtimes import choice as choice_module  # noqa: E402
from realtime_er.encoders.runtimes import opening, store  # noqa: E402
from realtime_er.encoders.runtimes.onnx_runtime import OnnxRuntime  # noqa: E402
from realtime_er.encoders.runtimes.parity import Parity  # noqa: E402
from realtime_er.errors import ModelError  # noqa: E402
from realtime_er.recording.manifest import read_manifest  # noqa: E402
from tests.bundles.clips import settings_of  # noqa: E402
from tests.bundles.test_paper import (  # noqa: E402
    NO_MEDIA,
    both,
    configured,
    one_line,
    run,
    write_audio,
)
from tests.encoders.paper import tiny  # noqa: E402

ALL = ("face", "audio", "text")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny.write_face(folder / "face")
    write_audio(folder / "audio")
    tiny.write_text(folder / "text")
    return settings_of(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small_and_kept_apart(cache, monkeypatch):
    """Few inputs, no measuring, and a cache that is the test's own."""
    monkeypatch.setattr(store, "default_root", lambda: cache)
    monkeypatch.setattr(choice_module, "N_INPUTS", 6)
    monkeypatch.setattr(choice_module, "MEASURED_S", 0.0)
    monkeypatch.setattr(opening, "N_CALIBRATION", 4)


def as_onnx(settings, **more):
    return configured(settings, models__runtime="onnx", models__precision="fp32", **more)


def test_a_recorded_session_names_its_runtime_and_can_be_checked_without_it(
    encoders, tmp_path, monkeypatch
):
    by_torch, *_ = run(configured(encoders), both(3.0))
    assert by_torch.notices == (paper_runtimes.NOT_TUNED,)
    models, estimates, _ = run(as_onnx(encoders), both(5.0), record=(tmp_path / "s", NO_MEDIA))
    assert models.notices == ()
    # What a fusion head is bound to is the weights, not what runs them.
    assert models.head.encoder_ids == by_torch.head.encoder_ids
    known = read_manifest(tmp_path / "s").models
    for kind in ("face", "speech", "text"):
        assert (known[kind]["runtime"], known[kind]["precision"]) == ("onnx", "fp32")
        assert known[kind]["runtime_version"]
        assert by_torch.describe()[kind]["runtime"] == "torch"

    def nothing_is_run(*_args):
        raise ModelError("no runtime on this machine")

    monkeypatch.setattr(opening, "open_form", nothing_is_run)
    compared = recompute_module.check(tmp_path / "s")
    assert compared.equal, compared.line()
    assert compared.n_equal == len(estimates)


def test_once_prepared_the_networks_of_torch_are_let_go(encoders):
    bundle = PaperBundle(as_onnx(encoders))
    bundle.load(ALL)
    bundle.prepare()
    bundle.prepare()
    for name in ALL:
        encoder = bundle._encoders[name]
        assert isinstance(encoder.runtime, OnnxRuntime)
        assert encoder.network is None
    vector, logits = bundle.text.encode("so happy")
    assert (vector.shape, logits.shape) == ((16,), (7,))


def test_what_disagrees_is_refused_in_one_line(encoders, monkeypatch):
    monkeypatch.setattr(choice_module, "compare", lambda *_: Parity(20, 0.9, 3))
    bundle = PaperBundle(configured(encoders, models__runtime="onnx", models__precision="int8"))
    bundle.load({"text"})
    with pytest.raises(ModelError, match=r"lowest cosine 0\.90000, 3 other labels on 20") as raised:
        bundle.prepare()
    one_line(raised)


def test_a_runtime_that_is_not_there_is_one_line(encoders, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    bundle = PaperBundle(configured(encoders, models__runtime="openvino"))
    bundle.load({"text"})
    with pytest.raises(ModelError, match=r'pip install "realtime_er\[openvino\]"') as raised:
        bundle.prepare()
    one_line(raised)


def test_tune_shows_what_it_found_and_the_next_session_uses_it(encoders, monkeypatch):
    forms = {"onnx fp32": 1.0, "torch fp32": 2.0, "onnx int8": 3.0}
    monkeypatch.setattr(choice_module, "_timed", lambda *_args, **_kwargs: forms)
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    args = ["models", "tune"]
    for name, value in encoders.items():
        args += ["--set", f"{name}={value}"]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    assert "comparing onnx fp32 with torch on 6 inputs" in done.output
    assert "used" in done.output
    again = CliRunner().invoke(app, args)
    assert "comparing" not in again.output
    assert "onnx fp32" in again.output
    bundle = PaperBundle(configured(encoders))
    bundle.load(ALL)
    bundle.prepare()
    assert bundle.notices == ()
    assert {one["runtime"] for one in bundle.describe().values()} == {"onnx"}
    # Rows that analyze made with torch are not taken for what this would make.
    assert [name.partition(" ")[2] for name in bundle.identities()] == [*["onnx fp32"] * 3, ""]
    cleared = CliRunner().invoke(app, ["models", "tune", "--clear"])
    assert cleared.output.startswith("freed")
    fresh = PaperBundle(configured(encoders))
    fresh.load({"text"})
    fresh.prepare()
    assert fresh.notices == (paper_runtimes.NOT_TUNED,)
