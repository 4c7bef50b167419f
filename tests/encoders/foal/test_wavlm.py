"""WavLM for Foal-Net: lengths, padding, loading."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.encoders.foal import wavlm  # noqa: E402
from realtime_er.errors import SpecMismatch, WeightsMissing  # noqa: E402
from tests.encoders.foal import tiny  # noqa: E402


def test_the_length_formula_is_the_published_one():
    with torch.device("meta"):
        large = wavlm.new_wavlm()
    counts = wavlm.state_counts(torch.tensor([96_000, 40_000, 400, 399]), large.config)
    assert counts.tolist() == [299, 124, 1, 0]
    assert sum(p.numel() for p in large.parameters()) == 315_453_120
    wavlm.freeze_front_end(large)
    frozen = sum(p.numel() for p in large.parameters() if not p.requires_grad)
    assert frozen == 315_453_120 + 14_321_161 - 325_567_689


def test_sound_is_cut_and_normalised_by_a_named_switch():
    sound = (0.3 + 0.1 * np.random.default_rng(0).normal(size=100_000)).astype(np.float32)
    raw = wavlm.prepare_sound(sound, normalise=False)
    assert np.array_equal(raw, sound[:96_000])
    ready = wavlm.prepare_sound(sound)
    exact = sound[:96_000].astype(np.float64)
    assert np.allclose(ready, (exact - exact.mean()) / exact.std(), atol=1e-4)
    with pytest.raises(ValueError, match=r"sound must be \[samples\]"):
        wavlm.prepare_sound(sound[None])
    with pytest.raises(ValueError, match="not finite"):
        wavlm.prepare_sound(np.array([0.0, np.nan], np.float32), normalise=False)


def test_padding_never_changes_states():
    net = tiny.make_wavlm()
    random = np.random.default_rng(1)
    sounds = [random.normal(size=n).astype(np.float32) for n in (17_000, 30_000, 9_000)]
    with torch.no_grad():
        states, mask = wavlm.encode_sounds(net, *wavlm.stack_sounds(sounds))
        for row, sound in enumerate(sounds):
            batch, samples = wavlm.stack_sounds([sound])
            alone, there = wavlm.encode_sounds(net, batch, samples)
            count = int(wavlm.state_counts(samples, net.config)[0])
            assert int(mask[row].sum()) == int(there.sum()) == count
            assert torch.allclose(states[row][mask[row]], alone[0][there[0]], atol=2e-6)


def test_what_cannot_be_encoded_is_refused():
    net = tiny.make_wavlm()
    batch, samples = wavlm.stack_sounds([np.zeros(100, np.float32)])
    assert batch.shape == (1, 16_000)
    with pytest.raises(ValueError, match="100 samples is too short"):
        wavlm.encode_sounds(net, batch, samples)
    net.config.feat_extract_norm = "group"
    with pytest.raises(SpecMismatch, match="padding would change its results"):
        wavlm.encode_sounds(net, batch, samples)


def test_loading_from_the_hub_layout(tmp_path):
    folder = tiny.write_wavlm(tmp_path / "wavlm")
    found = wavlm.load_wavlm(folder)
    wanted = tiny.make_wavlm().state_dict()
    for name, value in found.net.state_dict().items():
        if name != "masked_spec_embed":
            assert torch.equal(value, wanted[name]), name
    assert found.config["hidden_size"] == 16
    assert found.encoder_id == f"wavlm/{found.sha256[:12]}"
    # A fine-tuned network's WavLM is found under its prefix.
    state = {f"wavlm.{name}": value for name, value in wanted.items()}
    torch.save({**state, "cls_head.bias": torch.zeros(4)}, folder / "pytorch_model.bin")
    again = wavlm.load_wavlm(folder)
    assert torch.equal(again.net.state_dict()["masked_spec_embed"], wanted["masked_spec_embed"])

    (folder / "config.json").write_text(
        json.dumps({**tiny.WAVLM_CONFIG, "feat_extract_norm": "group"})
    )
    with pytest.raises(SpecMismatch, match="padding would change its results"):
        wavlm.load_wavlm(folder)
    (folder / "config.json").write_text(json.dumps(tiny.WAVLM_CONFIG))

    torch.save({"layer.weight": torch.zeros(2)}, folder / "pytorch_model.bin")
    with pytest.raises(SpecMismatch, match="not a WavLM"):
        wavlm.load_wavlm(folder)
    with pytest.raises(WeightsMissing, match="none of model"):
        wavlm.load_wavlm(tmp_path)
