"""Windows over a stream: where they end, what they hold, and that a gap is never spanned."""

import numpy as np
import pytest

from realtime_er.encoders.paper.stream import StreamingWindowEncoder


class Keeping:
    """Remembers its windows; describes one by its first and last sample."""

    encoder_id = "fake"
    dim = 2

    def __init__(self):
        self.windows = []

    def encode(self, windows):
        self.windows.extend(windows)
        return windows[:, [0, -1]], windows[:, :1]


def make():
    encoder = Keeping()
    return encoder, StreamingWindowEncoder(
        encoder, window_samples=8, hop_samples=4, sample_rate_hz=2
    )


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 30])
def test_windows_do_not_depend_on_the_blocks(size):
    encoder, stream = make()
    samples = np.arange(30, dtype=np.float32)
    found = []
    for start in range(0, 30, size):
        found += stream.push(100 + start, samples[start : start + size])
    assert [end for end, _ in found] == [104, 108, 112, 116, 120, 124, 128]
    np.testing.assert_array_equal(encoder.windows[0], [0, 1, 2, 3, 0, 1, 2, 3])  # tiled
    for index, window in enumerate(encoder.windows[1:]):
        np.testing.assert_array_equal(window, np.arange(8) + 4 * index)
    np.testing.assert_array_equal(found[-1][1], [20, 27])
    assert stream.next_end_sample == 132
    assert stream.logits == 20


def test_a_gap_starts_anew():
    encoder, stream = make()
    stream.push(0, np.ones(7, np.float32))
    assert stream.next_end_sample == 8
    assert [end for end, _ in stream.push(50, np.full(4, 2.0, np.float32))] == [54]
    np.testing.assert_array_equal(encoder.windows[-1], 2.0)
    stream.reset()
    assert stream.next_end_sample is None
    assert stream.push(54, np.zeros(0, np.float32)) == []


def test_it_has_what_the_audio_stage_needs():
    _, stream = make()
    assert (stream.encoder_id, stream.dim, stream.step_samples, stream.sample_rate_hz) == (
        "fake", 2, 4, 2
    )  # fmt: skip
    with pytest.raises(ValueError, match="must divide"):
        StreamingWindowEncoder(Keeping(), window_samples=8, hop_samples=3)
    with pytest.raises(ValueError, match=r"must be \[N\]"):
        stream.push(0, np.zeros((2, 2), np.float32))
