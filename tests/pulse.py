"""A microphone without a microphone: a PulseAudio null sink whose monitor PortAudio records.

Starts a PulseAudio server of its own, in a temporary directory, and ends it. PortAudio reaches it
through ALSA's pulse plug-in (libasound2-plugins) as the device "pulse", which is also the default.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SINK = "rter_null"
_START_S = 10.0
_ALSA_SYSTEM = "/usr/share/alsa/alsa.conf"
_ALSA = """
pcm.!pulse {{ type pulse server "{server}" }}
ctl.!pulse {{ type pulse server "{server}" }}
pcm.!default {{ type pulse server "{server}" }}
"""


def missing_for_null_sink() -> str:
    """What this machine lacks, in words; "" when nothing."""
    missing = [
        name for name in ("pulseaudio", "pactl", "paplay", "parec") if not shutil.which(name)
    ]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("libportaudio2")
    plugins = Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")
    if next(plugins, None) is None:
        missing.append("libasound2-plugins")
    return ", ".join(missing)


@contextmanager
def null_sink_microphone() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Run a sound server; yields ``play(path_to_wav)``, which plays into the microphone.

    PortAudio is initialised anew inside, so that it sees the server, and again afterwards.

    Raises:
        RuntimeError: the server does not start; the message holds what it said.
    """
    with tempfile.TemporaryDirectory(prefix="rter-pulse-") as name:
        folder = Path(name)
        socket = folder / "native"
        alsa = folder / "asound.conf"
        alsa.write_text(_ALSA.format(server=f"unix:{socket}"))
        saved = {key: os.environ.get(key) for key in ("ALSA_CONFIG_PATH", "PULSE_SERVER")}
        os.environ["ALSA_CONFIG_PATH"] = f"{_ALSA_SYSTEM}:{alsa}"
        os.environ["PULSE_SERVER"] = f"unix:{socket}"
        players: list[subprocess.Popen[bytes]] = []
        server = _start_server(folder, socket)
        try:
            _wait_for_server(server, folder)
            players.append(_keep_awake())
            _restart_portaudio()

            def play(path: Path) -> subprocess.Popen[bytes]:
                player = subprocess.Popen(["paplay", f"--device={SINK}", str(path)])
                players.append(player)
                return player

            yield play
        finally:
            for process in [*players, server]:
                process.terminate()
                try:
                    process.wait(3)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for key, value in saved.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value
            _restart_portaudio()


def _start_server(folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PULSE_RUNTIME_PATH": str(folder / "run"),
        "PULSE_STATE_PATH": str(folder / "state"),
    }
    environment.pop("PULSE_SERVER", None)
    command = [
        "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
        "--disable-shm=yes", "--realtime=no", "--high-priority=no",
        "--load", f"module-native-protocol-unix auth-anonymous=1 socket={socket}",
        "--load", f"module-null-sink sink_name={SINK} rate=48000 channels=2",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _wait_for_server(server: subprocess.Popen[bytes], folder: Path) -> None:
    pause = threading.Event()
    for _attempt in range(round(_START_S / 0.1)):
        if server.poll() is not None:
            break
        asked = subprocess.run(
            ["pactl", "set-default-source", f"{SINK}.monitor"], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return
        pause.wait(0.1)
    log = (folder / "log").read_text(errors="replace")
    raise RuntimeError(f"pulseaudio did not start: {log[-500:]}")


def _keep_awake() -> subprocess.Popen[bytes]:
    """Record at a low latency, so that the sink, which idles in steps of 2 s, is prompt."""
    command = ["parec", f"--device={SINK}.monitor", "--latency-msec=10"]
    awake = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.read(1)  # blocks until sound flows
        first.terminate()
    return awake


def _restart_portaudio() -> None:
    import sounddevice

    sounddevice._terminate()
    sounddevice._initialize()
