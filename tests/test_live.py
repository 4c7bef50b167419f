"""`realtime-er live` as a person runs it: a network camera, a real PortAudio microphone, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import wave

import cv2
import numpy as np
import pytest

import realtime_er as rer
from tests.pulse import missing_for_null_sink, null_sink_microphone
from tests.sources.test_network_camera import serving_pictures


def demo_pictures(n=60):
    import av

    from realtime_er.resources import resource_dir

    with av.open(str(resource_dir("assets") / "demo.mp4")) as container:
        for _index, frame in zip(range(n), container.decode(video=0), strict=False):
            image = np.asarray(frame.to_ndarray(format="bgr24"))
            yield cv2.imencode(".jpg", image)[1].tobytes()


@pytest.mark.slow
@pytest.mark.device
def test_live_from_a_network_camera_and_portaudio(tmp_path):
    if missing := missing_for_null_sink():
        pytest.skip(f"needs {missing} for a microphone without hardware")
    tone = (np.sin(np.arange(48_000 * 4) / 20) * 8000).astype("<i2")
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(tone.tobytes())
    with serving_pictures(list(demo_pictures())) as url, null_sink_microphone() as play:
        play(tmp_path / "tone.wav")
        command = [sys.executable, "-m", "realtime_er", "live", "--camera", url, "--mic", "pulse"]
        with subprocess.Popen(
            [*command, "--no-text", "--display", "none", "--accept-notice"],
            env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [next(process.stdout) for _ in range(5)]
            process.send_signal(signal.SIGINT)
            asked_s = time.perf_counter()
            rest = process.stdout.read()
            code = process.wait(10)
            took_s = time.perf_counter() - asked_s
    assert code == 0, rest
    assert took_s < 5.0  # two seconds on a quiet machine; a hang is minutes
    assert any("face: present" in line for line in lines), lines
    assert "Happy" in lines[-1]
    assert "everything accounted for" in rest
    assert "Traceback" not in rest


def test_a_missing_camera_is_one_line_that_lists_what_there_is():
    config = rer.load_config("live", {"camera.source": "77", "microphone.enabled": False})
    with pytest.raises(rer.RealtimeERError, match="camera 77") as raised:
        rer.Session(config).start()
    assert "\n" not in str(raised.value)
