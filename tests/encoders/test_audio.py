"""The streaming speech encoder: any split, the whole clip, and a cost that does not grow."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.bundle import write_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch, WeightsMissing
from realtime_er.resources import resource_dir
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.export import card_of, export_encoder, export_head
from realtime_er.training.speech.model import (
    SpeechNet,
    StreamingGraph,
    clip_features,
    clip_power,
    pool,
)
from realtime_er.training.speech.train import LABELS

STEP = 1280


def _network() -> SpeechNet:
    torch.manual_seed(3)
    net = SpeechNet(len(LABELS))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Untrained normalisation passes everything; make every part of it matter.
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    return net.eval()


@pytest.fixture(scope="module")
def network() -> SpeechNet:
    return _network()


@pytest.fixture(scope="module")
def folder() -> Path:
    """The model that ships."""
    return resource_dir("assets") / "models" / "compact-speech"


@pytest.fixture(scope="module")
def exported(network: SpeechNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speech")
    export_encoder(network, out / "model.onnx")
    export_head(network, out / "head.onnx")
    clip = SpeechClip(Path("x.flac"), "ravdess-01", "calm", "ravdess")
    write_card(out, card_of(LABELS, {}, ["ravdess-20"], recipe=SpeechRecipe(), trained_on=[clip]))
    return out


def _sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of noise over a quiet floor, with digital silence first: hard for the level."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * 16_000)) / 16_000
    loud = 0.001 + 0.2 * (np.sin(2 * np.pi * 1.7 * time_s) > 0.3)
    sound = loud * rng.standard_normal(len(time_s)) + 0.05 * np.sin(2 * np.pi * 180 * time_s)
    sound[:900] = 0.0
    return np.clip(sound, -1, 1).astype(np.float32)


def _stack(pairs: list[tuple[int, np.ndarray]]) -> np.ndarray:
    return np.stack([embedding for _, embedding in pairs])


def test_step_graph_equals_whole_clip(network: SpeechNet) -> None:
    graph = StreamingGraph(network).eval()
    sound = torch.from_numpy(_sound(4.0))[None]
    states = list(graph.zero_states().values())
    found = []
    with torch.no_grad():
        for first in range(0, sound.shape[1], STEP):
            embedding, _, *states = graph(sound[:, first : first + STEP], *states)
            found.append(embedding[0])
        offline, _ = network.encode(clip_features(clip_power(sound)))
    torch.testing.assert_close(torch.stack(found), offline[0], atol=1e-4, rtol=0)


@pytest.mark.slow
def test_exported_stream_equals_whole_clip(exported: Path, network: SpeechNet) -> None:
    sound = _sound(4.0)
    streamed = _stack(StreamingAudioEncoder(exported).push(0, sound))
    whole = torch.from_numpy(sound[: len(streamed) * STEP])[None]
    with torch.no_grad():
        offline, _ = network.encode(clip_features(clip_power(whole)))
    assert streamed.shape == (50, 96)
    assert np.abs(streamed).max() > 0.1
    np.testing.assert_allclose(streamed, offline[0].numpy(), atol=1e-4)


@pytest.mark.parametrize("block", [1, 160, 511, 1280, 4000])
def test_any_split_gives_the_same(folder: Path, block: int) -> None:
    sound = _sound(0.5)
    expected = StreamingAudioEncoder(folder).push(700, sound)
    encoder = StreamingAudioEncoder(folder)
    found = []
    for first in range(0, len(sound), block):
        found += encoder.push(700 + first, sound[first : first + block])
    assert [end for end, _ in found] == [end for end, _ in expected]
    assert expected[0][0] == 700 + STEP
    assert encoder.next_end_sample == 700 + (len(expected) + 1) * STEP
    np.testing.assert_array_equal(_stack(found), _stack(expected))


def test_gap_starts_afresh(folder: Path) -> None:
    sound = _sound(1.0)
    encoder = StreamingAudioEncoder(folder)
    encoder.push(0, _sound(0.73, seed=5))
    assert encoder.push(20_000, np.zeros(0, np.float32)) == []
    after = encoder.push(50_000, sound)
    fresh = StreamingAudioEncoder(folder).push(50_000, sound)
    assert after[0][0] == 50_000 + STEP
    np.testing.assert_array_equal(_stack(after), _stack(fresh))
    encoder.reset()
    assert encoder.next_end_sample is None


def test_gain_cancels_out(folder: Path) -> None:
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    loud = _stack(StreamingAudioEncoder(folder).push(0, sound))
    soft = _stack(StreamingAudioEncoder(folder).push(0, 0.1 * sound))
    np.testing.assert_allclose(soft, loud, atol=2e-3)


def test_cost_of_a_step_does_not_grow(folder: Path) -> None:
    encoder = StreamingAudioEncoder(folder)
    step = _sound(0.08)
    costs_s = []
    for number in range(300):
        started_s = time.thread_time()
        encoder.push(number * STEP, step)
        costs_s.append(time.thread_time() - started_s)
    # Generous: a cost that grew with the stream would be many times the early one.
    assert np.median(costs_s[200:]) < 3 * np.median(costs_s[20:120]) + 1e-3


@pytest.mark.slow
def test_exported_head_takes_pooled_statistics(exported: Path, network: SpeechNet) -> None:
    steps = torch.from_numpy(_stack(StreamingAudioEncoder(exported).push(0, _sound(2.0))))
    statistics = torch.cat([steps.mean(0), steps.std(0, correction=0)])[None]
    counts = torch.tensor([len(steps)])
    np.testing.assert_allclose(statistics, pool(steps[None], counts), atol=2e-3)
    found = onnx_session(exported / "head.onnx").run(
        ["logits"], {"statistics": np.repeat(statistics.numpy(), 3, axis=0)}
    )[0]
    with torch.no_grad():
        expected = network.head(statistics)
    assert found.shape == (3, len(LABELS))
    np.testing.assert_allclose(found[2], expected[0], atol=1e-4)


def test_refuses_what_is_not_its_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        StreamingAudioEncoder(tmp_path)
    encoder = StreamingAudioEncoder(folder)
    assert (encoder.dim, encoder.step_samples, encoder.sample_rate_hz) == (96, STEP, 16_000)
    assert encoder.encoder_id == "compact-speech-2"
    with pytest.raises(ValueError, match=r"\[N\]"):
        encoder.push(0, np.zeros((2, 10), np.float32))
    (tmp_path / "model.onnx").write_bytes((folder / "head.onnx").read_bytes())
    clip = SpeechClip(Path("x.flac"), "ravdess-01", "calm", "ravdess")
    card = card_of(LABELS, {}, [], recipe=SpeechRecipe(), trained_on=[clip])
    write_card(tmp_path, {**card, "head": {"file": "model.onnx"}})
    with pytest.raises(SpecMismatch):
        StreamingAudioEncoder(tmp_path)


def test_real_speech(folder: Path, clips_dir: Path) -> None:
    import soundfile
    import soxr

    sound, rate_hz = soundfile.read(clips_dir / "speech_jfk.flac", dtype="float32", always_2d=True)
    mono = soxr.resample(sound.mean(axis=1), rate_hz, 16_000).astype(np.float32)
    steps = _stack(StreamingAudioEncoder(folder).push(0, mono))
    assert np.isfinite(steps).all()
    assert steps.std(axis=0).mean() > 0.05
