"""What is shown while a session is followed."""

import os
import select
import signal
import sys
import threading

import pytest

from realtime_er.cli.follow import kept_off_screen, stopping
from realtime_er.cli.guard import notice
from realtime_er.sources.portaudio_rest import portaudio_at_rest

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
    assert lines[0] == "(500 lines came meanwhile; the last different ones:)"
    assert lines[1:] == [f"lost {k}" for k in range(480, 500)] + [""]


def test_what_a_library_says_at_every_attempt_is_shown_once(terminal):
    stderr, looked_at = terminal
    with kept_off_screen(stderr):
        os.write(stderr.fileno(), b"ALSA lib: no such entity\n\nExpression 'r' failed\n" * 40)
        print("note: the disk is full", file=stderr)
    assert shown(looked_at).split("\r\n")[1:] == [
        "ALSA lib: no such entity", "Expression 'r' failed", "note: the disk is full", "",
    ]  # fmt: skip


def test_a_note_is_not_lost_while_portaudio_starts_anew(capfd):
    """What sounddevice does to stderr then, and a note that comes just at that time."""
    begun, said = threading.Event(), threading.Event()

    def start_anew():
        with portaudio_at_rest():
            screen, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            begun.set()
            said.wait(0.2)
            os.dup2(screen, 2)
            os.close(screen)
            os.close(nowhere)

    producer = threading.Thread(target=start_anew)
    producer.start()
    begun.wait(5)
    notice("note: microphone lost")
    said.set()
    producer.join()
    assert capfd.readouterr().err == "note: microphone lost\n"


def test_a_file_that_was_asked_for_gets_everything_at_once(tmp_path):
    with (tmp_path / "log").open("w") as file, kept_off_screen(file):
        os.write(file.fileno(), b"now\n")
        assert (tmp_path / "log").read_bytes() == b"now\n"


class Session:
    def __init__(self):
        self.stopped = 0

    def stop(self):
        self.stopped += 1


@pytest.fixture
def hang_up_handler():
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up_handler")
def test_a_terminal_that_is_closed_ends_the_session_in_order():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    session = Session()
    with stopping(session):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)  # while the recording is read back
    assert session.stopped == 1


@pytest.mark.usefixtures("hang_up_handler")
def test_nohup_is_heeded():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    session = Session()
    with stopping(session):
        signal.raise_signal(signal.SIGHUP)
    assert session.stopped == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_it_at_once(number):
    before = signal.getsignal(number)
    session = Session()

    def twice():
        with stopping(session):
            signal.raise_signal(number)
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert session.stopped == 1
    assert signal.getsignal(number) is before
