"""CLIP's picture half for Foal-Net: preparation as the library's, loading, batches."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.encoders.foal import clip  # noqa: E402
from realtime_er.errors import SpecMismatch  # noqa: E402
from tests.encoders.foal import tiny  # noqa: E402


def pictures(*sizes, seed=0):
    random = np.random.default_rng(seed)
    found = []
    for height, width in sizes:
        smooth = random.normal(size=(8, 8, 3)).cumsum(axis=0).cumsum(axis=1) * 12 + 128
        rows = np.linspace(0, 7, height).astype(int)
        columns = np.linspace(0, 7, width).astype(int)
        found.append(np.clip(smooth[rows][:, columns], 0, 255).astype(np.uint8))
    return found


@pytest.mark.slow  # the library takes its time to import
def test_pictures_are_prepared_as_the_library_prepares_them():
    processing = pytest.importorskip("transformers.models.clip.image_processing_clip")
    processor = processing.CLIPImageProcessor()
    for picture in pictures((240, 360), (360, 240), (100, 100), (225, 301)):
        wanted = processor(picture[..., ::-1].copy(), return_tensors="pt")["pixel_values"][0]
        found = clip.prepare_picture(picture)
        assert found.shape == wanted.shape == (3, 224, 224)
        # One level of 255 at most, from rounding.
        assert float((found - wanted).abs().max()) < 1.1 / 255 / 0.26
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="picture must be"):
            clip.prepare_picture(bad)


def test_full_size_is_the_published_picture_half():
    with torch.device("meta"):
        large = clip.new_clip()
    assert large.visual_projection.weight.shape == (768, 1024)
    assert sum(p.numel() for p in large.parameters()) == 303_966_208


def test_encoding_is_the_library_s_and_independent_of_the_batch(tmp_path):
    folder = tiny.write_clip(tmp_path / "clip")
    encoder = clip.ClipImageEncoder(folder)
    shown = pictures((20, 30), (16, 16), (40, 18), seed=3)
    found = encoder.encode(shown)
    assert found.shape == (3, encoder.dim) == (3, 12)
    net = tiny.make_clip()
    for row, picture in zip(found, shown, strict=True):
        ready = clip.prepare_picture(picture, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
        with torch.no_grad():
            wanted = net(ready[None]).image_embeds[0].numpy()
        assert np.allclose(row, wanted, atol=1e-5)
    assert encoder.encode([]).shape == (0, 12)
    assert encoder.encoder_id == f"clip/{encoder.sha256[:12]}"


def test_wrong_files_are_one_clear_line(tmp_path):
    folder = tiny.write_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [1.0]}))
    with pytest.raises(SpecMismatch, match="must be three numbers each"):
        clip.ClipImageEncoder(folder)
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(SpecMismatch, match="cannot be read"):
        clip.ClipImageEncoder(folder)
    tiny.write_wavlm(tmp_path / "wavlm")
    with pytest.raises(SpecMismatch, match="not a CLIP"):
        clip.ClipImageEncoder(tmp_path / "wavlm")
