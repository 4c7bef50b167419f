"""The encoders' equations once more, in float64 numpy, slow and direct: no code is shared."""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf)


def weights(module):
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def gelu(x):
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def layer_norm(x, p, name, eps):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]


def linear(x, p, name):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def conv2d(x, w, stride, pads):
    """One picture [C, H, W]; pads are top, bottom, left, right."""
    top, bottom, left, right = pads
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    k = w.shape[2]
    rows, columns = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    out = np.zeros((w.shape[0], rows, columns))
    for i in range(rows):
        for j in range(columns):
            patch = x[:, i * stride : i * stride + k, j * stride : j * stride + k]
            out[:, i, j] = (w * patch).sum(axis=(1, 2, 3))
    return out


def batch_norm(x, p, name):
    scale = p[f"{name}.weight"] / np.sqrt(p[f"{name}.running_var"] + 1e-3)
    return (x - p[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + p[
        f"{name}.bias"
    ][:, None, None]


def resnet(face, p, blocks):
    """One face [3, 224, 224] to features before the ReLU, and logits."""
    relu = lambda x: np.maximum(x, 0.0)  # noqa: E731
    x = conv2d(face, p["conv_layer_s2_same.weight"], 2, (2, 3, 2, 3))
    x = relu(batch_norm(x, p, "batch_norm1"))
    size = (x.shape[1] - 3) // 2 + 1
    x = np.stack(
        [
            [x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(size)]
            for i in range(size)
        ]
    ).transpose(2, 0, 1)
    none, one = (0, 0, 0, 0), (1, 1, 1, 1)
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = relu(
                batch_norm(conv2d(x, p[f"{at}.conv1.weight"], stride, none), p, f"{at}.batch_norm1")
            )
            y = relu(batch_norm(conv2d(y, p[f"{at}.conv2.weight"], 1, one), p, f"{at}.batch_norm2"))
            y = batch_norm(conv2d(y, p[f"{at}.conv3.weight"], 1, none), p, f"{at}.batch_norm3")
            if block == 0:
                x = conv2d(x, p[f"{at}.i_downsample.0.weight"], stride, none)
                x = batch_norm(x, p, f"{at}.i_downsample.1")
            x = relu(y + x)
    features = linear(x.mean(axis=(1, 2)), p, "fc1")
    return features, linear(relu(features), p, "fc2")


def attention(x, p, at, names, heads, keep=None):
    """x [T, D]; names are those of query, key, value; keep is bool [T]."""
    q, k, v = (linear(x, p, f"{at}.{name}") for name in names)
    size = x.shape[1] // heads
    out = np.zeros_like(x)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        score = q[:, part] @ k[:, part].T / math.sqrt(size)
        if keep is not None:
            score[:, ~keep] = -np.inf
        score = np.exp(score - score.max(axis=1, keepdims=True))
        out[:, part] = score / score.sum(axis=1, keepdims=True) @ v[:, part]
    return out


def conv1d(x, w, stride, groups=1):
    """x [C, T]; w [C', C / groups, K]."""
    k, per_in, per_out = w.shape[2], x.shape[0] // groups, w.shape[0] // groups
    steps = (x.shape[1] - k) // stride + 1
    out = np.zeros((w.shape[0], steps))
    for channel in range(w.shape[0]):
        first = channel // per_out * per_in
        for t in range(steps):
            patch = x[first : first + per_in, t * stride : t * stride + k]
            out[channel, t] = (w[channel] * patch).sum()
    return out


def wav2vec2(samples, p, config):
    """One window [N], not normalised, to features and logits."""
    x = samples - samples.mean()
    x = (x / np.sqrt((x**2).mean() + 1e-7))[None]
    at = "wav2vec2.feature_extractor.conv_layers"
    for layer, stride in enumerate(config["conv_stride"]):
        x = conv1d(x, p[f"{at}.{layer}.conv.weight"], stride)
        if layer == 0:  # one group per channel: over time, each channel by itself
            mean, var = x.mean(1, keepdims=True), x.var(1, keepdims=True)
            x = (x - mean) / np.sqrt(var + 1e-5)
            x = x * p[f"{at}.0.layer_norm.weight"][:, None] + p[f"{at}.0.layer_norm.bias"][:, None]
        x = gelu(x)
    at = "wav2vec2.feature_projection"
    x = linear(layer_norm(x.T, p, f"{at}.layer_norm", 1e-5), p, f"{at}.projection")
    at = "wav2vec2.encoder.pos_conv_embed.conv"
    g, v = (p[f"{at}.parametrizations.weight.original{i}"] for i in (0, 1))
    w = g * v / np.sqrt((v**2).sum(axis=(0, 1), keepdims=True))
    half = config["num_conv_pos_embeddings"] // 2
    padded = np.pad(x.T, ((0, 0), (half, half)))
    placed = conv1d(padded, w, 1, config["num_conv_pos_embedding_groups"])
    placed = (placed + p[f"{at}.bias"][:, None])[:, : len(x)]
    x = layer_norm(x + gelu(placed).T, p, "wav2vec2.encoder.layer_norm", 1e-5)
    for layer in range(config["num_hidden_layers"]):
        at = f"wav2vec2.encoder.layers.{layer}"
        names = ("q_proj", "k_proj", "v_proj")
        y = attention(x, p, f"{at}.attention", names, config["num_attention_heads"])
        x = layer_norm(x + linear(y, p, f"{at}.attention.out_proj"), p, f"{at}.layer_norm", 1e-5)
        y = gelu(linear(x, p, f"{at}.feed_forward.intermediate_dense"))
        y = linear(y, p, f"{at}.feed_forward.output_dense")
        x = layer_norm(x + y, p, f"{at}.final_layer_norm", 1e-5)
    features = linear(x, p, "projector").mean(axis=0)
    return features, linear(features, p, "classifier")


def roberta(ids, p, config):
    """One text's token ids to features before the tanh, and logits."""
    at = "roberta.embeddings"
    x = p[f"{at}.word_embeddings.weight"][ids] + p[f"{at}.token_type_embeddings.weight"][0]
    # The first position is the one after the padding's.
    x = x + p[f"{at}.position_embeddings.weight"][2 : 2 + len(ids)]
    x = layer_norm(x, p, f"{at}.LayerNorm", 1e-5)
    for layer in range(config["num_hidden_layers"]):
        at = f"roberta.encoder.layer.{layer}"
        names = ("query", "key", "value")
        y = attention(x, p, f"{at}.attention.self", names, config["num_attention_heads"])
        y = x + linear(y, p, f"{at}.attention.output.dense")
        x = layer_norm(y, p, f"{at}.attention.output.LayerNorm", 1e-5)
        y = linear(gelu(linear(x, p, f"{at}.intermediate.dense")), p, f"{at}.output.dense")
        x = layer_norm(x + y, p, f"{at}.output.LayerNorm", 1e-5)
    features = linear(x[0], p, "classifier.dense")
    return features, linear(np.tanh(features), p, "classifier.out_proj")


def lstm_cell(x, h, c, p, name):
    z = p[f"{name}.weight_ih_l0"] @ x + p[f"{name}.weight_hh_l0"] @ h
    z = z + p[f"{name}.bias_ih_l0"] + p[f"{name}.bias_hh_l0"]
    i, f, g, o = np.split(z, 4)
    sigmoid = lambda v: 1.0 / (1.0 + np.exp(-v))  # noqa: E731
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def emo_lstm(steps, p):
    """Features [T, D] before their ReLU, to logits."""
    x = np.maximum(steps, 0.0)
    for name in ("lstm1", "lstm2"):
        size = p[f"{name}.weight_hh_l0"].shape[1]
        h, c, out = np.zeros(size), np.zeros(size), []
        for step in x:
            h, c = lstm_cell(step, h, c, p, name)
            out.append(h)
        x = np.stack(out)
    return linear(x[-1], p, "fc")
