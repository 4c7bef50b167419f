from __future__ import annotations

import errno
import itertools
import json
import sqlite3
import threading

import av
import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.errors import RecordingError
from realtime_er.messages import AudioBlock, Estimate, Event, Gap, Health, VideoFrame
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.media_writer import create_media_file
from realtime_er.recording.options import RecordHeader, RecordOptions
from realtime_er.recording.recorder import Recorder
from realtime_er.recording.space import RESERVE_BYTES, SpaceWatch
from realtime_er.recording.store import StoredCheckpoint, messages_in_order
from realtime_er.windows import Announced, Watermark
from tests.recording.synthetic import block, embedding, estimate, frame, report, speech

HEADER = RecordHeader(0.0, video=True, sound=True)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "session"


class Recording:
    """A recorder whose thread is run by hand: ``feed`` and then ``end``."""

    def __init__(self, folder, options=None, header=HEADER, **rest):
        self.clock = VirtualClock()
        rest = {"clock": self.clock, "health": Health} | rest
        self.recorder = Recorder(folder, header, options, **rest)
        self.recorder.open()

    def feed(self, *messages):
        for message in messages:
            self.recorder.offer(message)

    def end(self):
        """Runs on this very thread: ``finish`` was called before."""
        self.recorder.finish()
        self.recorder.run()
        assert self.recorder.stage == "done"
        return self.recorder.report()


def feed_seconds(recording, n_seconds, start_s=0.0):
    """Ten pictures, estimates and blocks of sound a second, as a session would."""
    first = round(start_s * 10)
    for number in range(first, first + 10 * n_seconds):
        time_s = number / 10
        recording.feed(frame(number, time_s), block(number, time_s, 1600), report(number, time_s))
        recording.feed(embedding("audio", time_s + 0.05), estimate(number, time_s + 0.1))


def rows(folder, query):
    connection = open_database(folder / "session.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_whole_recording(folder):
    recording = Recording(folder)
    recording.feed(StoredCheckpoint("{}"))
    feed_seconds(recording, 2)
    report_ = recording.end()
    assert report_.ok
    assert report_.lost == 0
    assert report_.line() == (
        "0:02 recorded, 20 frames, 32,000 samples, 20 estimates, 0 lost, verified"
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "annotations",
        "manifest.json",
        "media.mkv",
        "session.sqlite",
    ]
    manifest = read_manifest(folder)
    assert manifest.complete
    assert manifest.verified["ok"]
    assert manifest.end_s == pytest.approx(2.0)
    assert manifest.options["width_px"] == 64
    assert manifest.ledger["frames_offered"] == manifest.ledger["frames_written"] == 20
    connection = open_database(folder / "session.sqlite")
    found = [message for _, message in messages_in_order(connection)]
    connection.close()
    assert found[0] == StoredCheckpoint("{}")
    estimates = [one.to_record() for one in found if isinstance(one, Estimate)]
    assert estimates == [estimate(n, n / 10 + 0.1).to_record() for n in range(20)]
    assert rows(folder, "SELECT frame_index, time_s, pts_ms FROM frames LIMIT 2") == [
        (0, 0.0, 0),
        (1, 0.1, 100),
    ]


def test_it_runs_beside_a_session_and_commits_as_it_goes(folder):
    recording = Recording(folder)
    thread = threading.Thread(target=recording.recorder.run)
    thread.start()
    try:
        feed_seconds(recording, 1)
        connection = sqlite3.connect(folder / "session.sqlite")
        query = "SELECT count(*) FROM estimates"
        tries = threading.Event()
        for _ in range(500):
            if connection.execute(query).fetchone() == (10,):
                break
            tries.wait(0.01)
        assert connection.execute(query).fetchone() == (10,)
        connection.close()
        status = recording.recorder.status()
        assert (status.folder, status.started_s, status.failure) == (str(folder), 0.0, "")
    finally:
        recording.recorder.finish()
        thread.join(10)
    assert not thread.is_alive()
    assert recording.recorder.report().ok


def test_numbers_only(folder):
    recording = Recording(folder, RecordOptions(media=False))
    feed_seconds(recording, 1)
    report_ = recording.end()
    assert report_.ok
    assert report_.line() == "0:01 recorded, 10 estimates, 0 lost, verified"
    assert not (folder / "media.mkv").exists()
    assert read_manifest(folder).media is None
    assert rows(folder, "SELECT count(*) FROM frames") == [(0,)]


@pytest.mark.parametrize("kind", ["sound", "video"])
def test_one_device_only(folder, kind):
    header = RecordHeader(0.0, video=kind == "video", sound=kind == "sound")
    recording = Recording(folder, header=header)
    for number in range(10):
        message = frame(number, number / 10) if kind == "video" else block(number, None, 1600)
        recording.feed(message, estimate(number))
    assert recording.end().ok
    with av.open(str(folder / "media.mkv")) as container:
        assert [stream.type for stream in container.streams] == [
            "audio" if kind == "sound" else kind
        ]


def test_what_was_before_the_beginning_is_left_out(folder):
    recording = Recording(folder, header=RecordHeader(5.0, video=True, sound=True))
    feed_seconds(recording, 2, start_s=4.0)
    report_ = recording.end()
    assert report_.ok
    assert report_.ledger["frames_offered"] == 10
    assert rows(folder, "SELECT min(pts_ms), min(time_s) FROM frames") == [(0, 5.0)]
    assert rows(folder, "SELECT min(pts_ms), min(start_s) FROM sound") == [(0, 5.0)]


def test_what_comes_after_the_end_is_ignored(folder):
    recording = Recording(folder)
    feed_seconds(recording, 1)
    recording.recorder.finish({"balanced": True})
    feed_seconds(recording, 1, start_s=1.0)
    report_ = recording.end()
    assert report_.ok
    assert report_.ledger["estimates"] == report_.ledger["frames_written"] == 10
    assert read_manifest(folder).accounting == {"balanced": True}


def test_pictures_are_dropped_counted_and_noted_when_too_many_wait(folder):
    recording = Recording(folder)
    feed_seconds(recording, 5)  # nobody takes them meanwhile: two seconds fit
    report_ = recording.end()
    ledger = report_.ledger
    assert ledger["frames_offered"] == 50
    assert ledger["frames_written"] == 21
    assert ledger["frames_dropped"] == 29
    assert ledger["samples_written"] == 80_000
    assert ledger["estimates"] == 50
    assert report_.verification.ok
    assert "29 frames lost, verified" in report_.line()
    assert rows(folder, "SELECT stream, start_s, end_s, reason FROM gaps") == [
        ("recording", 2.1, 4.9, "29 pictures not recorded: the recorder did not keep up")
    ]


def test_a_file_waits_for_the_recorder(folder):
    recording = Recording(folder, realtime=False)
    thread = threading.Thread(target=recording.recorder.run)
    thread.start()
    feed_seconds(recording, 6)
    recording.recorder.finish()
    thread.join(10)
    report_ = recording.recorder.report()
    assert report_.ok
    assert report_.ledger["frames_written"] == report_.ledger["frames_offered"] == 60


def test_nobody_waits_for_a_recorder_that_has_ended(folder):
    recording = Recording(folder, realtime=False)
    recording.end()
    feed_seconds(recording, 6)


def test_large_pictures_are_bounded_by_their_size(folder):
    recording = Recording(folder, RecordOptions(verify=False))
    huge = np.zeros((4000, 5000, 3), np.uint8)  # 60 MB, shared
    for number in range(6):
        recording.feed(VideoFrame(number, number / 100, huge))
    counts = recording.recorder._intake.counts()
    assert (counts.frames_waiting, counts.frames_dropped) == (3, 3)
    recording.recorder._intake._frames.clear()
    recording.end()


def test_evidence_beyond_the_bound_ends_the_recording_but_what_waits_is_written(
    folder, monkeypatch
):
    monkeypatch.setattr("realtime_er.recording.intake._MAX_MESSAGES", 100)
    recording = Recording(folder)
    for number in range(150):
        recording.feed(speech(number * 0.03))
    failure = recording.recorder.status().failure
    assert "the disk does not keep up, 101 messages were waiting" in failure
    recording.recorder.run()  # ends by itself
    report_ = recording.recorder.report()
    assert report_.failure == failure
    assert rows(folder, "SELECT count(*) FROM speech") == [(101,)]
    assert read_manifest(folder).failure == failure


def test_silence_stands_where_no_sound_came(folder):
    recording = Recording(folder)
    for number in range(20):
        recording.feed(frame(number, number * 0.1), estimate(number, number * 0.1))
        if number not in range(5, 12) and number < 15:
            recording.feed(block(number, number * 0.1, 1600))
    report_ = recording.end()
    assert report_.ok
    assert report_.ledger["samples_written"] == 8 * 1600
    assert report_.ledger["filler_samples"] == 7 * 1600 + round(0.4 * 16000)
    first, n_samples = rows(folder, "SELECT first_sample, n_samples FROM sound WHERE pts_ms=500")[0]
    assert first is None
    assert n_samples > 0


def test_live_silence_is_written_while_nothing_comes(folder):
    recording = Recording(folder)
    recording.feed(frame(0, 0.0), block(0, 0.0, 1600))
    recording.clock.advance_to(10.0)
    thread = threading.Thread(target=recording.recorder.run)
    thread.start()
    tries = threading.Event()
    connection = sqlite3.connect(folder / "session.sqlite")
    query = "SELECT max(start_s + n_samples / 16000.0) FROM sound"
    end_s = None
    for _ in range(500):
        (end_s,) = connection.execute(query).fetchone()
        if end_s is not None and end_s > 8:
            break
        tries.wait(0.01)
    connection.close()
    recording.recorder.finish()
    thread.join(10)
    assert end_s == pytest.approx(8.5)


def test_sound_that_only_waits_is_not_taken_for_silence(folder):
    recording = Recording(folder)
    feed_seconds(recording, 2)
    recording.clock.advance_to(6.0)  # the recorder comes to it late
    report_ = recording.end()
    assert report_.ok
    assert report_.ledger["filler_samples"] < 6.0 * 16000
    spans = rows(folder, "SELECT start_s, first_sample IS NULL FROM sound ORDER BY position")
    assert [is_filler for _, is_filler in spans[:20]] == [0] * 20
    assert spans == sorted(spans)


def test_sound_that_comes_after_the_silence_written_for_it_is_kept(folder):
    recording = Recording(folder)
    thread = threading.Thread(target=recording.recorder.run)
    thread.start()
    recording.clock.advance_to(5.0)
    tries = threading.Event()
    connection = sqlite3.connect(folder / "session.sqlite")
    for _ in range(500):
        if connection.execute("SELECT count(*) FROM sound").fetchone() != (0,):
            break
        tries.wait(0.01)
    connection.close()
    recording.feed(*[block(number, number * 0.1, 1600) for number in range(60)])
    recording.recorder.finish()
    thread.join(10)
    report_ = recording.recorder.report()
    assert report_.ok
    assert report_.ledger["samples_written"] == 60 * 1600
    assert report_.ledger["filler_samples"] == 3.5 * 16000
    real = rows(folder, "SELECT start_s, pts_ms FROM sound WHERE first_sample IS NOT NULL")
    assert [start_s for start_s, _ in real] == [number * 0.1 for number in range(60)]
    assert [pts for start_s, pts in real if start_s > 3.6] == [100 * n for n in range(37, 60)]


def test_a_change_of_size_is_noted_once(folder):
    recording = Recording(folder)
    for number in range(10):
        recording.feed(frame(number, number / 10, (128, 96) if 3 <= number < 8 else (64, 48)))
    assert recording.end().ok
    connection = open_database(folder / "session.sqlite")
    events = [m for _, m in messages_in_order(connection) if isinstance(m, Event)]
    connection.close()
    detail = "pictures of 128x96 are fitted into the size of the first"
    assert events == [Event(0.3, "recording rescaled", detail)]


# --- the disk -----------------------------------------------------------------------------------


class FullDisk:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, path, room):
        self._file = create_media_file(path)
        self._room = room
        self.seek, self.tell = self._file.seek, self._file.tell
        self.closed = False

    def write(self, data):
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)

    def close(self):
        self.closed = True
        self._file.close()


def test_a_full_disk_ends_the_recording_cleanly(folder):
    sinks = []

    def make_sink(path):
        sinks.append(FullDisk(path, 20_000))
        return sinks[-1]

    recording = Recording(folder, make_sink=make_sink)
    feed_seconds(recording, 2)
    report_ = recording.end()
    assert "cannot be written: No space left on device" in report_.failure
    assert "\n" not in report_.line()
    assert not report_.ok
    assert report_.lost > 0
    assert sinks[0].closed
    manifest = read_manifest(folder)
    assert not manifest.complete
    assert manifest.failure == report_.failure
    assert rows(folder, "SELECT count(*) FROM estimates") == [(20,)], "what came before is there"
    ledger = report_.ledger
    assert ledger["frames_offered"] == ledger["frames_written"] + ledger["frames_unwritten"]
    assert ledger["samples_offered"] == ledger["samples_written"] + ledger["samples_unwritten"]
    assert recording.recorder.status().failure == report_.failure
    recording.feed(frame(99, 99.0))  # the session goes on


def test_a_disk_that_gets_low_ends_the_recording_whole(folder):
    free = iter([10**12, RESERVE_BYTES - 1])
    recording = Recording(folder, free=lambda _: next(free))
    feed_seconds(recording, 2)
    report_ = recording.end()
    assert "the recording ended: only 200 MB are left on this disk" in report_.failure
    assert report_.verification.ok
    assert report_.lost == 0
    assert read_manifest(folder).complete
    assert rows(folder, "SELECT detail FROM events") == [(report_.failure,)]


def test_the_time_left_is_known_from_the_rate(tmp_path):
    file = tmp_path / "media.mkv"
    watch = SpaceWatch(tmp_path, lambda _: RESERVE_BYTES + 1_000_000)
    file.write_bytes(b"")
    assert watch.look(0.0) == ""
    assert watch.left_s is None
    file.write_bytes(bytes(5_000))
    assert watch.look(1.0) == "", "every two seconds is enough"
    assert watch.left_s is None
    assert watch.look(2.5) == ""
    assert watch.left_s == pytest.approx(1_000_000 / 2_000)
    assert watch.n_bytes == 5_000


def test_a_file_that_is_gone_again_does_not_matter(tmp_path, monkeypatch):
    watch = SpaceWatch(tmp_path, lambda _: 10 * RESERVE_BYTES)
    (tmp_path / "media.mkv").write_bytes(bytes(100))
    there = [*tmp_path.iterdir(), tmp_path / "gone.tmp"]
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda _: iter(there))
    assert watch.look(0.0) == ""
    assert watch.n_bytes == 100


def test_after_a_bug_what_was_recorded_is_closed_well(folder):
    recording = Recording(folder)
    feed_seconds(recording, 1)
    media = recording.recorder._files.media
    write = media.write_frame

    def fifth_fails(image, time_s):
        if media.n_frames == 5:
            raise TypeError("a bug")
        return write(image, time_s)

    media.write_frame = fifth_fails
    recording.recorder.finish()
    with pytest.raises(TypeError, match="a bug"):
        recording.recorder.run()
    assert recording.recorder.stage == "done"
    assert "a bug" in recording.recorder.report().failure
    assert rows(folder, "SELECT count(*) FROM estimates") == [(10,)]
    assert not (folder / "session.sqlite-wal").exists()
    with av.open(str(folder / "media.mkv")) as container:
        assert container.duration


def test_the_ledger_adds_up(folder):
    recording = Recording(folder)
    feed_seconds(recording, 1)
    recording.feed(Watermark("audio", 0.5), Watermark("audio", 1.0), Announced(1, 0.2, 0.4))
    ledger = recording.end().ledger
    assert ledger["messages_left_out"] == 2  # all but the first watermark of a track
    names = ("messages_written", "messages_unwritten", "messages_left_out")
    assert ledger["messages_offered"] == sum(ledger[name] for name in names)


def test_a_full_disk_is_not_begun_on(folder):
    with pytest.raises(RecordingError, match="only 12 MB are left on this disk"):
        Recording(folder, free=lambda _: 12_000_000)
    assert not folder.exists()


def test_opening_is_all_or_nothing(folder):
    def make_sink(path):
        raise OSError(errno.EACCES, "Permission denied")

    with pytest.raises(RecordingError, match="cannot be written: Permission denied"):
        Recording(folder, make_sink=make_sink)
    assert not folder.exists()


def test_a_folder_with_something_in_it_is_left_alone(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RecordingError, match="is not empty; nothing is overwritten"):
        Recording(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_file_for_a_folder(folder):
    folder.write_text("mine")
    with pytest.raises(RecordingError, match="cannot be written"):
        Recording(folder)
    assert folder.read_text() == "mine"


def test_run_without_open(folder):
    recorder = Recorder(folder, HEADER, clock=VirtualClock())
    with pytest.raises(RecordingError, match="never opened"):
        recorder.run()


# --- faces --------------------------------------------------------------------------------------


def detail(image):
    """How much fine structure there is."""
    return np.abs(np.diff(image.astype(int), axis=1)).mean()


def noisy(number, time_s):
    rng = np.random.default_rng(number)
    return VideoFrame(number, time_s, rng.integers(0, 256, (96, 128, 3)).astype(np.uint8))


def test_faces_are_blurred_in_the_file_and_the_rest_is_not(folder):
    recording = Recording(folder, RecordOptions(blur_faces=True, lossless=True))
    box = (40.0, 30.0, 30.0, 30.0)
    frames = [noisy(number, number / 10) for number in range(10)]
    for one in frames:
        recording.feed(one)
        if one.index % 3 == 0:  # three of four pictures lie between two reports
            recording.feed(report(one.index, one.time_s, (box,)))
    report_ = recording.end()
    assert report_.verification.ok
    assert report_.ledger["frames_written"] == 10
    assert report_.ledger["frames_blurred_whole"] == 0
    assert json.loads((folder / "manifest.json").read_text())["options"]["blur_faces"] is True
    with av.open(str(folder / "media.mkv")) as container:
        for one, found in zip(frames, container.decode(video=0), strict=True):
            image = found.to_ndarray(format="bgr24")
            face = (slice(30, 60), slice(40, 70))
            assert detail(image[face]) < 0.15 * detail(one.image[face])
            np.testing.assert_array_equal(image[:, :20], one.image[:, :20])


def test_without_a_report_in_time_the_whole_picture_is_blurred(folder):
    recording = Recording(folder, RecordOptions(blur_faces=True, lossless=True))
    recording.feed(*[noisy(number, number / 10) for number in range(5)])
    report_ = recording.end()
    assert report_.ledger["frames_blurred_whole"] == 5
    with av.open(str(folder / "media.mkv")) as container:
        for found in container.decode(video=0):
            assert detail(found.to_ndarray(format="bgr24")) < 10


def test_no_hole_is_left_in_the_sound(folder):
    recording = Recording(folder)
    starts = np.cumsum(np.random.default_rng(3).uniform(0.02, 0.2, 60))
    for number, start_s in enumerate(starts):
        recording.feed(AudioBlock(number * 5000, start_s, block(0).samples))
    recording.feed(Gap("microphone", 1.0, 2.0, "lost"), estimate(1, 20.0))
    assert recording.end().verification.ok
    spans = rows(folder, "SELECT start_s, start_s + n_samples / 16000.0 FROM sound")
    assert spans[-1][1] == pytest.approx(20.0)
    holes = [start - end for (_, end), (start, _) in itertools.pairwise(spans)]
    assert max([spans[0][0], *holes]) <= 0.03
