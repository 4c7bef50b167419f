"""The clip that is measured with: scaled, and played over and over."""

import av
import pytest

from realtime_er.bench.clip import loop_clip, write_clip
from realtime_er.bench.overhead import ConstantModels
from realtime_er.config import load_config
from realtime_er.errors import SourceError
from realtime_er.session import Session
from realtime_er.sources.media_file import MediaFile


def test_it_has_the_size_and_the_length_that_were_asked_for(clip):
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert {frame.shape for frame in frames} == {(180, 320, 3)}
    assert len(frames) == 50
    assert MediaFile(clip).duration_s == pytest.approx(2.0, abs=0.1)


def test_played_over_and_over_nothing_is_lost(clip, tmp_path):
    looped = tmp_path / "looped.mp4"
    loop_clip(clip, looped, 5.0)
    config = load_config("analyze")
    with Session(config, source=MediaFile(looped), models=ConstantModels(config)) as session:
        last = [estimate.time_s for estimate in session.estimates()][-1]
        accounting = session.accounting()
    assert last == pytest.approx(6.0, abs=0.2)
    assert accounting.balanced
    assert {tally.name: tally.captured for tally in accounting.streams}["camera"] == 150


def test_a_recording_without_sound_makes_no_clip(tmp_path):
    silent = tmp_path / "silent.mp4"
    with av.open(str(silent), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        import numpy as np

        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="needs a picture and sound"):
        write_clip(silent, tmp_path / "out.mp4", 1.0)
