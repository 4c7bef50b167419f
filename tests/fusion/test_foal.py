"""Foal-Net against a transcription in float64, its masks, its keys, its behaviour without labels."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from realtime_er.encoders.foal.wavlm import stack_sounds  # noqa: E402
from realtime_er.encoders.paper.checkpoints import write_state  # noqa: E402
from realtime_er.errors import SpecMismatch  # noqa: E402
from realtime_er.fusion import foal  # noqa: E402
from tests.encoders.foal.tiny import WAVLM_CONFIG  # noqa: E402
from tests.encoders.paper.published import assert_published  # noqa: E402
from tests.encoders.paper.tiny import shaken  # noqa: E402


def make_net(**settings):
    return shaken(foal.FoalNet(WAVLM_CONFIG, 12, 4, 8, **settings), 6)


def make_batch(samples=(20_000, 9_000, 16_000, 12_000), frames=(5, 3, 7, 4), seed=1):
    random = np.random.default_rng(seed)
    sounds = stack_sounds([random.normal(size=n).astype(np.float32) for n in samples])
    pictures = torch.from_numpy(random.normal(size=(len(frames), max(frames), 12))).float()
    seen = torch.arange(max(frames))[None] < torch.tensor(frames)[:, None]
    return foal.FoalBatch(*sounds, pictures, seen)


def take(batch, row):
    own = batch.seen[row].nonzero()[:, 0]
    count = int(batch.samples[row])
    sounds = stack_sounds([batch.sounds[row, :count].numpy()])
    return foal.FoalBatch(*sounds, batch.pictures[row : row + 1, own], batch.seen[row, own][None])


def test_names_shapes_and_parameters_are_the_published_ones(shared_dir):
    with torch.device("meta"):
        net = foal.FoalNet()
    assert_published(net, shared_dir / "keys" / "foal_full.txt", entries=543, count=329_774_281)
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 325_567_689
    heads = sum(p.numel() for name, p in net.named_parameters() if not name.startswith("wavlm."))
    assert heads == 14_321_161


def transcribed_layer(layer, query, other, heads):
    """One sample, from the specification, in numpy float64."""
    w = {name: value.double().numpy() for name, value in layer.state_dict().items()}

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    q, k, v = linear("w_q", query), linear("w_k", other), linear("w_v", other)
    size = q.shape[1] // heads
    parts = []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        score = q[:, own] @ k[:, own].T / math.sqrt(size)
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        parts.append(weight / weight.sum(axis=1, keepdims=True) @ v[:, own])
    x = linear("w_concat", np.concatenate(parts, axis=1)) + query
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    return x * w["ln.weight"] + w["ln.bias"]


@pytest.mark.parametrize("temperature", ["released", "clip"])
def test_logits_and_both_losses_are_what_the_specification_says(temperature, monkeypatch):
    net = make_net(positives="mean", temperature=temperature).double()
    batch = make_batch()
    batch = foal.FoalBatch(
        batch.sounds.double(), batch.samples, batch.pictures.double(), batch.seen
    )
    labels = torch.tensor([0, 1, 0, 3])
    drawn = iter([([0, 1, 2, 3], [1, 2, 3, 0]), ([0, 1, 2, 3], [3, 0, 1, 2])])
    monkeypatch.setattr(
        foal, "draw_negatives", lambda *_: tuple(torch.tensor(x) for x in next(drawn))
    )
    with torch.no_grad():
        out = net(batch, labels)
        from realtime_er.encoders.foal.wavlm import encode_sounds

        states, heard = encode_sounds(net.wavlm, batch.sounds, batch.samples)
    sounds = [states[i][heard[i]].numpy() for i in range(4)]
    pictures = [batch.pictures[i][batch.seen[i]].numpy() for i in range(4)]

    def stack(layers, query, other):
        x = query
        for layer in layers:
            x = transcribed_layer(layer, x, other, 4)
        return x.mean(axis=0)

    def head(name, x):
        return x @ getattr(net, name).weight.numpy(force=True).T + getattr(net, name).bias.numpy(
            force=True
        )

    own = [stack(net.a2v, sounds[i], pictures[i]) for i in range(4)]
    back = [stack(net.v2a, pictures[i], sounds[i]) for i in range(4)]
    wanted = [head("cls_head", np.concatenate([own[i], back[i]])) for i in range(4)]
    assert np.allclose(out.logits.numpy(), wanted, atol=1e-9)

    def cross_entropy(rows, classes):
        return np.mean([np.log(np.exp(r).sum()) - r[c] for r, c in zip(rows, classes, strict=True)])

    wrong_pictures, wrong_sounds = [1, 2, 3, 0], [3, 0, 1, 2]
    a2v = [head("a2v_head", x) for x in own] + [
        head("a2v_head", stack(net.a2v, sounds[i], pictures[wrong_pictures[i]])) for i in range(4)
    ]
    v2a = [head("v2a_head", x) for x in back] + [
        head("v2a_head", stack(net.v2a, pictures[i], sounds[wrong_sounds[i]])) for i in range(4)
    ]
    classes = [1] * 4 + [0] * 4
    mem = (cross_entropy(a2v, classes) + cross_entropy(v2a, classes)) / 2
    assert float(out.losses.mem) == pytest.approx(mem, rel=1e-9)

    def project(part, x):
        w = {name: value.numpy() for name, value in part.state_dict().items()}
        u = w["linear1.weight"] @ x
        gelu = np.array([t * 0.5 * (1 + math.erf(t / math.sqrt(2))) for t in u])
        y = u + w["linear2.weight"] @ gelu
        y = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
        y = y * w["layer_norm.weight"] + w["layer_norm.bias"]
        return y / np.linalg.norm(y)

    a = np.array([project(net.audio_project, s.mean(axis=0)) for s in sounds])
    v = np.array([project(net.video_project, p.mean(axis=0)) for p in pictures])
    tau = float(net.temp.detach())
    s = a @ v.T / tau if temperature == "released" else a @ v.T * min(math.exp(tau), 100.0)
    total = 0.0
    for table in (s, s.T):
        for i, row in enumerate(table):
            told = [np.log(np.exp(row).sum()) - row[j] for j in range(4) if labels[j] == labels[i]]
            total += np.mean(told) / 4 / 2
    assert float(out.losses.avel) == pytest.approx(total, rel=1e-9)


def test_without_labels_the_same_and_padding_changes_nothing():
    net, batch = make_net(), make_batch()
    labels = torch.tensor([0, 1, 0, 3])
    with torch.no_grad():
        free = net(batch)
        labelled = net(batch, labels, torch.Generator().manual_seed(0))
        assert free.losses is None
        assert torch.equal(free.logits, labelled.logits)
        for row in range(4):
            assert torch.allclose(net(take(batch, row)).logits[0], free.logits[row], atol=1e-5)
        # Frames that are not there may hold anything, in the middle as well as at the end.
        seen = batch.seen.clone()
        seen[2, 3] = False
        clean = foal.FoalBatch(batch.sounds, batch.samples, batch.pictures, seen)
        spoiled = batch.pictures.clone()
        spoiled[~seen] = 50.0
        other = foal.FoalBatch(batch.sounds, batch.samples, spoiled, seen)
        first, second = (
            net(one, labels, torch.Generator().manual_seed(0)) for one in (clean, other)
        )
        assert torch.allclose(first.logits, second.logits, atol=1e-5)
        assert torch.allclose(torch.stack(first.losses), torch.stack(second.losses), atol=1e-5)


def test_gradients_reach_both_encoders_and_leave_the_front_end():
    net = make_net().train()
    batch = make_batch()
    batch.pictures.requires_grad_()  # stands for a picture encoder that is trained as well
    for part in ("ce", "avel", "mem"):
        net.zero_grad()
        batch.pictures.grad = None
        out = net(batch, torch.tensor([0, 1, 0, 3]), torch.Generator().manual_seed(0))
        losses = {
            "ce": torch.nn.functional.cross_entropy(out.logits, torch.tensor([0, 1, 0, 3])),
            "avel": out.losses.avel,
            "mem": out.losses.mem,
        }
        losses[part].backward()
        first = net.wavlm.encoder.layers[0].attention.q_proj.weight.grad
        assert float(first.abs().sum()) > 0, part
        assert float(batch.pictures.grad.abs().sum()) > 0, part
        assert all(p.grad is None for p in net.wavlm.feature_extractor.parameters())
        assert (net.temp.grad is not None and float(net.temp.grad.abs()) > 0) == (part == "avel")


@pytest.mark.parametrize("labels", [[2, 2, 2, 2], [1]])
def test_one_label_or_one_clip_trains_without_false_negatives(labels, monkeypatch):
    net = make_net().train()
    attended = []
    real = foal.FoalNet._attend
    monkeypatch.setattr(
        foal.FoalNet, "_attend", staticmethod(lambda *a: attended.append(len(a[1])) or real(*a))
    )
    batch = make_batch() if len(labels) == 4 else take(make_batch(), 0)
    out = net(batch, torch.tensor(labels), torch.Generator().manual_seed(0))
    assert attended == [len(labels), len(labels), 0, 0]
    loss = out.logits.sum() + sum(out.losses)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


def test_saved_and_read_under_the_published_names(tmp_path):
    net, batch = make_net(), make_batch()
    with torch.no_grad():
        wanted = net(batch).logits
    for name in ("model.safetensors", "model.pt"):
        write_state(net, tmp_path / name)
        with torch.no_grad():
            assert torch.equal(foal.load_foal(tmp_path / name, WAVLM_CONFIG)(batch).logits, wanted)
    with pytest.raises(ValueError, match="must end in"):
        write_state(net, tmp_path / "model.bin")
    torch.save(net.wavlm.state_dict(), tmp_path / "model.pt")
    with pytest.raises(SpecMismatch, match="not a Foal-Net"):
        foal.load_foal(tmp_path / "model.pt", WAVLM_CONFIG)
    state = {**net.state_dict(), "temp": torch.tensor([1.0])}
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(SpecMismatch, match=r"temp is \[1\], not \[\]"):
        foal.load_foal(tmp_path / "model.pt", WAVLM_CONFIG)


def test_features_that_the_heads_cannot_share_are_refused():
    with pytest.raises(SpecMismatch, match="of 9 numbers a frame cannot be shared by 4 heads"):
        foal.FoalNet(WAVLM_CONFIG, 9)


def test_the_temperature_begins_where_published():
    assert float(make_net().state_dict()["temp"].numel()) == 1
    assert float(foal.FoalNet(WAVLM_CONFIG, 12).temp.detach()) == pytest.approx(2.659, abs=1e-3)
