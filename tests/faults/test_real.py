"""The microphone is pulled out during a recording and put back: as a new user would try it."""

from __future__ import annotations

import sqlite3

import pytest
from typer.testing import CliRunner

from realtime_er.cli import app
from tests.faults import real
from tests.pulse import missing_for_null_sink, null_sink_microphone


@pytest.mark.slow
@pytest.mark.device
def test_a_microphone_pulled_out_and_put_back(tmp_path):
    if missing := missing_for_null_sink():
        pytest.skip(f"needs {missing} for a microphone without hardware")
    source, folder = real.NullSource(), tmp_path / "session"
    fault = real.Fault(
        "unplugged", "audio", source.unload, source.load, ("microphone lost",), "microphone back",
        ("device lost",),
    )  # fmt: skip
    with null_sink_microphone():
        row = real.measure(fault, 1, None, folder)
    for said in ("gaps 1 of", "| accounted |", "recording whole", "replay equal"):
        assert said in row
    with sqlite3.connect(folder / "session.sqlite") as connection:
        kinds = [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY time_s")]
        (gaps,) = connection.execute(
            "SELECT count(*) FROM gaps WHERE stream = 'microphone' AND end_s - start_s > 0.5"
        ).fetchone()
    assert gaps == 1
    devices = [kind for kind in kinds if kind in ("microphone lost", "microphone back")]
    assert devices == ["microphone lost", "microphone back"]
    for kind in ("csv", "eaf", "vtt", "srt", "xdf", "report"):
        done = CliRunner().invoke(app, ["export", str(folder), "--to", kind])
        assert done.exit_code == 0, (kind, done.output)


@pytest.mark.slow
@pytest.mark.device
def test_a_network_camera_that_is_stopped_frozen_and_spoilt(tmp_path):
    server = real.Server(list(real.demo_pictures(40)))
    server.start()
    try:
        for mode, masked in (("same", "picture frozen"), ("broken", "device lost")):
            fault = real.Fault(
                mode, "face", lambda mode=mode: setattr(server, "mode", mode),
                lambda: setattr(server, "mode", "good"), ("camera lost", "camera frozen"),
                "camera back", (masked,),
            )  # fmt: skip
            row = real.measure(fault, 1, server.url, tmp_path / mode)
            for said in ("gaps 1 of", "| accounted |", "recording whole", "replay equal"):
                assert said in row
    finally:
        server.stop()
