"""The face encoder: published sizes, its equations, its picture, and when it looks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from realtime_er.encoders.paper.emo_affectnet import (  # noqa: E402
    EmoAffectNet,
    EmoAffectNetEncoder,
    SameConv2d,
)
from realtime_er.encoders.paper.emo_affectnet_lstm import (  # noqa: E402
    EmoLstm,
    EmoLstmClassifier,
    FeatureRing,
)
from realtime_er.encoders.paper.faces import (  # noqa: E402
    FrameSampler,
    cut_face,
    prepare_face,
    sample_frames,
)
from tests.encoders.paper import tiny, transcribed  # noqa: E402
from tests.encoders.paper.published import assert_published  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def face(seed, side=224):
    rng = np.random.default_rng(seed)
    return prepare_face(rng.integers(0, 256, (side, side - 40, 3), dtype=np.uint8))


def test_full_size_has_the_published_entries(shared_dir):
    with torch.device("meta"):
        net = EmoAffectNet()
    assert_published(net, shared_dir / "keys" / "mer_video.txt", entries=322, count=24_560_711)
    with torch.device("meta"):
        lstm = EmoLstm()
    assert_published(lstm, shared_dir / "keys" / "emo_lstm.txt", entries=10, count=2_891_527)


def test_full_size_maps_and_outputs():
    with torch.device("meta"):
        net = EmoAffectNet().eval()
        sizes = []
        for part in (net.batch_norm1, net.max_pool, net.layer1, net.layer2, net.layer3, net.layer4):
            part.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[1:])))
        features, logits = net(torch.empty(2, 3, 224, 224))
    assert sizes == [
        (64, 112, 112), (64, 55, 55), (256, 55, 55), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)
    ]  # fmt: skip
    assert (tuple(features.shape), tuple(logits.shape)) == ((2, 512), (2, 7))


def test_norms_and_strides_are_the_published_ones():
    net = EmoAffectNet(4, (1, 1, 1, 1))
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
    assert net.layer2[0].conv1.stride == (2, 2)
    assert net.layer2[0].conv2.stride == (1, 1)
    assert net.layer1[0].conv1.stride == (1, 1)


def test_agrees_with_the_equations():
    net = tiny.make_face()
    picture = face(0)
    with torch.no_grad():
        features, logits = net(torch.from_numpy(picture[None]))
    expected = transcribed.resnet(
        picture.astype(np.float64), transcribed.weights(net), (1, 2, 1, 1)
    )
    assert features.min() < 0.0, "taken after the ReLU"
    np.testing.assert_allclose(features[0].numpy(), expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits[0].numpy(), expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "pads"), [(224, (2, 3)), (225, (3, 3)), (7, (3, 3)), (8, (2, 3))])
def test_stem_pads_as_tensorflow_does(side, pads):
    stem = SameConv2d(1, 1, 7, 2, bias=False)
    torch.nn.init.ones_(stem.weight)
    x = torch.arange(float(side * side)).reshape(1, 1, side, side) / side**2
    padded = torch.nn.functional.pad(x, (*pads, *pads))
    expected = torch.nn.functional.conv2d(padded, stem.weight, stride=2)
    assert stem(x).shape == expected.shape
    torch.testing.assert_close(stem(x), expected)


def test_a_face_does_not_depend_on_its_batch(tmp_path):
    encoder = EmoAffectNetEncoder(tiny.write_face(tmp_path))
    faces = np.stack([face(seed) for seed in range(3)])
    together, logits = encoder.encode(faces)
    assert encoder.dim == 10
    assert encoder.labels[0] == "Neutral"
    for index in range(3):
        alone, own = encoder.encode(faces[index : index + 1])
        np.testing.assert_allclose(alone[0], together[index], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own[0], logits[index], rtol=1e-4, atol=1e-5)
    none = encoder.encode(faces[:0])
    assert none[0].shape == (0, 10)


def test_a_face_that_is_not_finite_is_refused(tmp_path):
    encoder = EmoAffectNetEncoder(tiny.write_face(tmp_path).parent)
    picture = face(0)[None].copy()
    picture[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        encoder.encode(picture)
    with pytest.raises(ValueError, match=r"\[N, 3, side, side\]"):
        encoder.encode(picture[0])


def test_the_id_is_that_of_the_weights(tmp_path):
    path = tiny.write_face(tmp_path / "a")
    same = EmoAffectNetEncoder(path).encoder_id
    assert same == EmoAffectNetEncoder(path.parent).encoder_id
    torch.save(tiny.contiguous(tiny.make_face(seed=9)), tmp_path / "other.pth")
    assert EmoAffectNetEncoder(tmp_path / "other.pth").encoder_id != same


def test_picture_is_nearest_bgr_minus_means():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(4).integers(0, 256, (97, 301, 3), dtype=np.uint8)
    scaled = np.asarray(image.fromarray(pixels).resize((224, 224), image.Resampling.NEAREST))
    got = prepare_face(pixels)
    for channel, (plane, mean) in enumerate([(0, 91.4953), (1, 103.8827), (2, 131.0912)]):
        expected = scaled[..., plane].astype(np.float32) - np.float32(mean)
        np.testing.assert_array_equal(got[channel], expected)


def test_boxes_are_clamped_and_empty_ones_are_none():
    frame = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)
    np.testing.assert_array_equal(cut_face(frame, (-5.0, 2.9, 13.2, 99.0)), frame[2:9, 0:8])
    for box in [(30, 2, 10, 3), (3, 3, 0, 5), (8, 2, -4, 4)]:
        assert cut_face(frame, box) is None
    with pytest.raises(ValueError, match="finite"):
        cut_face(frame, (0, 0, float("nan"), 4))
    with pytest.raises(ValueError, match="at least one pixel"):
        prepare_face(frame[:0])


@pytest.mark.parametrize("fps", [3.0, 5.0, 23.976, 24.0, 25.0, 29.97, 30.0, 60.0, 1000.0])
def test_frames_are_chosen_by_time(fps):
    times = np.arange(int(10 * fps)) / fps
    taken = times[sample_frames(times)]
    if fps <= 5.0:
        assert len(taken) == len(times)
    else:
        assert len(taken) == 50
        # One per fifth of a second, the first of it.
        np.testing.assert_array_equal(np.floor(taken * 5 + 1e-6), np.arange(50))
        assert (taken - np.arange(50) / 5).max() < 1 / fps


def test_a_gap_is_not_made_up_for():
    sampler = FrameSampler()
    assert [t for t in (7.0, 7.1, 7.2, 9.05, 9.1, 9.2, 9.25) if sampler.take(t)] == [
        7.0, 7.2, 9.05, 9.2
    ]  # fmt: skip
    sampler.reset()
    assert sampler.take(1.0)


def test_lstm_agrees_with_the_equations_and_reads_the_relu(tmp_path):
    net = tiny.shaken(EmoLstm(8, 12, 7), 5)
    path = tmp_path / "lstm.pt"
    torch.save(tiny.contiguous(net), path)
    rings = np.random.default_rng(0).normal(size=(3, 10, 8)).astype(np.float32)
    classifier = EmoLstmClassifier(path)
    got = classifier.logits(rings)
    for row, ring in zip(got, rings, strict=True):
        expected = transcribed.emo_lstm(ring.astype(np.float64), transcribed.weights(net))
        np.testing.assert_allclose(row, expected, atol=1e-5)
    np.testing.assert_allclose(classifier.logits(np.maximum(rings, 0.0)), got, atol=1e-6)


def test_ring_starts_full_slides_and_clears():
    ring = FeatureRing(3)
    one, two = np.ones(2, np.float32), np.full(2, 2.0, np.float32)
    np.testing.assert_array_equal(ring.push(one)[:, 0], [1, 1, 1])
    np.testing.assert_array_equal(ring.push(two)[:, 0], [1, 1, 2])
    ring.clear()
    np.testing.assert_array_equal(ring.push(two)[:, 0], [2, 2, 2])
