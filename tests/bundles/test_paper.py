"""The published bundle from end to end, with small random weights in the hub's own layout."""

import builtins
import csv
import json
import threading

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

from realtime_er import recompute as recompute_module  # noqa: E402
from realtime_er.analyze import model_ids  # noqa: E402
from realtime_er.bundles import paper as paper_module  # noqa: E402
from realtime_er.bundles.paper import PaperBundle, PaperFace  # noqa: E402
from realtime_er.cli import app  # noqa: E402
from realtime_er.config import load_config  # noqa: E402
from realtime_er.encoders.paper import distilroberta, emo_affectnet, wav2vec2  # noqa: E402
from realtime_er.encoders.paper.checkpoints import write_state  # noqa: E402
from realtime_er.errors import ConfigError, ModelError, SpecMismatch, WeightsMissing  # noqa: E402
from realtime_er.fusion.aggregation import audio_windows, recording_vector  # noqa: E402
from realtime_er.fusion.gated import GatedAttentionFusion  # noqa: E402
from realtime_er.messages import LABELS, Absence  # noqa: E402
from realtime_er.models import Models  # noqa: E402
from realtime_er.perception.face import FacePerception  # noqa: E402
from realtime_er.perception.face_box import BoxCutter  # noqa: E402
from realtime_er.perception.vad import SpeechDetector  # noqa: E402
from realtime_er.recording.manifest import read_manifest  # noqa: E402
from realtime_er.recording.options import RecordOptions  # noqa: E402
from realtime_er.session import Session  # noqa: E402
from tests.bundles import full_size  # noqa: E402
from tests.bundles.clips import settings_of, write_beginning  # noqa: E402
from tests.encoders.paper import tiny  # noqa: E402
from tests.fakes import CountingCamera, FakeSource, RampMicrophone, ramp  # noqa: E402
from tests.recording.loaded import FastClock  # noqa: E402
from tests.test_session import EchoRecognizer, OneFace, Voice  # noqa: E402

NO_MEDIA = RecordOptions(media=False)


def write_audio(folder):
    """Fewer frames than the usual small one, for many windows."""
    config = {**tiny.AUDIO_CONFIG, "conv_kernel": [20, 16], "conv_stride": [20, 16]}
    net = tiny.shaken(wav2vec2.EmotionWav2Vec2(config, tiny.AUDIO_PROJECTED, 6), 2)
    folder.mkdir()
    save_file(tiny.contiguous(net), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tiny.write_face(folder / "face")
    write_audio(folder / "audio")
    tiny.write_text(folder / "text")
    return settings_of(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_beginning(tmp_path_factory.mktemp("clip") / "five.mp4", 5.0)


class FakeSenses(Models):
    """The real bundle behind a detector, a voice detector and a recogniser that are fakes."""

    def __init__(self, config, speech=range(16_000, 80_000), away=range(0)):
        super().__init__(config)
        self._speech, self._away = speech, away

    def _load_recognizer(self):
        self.recognizer = EchoRecognizer()

    def face_perception(self):
        detector = OneFace(self._away)
        return FacePerception(self._config.face, detector, self._bundle.face_cutter("haar"))

    def speech_detector(self):
        partial_every_s = self._config.asr.partial_every_s
        return SpeechDetector(self._config.vad, partial_every_s, Voice(self._speech))


def configured(settings, **overrides):
    more = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_config("paper", {**settings, "face.min_sharpness": 0.0, **more})


def both(duration_s=6.0, **kwargs):
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    return FakeSource(CountingCamera(duration_s, image=image), RampMicrophone(duration_s), **kwargs)


def run(config, source, *, record=None, **senses):
    before = threading.active_count()
    models = FakeSenses(config, **senses)
    with Session(config, source=source, models=models, record=record) as session:
        estimates = list(session.estimates())
        whole = session.whole()
    assert threading.active_count() == before
    assert session.accounting().balanced, session.accounting().lines()
    return models, estimates, whole


def states(estimates, modality):
    return {round(e.time_s, 2): e.absent.get(modality) for e in estimates}


def analyze(clip, out, settings, *more):
    args = ["analyze", str(clip), "--out", str(out), "--config", "paper", *more]
    for name, value in settings.items():
        args += ["--set", f"{name}={value}"]
    return CliRunner().invoke(app, args)


def test_faces_of_a_file_are_encoded_together_and_nothing_else_changes(
    settings, tmp_path, monkeypatch
):
    """As on a GPU, whose one pass over many faces costs little more than over one."""
    seen = {"away": range(60, 75)}
    _, expected, whole = run(
        configured(settings), both(8.0), record=(tmp_path / "a", NO_MEDIA), **seen
    )
    sizes = []

    class Together(PaperFace):
        def __init__(self, encoder, _batch_size):
            super().__init__(encoder, 4)

        def encode_many(self, pictures):
            sizes.append(len(pictures))
            return super().encode_many(pictures)

    monkeypatch.setattr(paper_module, "PaperFace", Together)
    _, found, whole_found = run(
        configured(settings), both(8.0), record=(tmp_path / "b", NO_MEDIA), **seen
    )
    assert max(sizes) == 4
    assert len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        assert (one.time_s, one.label, one.absent) == (other.time_s, other.label, other.absent)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert whole_found.keys() == whole.keys()
    recorded = []
    for name in ("a", "b"):
        with Session.open(tmp_path / name) as session:
            found = session.embeddings()
        recorded.append(found[found["modality"] == "face"])
        assert recompute_module.check(tmp_path / name).equal
    assert len(recorded[0]) == len(recorded[1]) == sum(sizes)
    times_s = [list(table["end_s"]) for table in recorded]
    assert times_s[0] == times_s[1]
    # Live somebody waits for each.
    sizes.clear()
    run(configured(settings), both(1.0, realtime=True))
    assert not sizes


def test_analyze_reads_a_clip(clip, settings, tmp_path):
    done = analyze(clip, tmp_path, settings, "--no-text")
    assert done.exit_code == 0, done.output
    with (tmp_path / "five.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["time_s"]) for row in rows] == [k / 4 for k in range(1, len(rows) + 1)]
    assert len(rows) >= 19
    assert {row["state_face"] for row in rows} >= {"present"}
    # Nothing is heard before the first two seconds are full.
    heard = [row["state_audio"] for row in rows]
    assert heard[:7] == ["waiting"] * 7
    assert "present" in heard[8:]
    assert sum(float(rows[-1][label]) for label in LABELS) == pytest.approx(1.0, abs=1e-4)
    with (tmp_path / "summary.csv").open(newline="") as file:
        (summary,) = csv.DictReader(file)
    assert summary["contribution_face"]
    assert [part.rsplit("/", 1)[-1].split("@")[0] for part in summary["models"].split("; ")] == [
        "compact-detector-1", "face", "audio", "late", "whisper:none",
    ]  # fmt: skip


def test_every_modality_takes_part_and_its_evidence_has_an_age(settings):
    _, estimates, whole = run(configured(settings), both(7.0))
    assert len(estimates) == 28
    audio, text = states(estimates, "audio"), states(estimates, "text")
    assert (audio[1.75], audio[2.0]) == (Absence.WAITING, None)
    assert (text[1.0], text[3.0]) == (Absence.NO_WORDS, None)
    assert states(estimates, "face")[1.0] is None
    ages = {round(e.time_s, 2): e.timing.evidence_age_s["audio"] for e in estimates}
    assert [ages[t] for t in (4.0, 4.75, 5.75, 6.0)] == pytest.approx([0.0, 0.75, 1.75, 0.0])
    assert all(e.timing.evidence_age_s["face"] < 0.25 for e in estimates if e.time_s > 1)
    # The small voice model knows no Surprise, as the published one.
    everything = estimates[-1]
    assert np.isfinite(everything.probabilities).all()
    total = sum(everything.contributions.values())
    np.testing.assert_allclose(everything.probabilities - total, 1 / 7, atol=1e-5)
    assert whole["label"] in LABELS
    assert whole["contribution_audio"] is not None


@pytest.mark.parametrize(
    ("off", "loaded", "absent"),
    [
        ("camera", {"audio", "text"}, {"face": Absence.OFF}),
        ("microphone", {"face"}, {"audio": Absence.OFF, "text": Absence.OFF}),
        ("asr", {"face", "audio"}, {"text": Absence.OFF}),
    ],
)
def test_what_is_off_is_not_loaded_and_absent(settings, off, loaded, absent):
    config = configured(settings, **{f"{off}__enabled": False})
    models, estimates, _ = run(config, both(2.5))
    assert set(models.head.encoder_ids) == loaded
    assert set(models.describe()) >= {"fusion"}
    last = estimates[-1]
    assert {name: last.absent[name] for name in absent} == absent
    assert last.label is None or np.isfinite(last.probabilities).any()


def test_no_face_and_no_speech_are_absent(settings):
    _, estimates, whole = run(configured(settings), both(4.5), away=range(999), speech=range(0))
    last = estimates[-1]
    assert last.absent == {
        "face": Absence.NO_FACE,
        "audio": Absence.NO_SPEECH,
        "text": Absence.NO_WORDS,
    }
    assert np.isnan(last.probabilities).all()
    assert whole["label"] is None


def test_a_clip_too_short_for_a_window_is_still_scored_whole(settings):
    config = configured(settings, asr__enabled=False, camera__enabled=False)
    _, estimates, whole = run(config, both(1.5), speech=range(24_000))
    assert all(e.absent["audio"] is Absence.WAITING for e in estimates)
    assert whole["contribution_audio"] is not None
    encoder = wav2vec2.Wav2Vec2Encoder(settings["paper.audio"])
    windows = audio_windows(ramp(0, 24_000))
    vector = recording_vector(encoder.encode(windows)[0])
    models = FakeSenses(config)
    models.load(video=False, audio=True, text=False)
    from realtime_er.fusion.head import FusionInput

    scores = models.head.probabilities(FusionInput(audio=vector))[frozenset({"audio"})]
    got = np.array([np.nan if whole[label] is None else whole[label] for label in LABELS])
    np.testing.assert_allclose(got, scores, atol=1e-5)


def test_recorded_evidence_gives_the_same_estimates(settings, tmp_path, monkeypatch):
    config = configured(settings, paper__keep_windows=2)
    models, estimates, _ = run(config, both(7.0), record=(tmp_path / "s", NO_MEDIA))
    known = read_manifest(tmp_path / "s").models
    assert {known[kind]["id"].split("/")[0] for kind in ("face", "speech", "text")} == {
        "emo-affectnet-resnet50", "wav2vec2-base-mer", "distilroberta-mer",
    }  # fmt: skip
    assert all(len(known[kind]["sha256"]) == 64 for kind in ("face", "speech", "text"))
    assert known["fusion"]["id"] == models.head.head_id
    compared = recompute_module.check(tmp_path / "s")
    assert compared.equal, compared.line()
    assert compared.n_equal == len(estimates)
    # Other weights of the same kind are named.
    other = tmp_path / "other"
    torch.save(tiny.contiguous(tiny.make_face(seed=9)), _made(other) / emo_affectnet.FILES[0])
    changed = configured({**settings, "paper.face": str(other)}, paper__keep_windows=2)
    with pytest.raises(SpecMismatch, match=r"face embeddings come from emo-affectnet-resnet50/"):
        recompute_module.check(tmp_path / "s", changed)


def test_a_face_that_was_never_seen_is_known_to_late_fusion(settings, tmp_path):
    """The voice alone knows six labels; with an encoder of faces there were seven to share."""
    config = configured(settings, asr__enabled=False)
    run(config, both(3.0), away=range(999), record=(tmp_path / "s", NO_MEDIA))
    compared = recompute_module.check(tmp_path / "s")
    assert compared.equal, compared.line()


def _made(folder):
    folder.mkdir()
    return folder


def test_live_is_recorded_and_checked(settings, tmp_path, monkeypatch):
    """On a clock that runs fast some encoders are late; what they gave is what replay gives."""
    monkeypatch.setattr("realtime_er.session.SessionClock", lambda: FastClock(2.0))
    config = configured(settings, asr__enabled=False)
    source = both(5.0, realtime=True)
    _, estimates, _ = run(config, source, record=(tmp_path / "s", NO_MEDIA))
    indices = [estimate.index for estimate in estimates]
    assert indices == list(range(indices[0], indices[0] + len(indices)))
    compared = recompute_module.check(tmp_path / "s")
    assert compared.equal, compared.line()


def test_a_fusion_checkpoint_reads_its_encoders_only(settings, tmp_path):
    fitting = tmp_path / "fusion.pth"
    write_state(GatedAttentionFusion(20, 12, 16, gated_dim=4), fitting)
    config = configured(settings, paper__head=str(fitting))
    models, estimates, _ = run(config, both(3.0))
    assert models.describe()["fusion"]["sha256"]
    assert str(fitting) in model_ids(config, None)
    assert np.isfinite(estimates[-1].probabilities).all()
    full_size = tmp_path / "full.pth"
    write_state(GatedAttentionFusion(1024, 512, 768, gated_dim=4), full_size)
    with pytest.raises(SpecMismatch, match="encoder"):
        FakeSenses(configured(settings, paper__head=str(full_size))).load(
            video=True, audio=True, text=True
        )


def test_defaults_are_the_published_models():
    paper = load_config("paper").paper
    assert (paper.face, paper.audio, paper.text) == (
        emo_affectnet.HUB_ID, wav2vec2.HUB_ID, distilroberta.HUB_ID,
    )  # fmt: skip


def test_one_cutter_and_one_torch_setting(settings):
    config = configured(settings, models__threads=2)
    bundle = PaperBundle(config)
    before = torch.get_num_threads()
    try:
        bundle.load({"face"})
        seen = []
        # Each stage has a thread of its own; the setting holds there as well.
        worker = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        worker.start()
        worker.join()
        assert [torch.get_num_threads(), *seen] == [2, 2]
    finally:
        torch.set_num_threads(before)
    assert isinstance(bundle.face_cutter("yunet"), BoxCutter)
    with pytest.raises(ModelError, match="speech encoder is not loaded"):
        bundle.new_audio()


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_is_one_line(settings, monkeypatch, package):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    bundle = PaperBundle(configured(settings))
    for wanted in (lambda: bundle.load({"face"}), bundle.identities):
        with pytest.raises(ModelError) as raised:
            wanted()
        told = one_line(raised)
        assert package in told
        assert 'pip install "realtime_er[paper]"' in told


def test_settings_that_name_nothing_are_one_line(settings, tmp_path):
    headless = PaperBundle(configured(settings, paper__head=str(tmp_path / "none.pth")))
    headless.load({"face"})
    for wanted in (headless.load_head, headless.identities):
        with pytest.raises(WeightsMissing, match=r"none\.pth: no fusion head there") as raised:
            wanted()
        one_line(raised)
    missing = configured({**settings, "paper.audio": str(tmp_path / "none")})
    with pytest.raises(WeightsMissing, match="none") as raised:
        PaperBundle(missing).load({"audio"})
    one_line(raised)
    with pytest.raises(ConfigError, match=r"models\.directory is where compact models lie"):
        Models(configured(settings, models__directory=str(tmp_path)))


@pytest.mark.slow
def test_analyze_at_full_size(clip, tmp_path):
    """As published but for the values: 24.6, 94.6 and 82.1 million parameters."""
    full_size.write_encoders(tmp_path / "hub")
    done = analyze(clip, tmp_path / "out", settings_of(tmp_path / "hub"))
    assert done.exit_code == 0, done.output
    with (tmp_path / "out" / "five.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 19
    assert (rows[-1]["state_face"], rows[-1]["state_audio"]) == ("present", "present")
