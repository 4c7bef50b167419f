"""A short clip of the bundled one, small enough to be quick."""

import pytest

from realtime_er.bench.clip import write_clip
from realtime_er.resources import resource_dir


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(resource_dir("assets") / "demo.mp4", path, 2.0, size_px=(320, 180))
    return path
