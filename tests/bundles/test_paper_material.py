"""What fast forms are calibrated with and compared on."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.bundles import paper_material
from realtime_er.encoders.paper.faces import MEANS_BGR


def test_faces_are_the_clips_and_vary():
    made = [one[0] for one in paper_material.faces(12, 2)]
    assert {face.shape for face in made} == {(1, 3, 224, 224)}
    assert {face.dtype for face in made} == {np.dtype(np.float32)}
    levels = np.concatenate(made) + np.array(MEANS_BGR, np.float32)[None, :, None, None]
    assert levels.min() >= -1e-3
    assert levels.max() <= 255 + 1e-3
    # Pictures, not flat or noise: neighbours resemble each other.
    for face in made:
        assert np.corrcoef(face[0, :, :, 1:].ravel(), face[0, :, :, :-1].ravel())[0, 1] > 0.5
    assert len({face.tobytes() for face in made}) == len(made)
    again = [one[0] for one in paper_material.faces(12, 2)]
    assert all(np.array_equal(one, other) for one, other in zip(made, again, strict=True))
    assert not np.array_equal(made[0], paper_material.faces(1, 3)[0][0])


def test_windows_are_normalised_and_vary():
    made = np.concatenate([one[0] for one in paper_material.windows(12, 2)])
    assert made.shape == (12, 64000)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.mean(axis=1), 0.0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=1), 1.0, atol=5e-3)
    assert len({window.tobytes() for window in made}) == 12


def test_texts_are_pieces_of_what_is_said():
    made = paper_material.texts(200, 2)
    lengths = [len(text.split()) for text in made]
    assert min(lengths) == 1
    assert max(lengths) == 24
    assert any(text != text.lower() for text in made)
    assert any("." not in text and text == text.lower() for text in made)
    assert len(set(made)) > 150
