"""The speech encoder: published sizes, its equations, both spellings, silence."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.wav2vec2 import (  # noqa: E402
    EmotionWav2Vec2,
    Wav2Vec2Encoder,
    normalise_windows,
)
from realtime_er.errors import SpecMismatch  # noqa: E402
from tests.encoders.paper import tiny, transcribed  # noqa: E402
from tests.encoders.paper.published import assert_published, read_keys  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def _library():
    torch.set_num_threads(1)
    pytest.importorskip("transformers")
    from transformers import Wav2Vec2Model  # noqa: F401 - seconds, once


def sound(seed, samples=640):
    rng = np.random.default_rng(seed)
    return (0.02 + 0.1 * rng.normal(size=samples)).astype(np.float32)


def test_full_size_has_the_published_entries(shared_dir):
    with torch.device("meta"):
        net = EmotionWav2Vec2()
    assert_published(net, shared_dir / "keys" / "mer_audio.txt", entries=215, count=94_570_375)


def test_full_size_reads_four_seconds_as_199_frames():
    with torch.device("meta"):
        net = EmotionWav2Vec2().eval()
        frames = []
        net.projector.register_forward_hook(lambda _m, _i, out: frames.append(tuple(out.shape)))
        features, logits = net(torch.empty(2, 64_000))
    assert frames == [(2, 199, 256)]
    assert (tuple(features.shape), tuple(logits.shape)) == ((2, 256), (2, 7))


def test_agrees_with_the_equations(tmp_path):
    net = tiny.make_audio()
    encoder = Wav2Vec2Encoder(tiny.write_audio(tmp_path).parent)
    window = sound(1)
    features, logits = encoder.encode(window[None])
    expected = transcribed.wav2vec2(
        window.astype(np.float64), transcribed.weights(net), tiny.AUDIO_CONFIG
    )
    np.testing.assert_allclose(features[0], expected[0], atol=2e-5)
    np.testing.assert_allclose(logits[0], expected[1], atol=2e-5)


def test_a_window_does_not_depend_on_its_batch(tmp_path):
    encoder = Wav2Vec2Encoder(tiny.write_audio(tmp_path))
    # More than one batch, loud beside quiet.
    windows = np.stack([(1 + seed) * sound(seed) for seed in range(10)])
    together, _ = encoder.encode(windows)
    for index in (0, 7, 9):
        alone, _ = encoder.encode(windows[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], atol=2e-6)
    assert encoder.encode(windows[:0])[0].shape == (0, tiny.AUDIO_PROJECTED)


def test_loudness_and_offset_do_not_matter_but_to_rounding(tmp_path):
    encoder = Wav2Vec2Encoder(tiny.write_audio(tmp_path))
    window = sound(1)[None]
    plain, _ = encoder.encode(window)
    louder, _ = encoder.encode(0.3 + 2.0 * window)
    np.testing.assert_allclose(louder, plain, atol=1e-3)


def test_silence_stays_silence():
    windows = normalise_windows(
        np.stack([np.zeros(800, np.float32), np.full(800, 0.2, np.float32)])
    )
    np.testing.assert_array_equal(windows[0], 0.0)
    assert np.abs(windows[1]).max() < 1e-3
    loud = normalise_windows(sound(3)[None])
    assert abs(loud.mean()) < 1e-6
    assert loud.std() == pytest.approx(1.0, abs=1e-4)


def test_both_spellings_of_the_weight_norm_load_to_the_same(tmp_path):
    state = tiny.contiguous(tiny.make_audio())
    at = "wav2vec2.encoder.pos_conv_embed.conv"
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        state[f"{at}.{old}"] = state.pop(f"{at}.parametrizations.weight.{new}")
    new_spelling = Wav2Vec2Encoder(tiny.write_audio(tmp_path / "new"))
    folder = tmp_path / "old"
    tiny.write_audio(folder)
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    window = sound(5)[None]
    np.testing.assert_array_equal(
        Wav2Vec2Encoder(folder).encode(window)[0], new_spelling.encode(window)[0]
    )


def test_a_checkpoint_without_the_masking_vector_loads(tmp_path):
    state = tiny.contiguous(tiny.make_audio())
    del state["wav2vec2.masked_spec_embed"]
    path = tiny.write_audio(tmp_path).with_name("audio.pth")
    torch.save(state, path)
    window = sound(2)[None]
    np.testing.assert_array_equal(
        Wav2Vec2Encoder(path).encode(window)[0], Wav2Vec2Encoder(tmp_path).encode(window)[0]
    )


def test_half_precision_weights_are_computed_in_single(tmp_path):
    state = {name: value.half() for name, value in tiny.contiguous(tiny.make_audio()).items()}
    path = tiny.write_audio(tmp_path).with_name("audio.pth")
    torch.save(state, path)
    features, _ = Wav2Vec2Encoder(path).encode(sound(2)[None])
    assert features.dtype == np.float32


def test_labels_come_from_the_files(tmp_path):
    path = tiny.write_audio(tmp_path)
    assert Wav2Vec2Encoder(path).labels[:2] == ("SAD", "ANGRY")
    assert Wav2Vec2Encoder(path, labels=tuple("abcdef")).labels == tuple("abcdef")
    with pytest.raises(SpecMismatch, match="6 classes"):
        Wav2Vec2Encoder(path, labels=("a", "b"))


@pytest.mark.parametrize("windows", [np.zeros(640), np.zeros((2, 100)), np.full((1, 640), np.inf)])
def test_bad_windows_are_refused(tmp_path, windows):
    encoder = Wav2Vec2Encoder(tiny.write_audio(tmp_path))
    with pytest.raises(ValueError, match="windows"):
        encoder.encode(windows.astype(np.float32))


@pytest.mark.slow
def test_full_size_runs_with_random_weights(tmp_path, shared_dir):
    state = {
        name: torch.randn(shape) * 0.02 + (1.0 if name.endswith("original0") else 0.0)
        for name, shape in read_keys(shared_dir / "keys" / "mer_audio.txt").items()
    }
    torch.save(state, tmp_path / "audio.pth")
    encoder = Wav2Vec2Encoder(tmp_path / "audio.pth")
    features, logits = encoder.encode(sound(1, 64_000)[None])
    assert features.shape == (1, 256)
    assert np.isfinite(features).all()
    assert logits.shape == (1, 7)
    assert encoder.labels[0] == "Neutral"
