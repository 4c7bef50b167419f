"""Everything stays here: a whole run opens no connection, listens nowhere and asks no name server."""

import json
import os
import subprocess
import sys

import pytest

# Watches the whole process from before the first import: Python reports every socket it makes.
_WATCHED = """
import json, os, sys

network = ("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
           "socket.sendto", "urllib.Request", "http.client.connect")
seen = []

def watch(event, arguments):
    if event == "socket.__new__":
        # Between processes of this computer: asyncio and multiprocessing talk to themselves so.
        if arguments[1] != 1:
            seen.append(f"socket of family {arguments[1]}")
    elif event in network:
        seen.append(f"{event} {[a for a in arguments if isinstance(a, (str, tuple))]}")

def open_sockets():
    # Also those of native libraries, which Python does not report.
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            rows = open(f"/proc/self/net/{table}").read().splitlines()[1:]
        except OSError:
            continue
        sockets = {f"socket:[{row.split()[9]}]" for row in rows}
        for number in os.listdir("/proc/self/fd"):
            try:
                link = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            found += [link] if link in sockets else []
    return found

sys.addaudithook(watch)
import realtime_er.session
from realtime_er.cli import main

listening, close = [], realtime_er.session.Session.close

def look_and_close(session):
    listening.extend(open_sockets())
    close(session)

realtime_er.session.Session.close = look_and_close
sys.argv = ["realtime-er", *json.loads(os.environ["ARGUMENTS"])]
code = None
try:
    main()
except SystemExit as ended:
    code = ended.code or 0
print("WATCHED", json.dumps({"code": code, "seen": seen, "open": listening}))
"""


def run(tmp_path, *arguments):
    environment = os.environ | {
        "ARGUMENTS": json.dumps(list(map(str, arguments))),
        "XDG_STATE_HOME": str(tmp_path),
    }
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    assert last.startswith("WATCHED "), done.stderr
    return json.loads(last.removeprefix("WATCHED "))


@pytest.mark.slow
def test_a_demo_opens_no_sockets(tmp_path):
    found = run(tmp_path, "demo", "--out", tmp_path, "--seconds", "3", "--display", "none")
    assert found == {"code": 0, "seen": [], "open": []}


def test_the_watch_sees_a_camera_that_was_asked_for(tmp_path):
    # Nothing listens on port 1; that somebody tried is what counts.
    camera = ["--camera", "http://127.0.0.1:1/video", "--no-audio", "--accept-notice"]
    found = run(tmp_path, "live", *camera, "--seconds", "1", "--display", "none")
    assert found["code"] == 1
    assert "socket.connect [('127.0.0.1', 1)]" in found["seen"]
    others = [line for line in found["seen"] if line.startswith("socket.") and "127" not in line]
    assert others == found["open"] == []
