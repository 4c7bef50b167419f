"""What is shown while a session is followed."""

import os
import select
import sys

import pytest

from realtime_er.cli.follow import kept_off_screen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@pytest.fixture
def terminal():
    """The program's end of a terminal as a text stream, and the end at which a person looks."""
    looked_at, written_to = os.openpty()
    with os.fdopen(written_to, "w") as stderr:
        yield stderr, looked_at
    os.close(looked_at)


def shown(looked_at):
    text = b""
    while select.select([looked_at], [], [], 0)[0]:
        text += os.read(looked_at, 65536)
    return text.decode()


def test_libraries_do_not_write_into_the_dashboard(terminal):
    stderr, looked_at = terminal
    with kept_off_screen(stderr):
        os.write(stderr.fileno(), b"ALSA lib pcm.c: Unknown PCM\n")  # as C does, past sys.stderr
        print("note: the disk is full", file=stderr)
        assert not shown(looked_at)
    assert shown(looked_at).split("\r\n") == [
        "ALSA lib pcm.c: Unknown PCM", "note: the disk is full", "",
    ]  # fmt: skip
    os.write(stderr.fileno(), b"and on\n")
    assert shown(looked_at) == "and on\r\n"


def test_a_device_that_complained_all_night_does_not_fill_the_terminal(terminal):
    stderr, looked_at = terminal

    def all_night():
        with kept_off_screen(stderr):
            os.write(stderr.fileno(), b"".join(b"lost %d\n" % k for k in range(500)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        all_night()
    lines = shown(looked_at).split("\r\n")
    assert lines[0] == "(480 lines before)"
    assert lines[1:] == [f"lost {k}" for k in range(480, 500)] + [""]


def test_a_file_that_was_asked_for_gets_everything_at_once(tmp_path):
    with (tmp_path / "log").open("w") as file, kept_off_screen(file):
        os.write(file.fileno(), b"now\n")
        assert (tmp_path / "log").read_bytes() == b"now\n"
