"""Sound in a session's media file lies where its time says, filler where there was none."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from realtime_er.messages import SAMPLE_RATE_HZ
from realtime_er.recording.media_writer import JUMP_S, MediaWriter, SoundRow
from tests.properties.bounded import bounded
from tests.recording.synthetic import block

# Samples of each block, and the time that was lost before it.
pieces = st.lists(
    st.tuples(st.integers(1, 2000), st.one_of(st.just(0.0), st.floats(0.0, 3.0))),
    min_size=1,
    max_size=12,
)


@bounded(60)
@given(pieces=pieces, start_s=st.floats(0.0, 1000.0))
def test_rows_tile_the_file_and_keep_its_time(
    pieces: list[tuple[int, float]], start_s: float
) -> None:
    writer = MediaWriter(io.BytesIO(), start_s=start_s, video=False, sound=True)
    rows: list[SoundRow] = []
    time_s, written = start_s, 0
    for number, (n_samples, lost_s) in enumerate(pieces):
        time_s += lost_s
        rows += writer.write_sound(block(number, time_s, n_samples))
        assert abs(rows[-1].start_s - time_s) < 1e-9
        assert rows[-1].n_samples == n_samples
        time_s += n_samples / SAMPLE_RATE_HZ
        written += n_samples
    writer.close()
    assert writer.n_samples == written
    assert writer.n_filler_samples == sum(row.n_samples for row in rows if row.first_sample is None)
    at = 0
    for row in rows:
        assert row.position == at
        at += row.n_samples
        # Within what counts as no gap, from the samples before it; and a tick of the container.
        assert abs(start_s + row.position / SAMPLE_RATE_HZ - row.start_s) < len(pieces) * JUMP_S
        assert abs(row.pts_ms / 1000 - (row.start_s - start_s)) < len(pieces) * JUMP_S + 0.002
    stamps = [row.pts_ms for row in rows]
    assert stamps == sorted(set(stamps))
