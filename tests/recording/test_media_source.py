"""Recorded media as a source: the very same messages, and the same estimates where nothing was lossy."""

import shutil
from contextlib import closing

import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.errors import MediaError, RecordingError
from realtime_er.messages import AudioBlock, Event, Gap, VideoFrame
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import (
    DATABASE,
    MEDIA,
    read_manifest,
)
from realtime_er.recording.media_source import RecordedMedia
from realtime_er.recording.rebuild import compare_recordings
from tests.recording.pixels import CONFIG, both, played, record, write


def test_the_very_same_messages_come_back(tmp_path):
    """Also when the recording began in the middle of the session, and there are holes."""
    start_s = 301.25
    emitted = write(tmp_path / "s", both(5.0, start_s=start_s + 0.1), start_s)
    again, clock = played(RecordedMedia(tmp_path / "s"))
    assert clock.now_s() == start_s
    assert again.keys() == emitted.keys()
    for name, messages in emitted.items():
        assert len(again[name]) == len(messages)
        for old, new in zip(messages, again[name], strict=True):
            assert type(old) is type(new)
            if isinstance(old, VideoFrame):
                assert (old.index, old.time_s) == (new.index, new.time_s)
                np.testing.assert_array_equal(old.image, new.image)
                assert not new.image.flags.writeable
            elif isinstance(old, AudioBlock):
                assert (old.first_sample, old.start_s) == (new.first_sample, new.start_s)
                np.testing.assert_array_equal(old.samples, new.samples)
            else:
                assert old == new


@pytest.mark.parametrize("lossless", [True, False])
def test_recomputed_from_media(tmp_path, lossless):
    record(tmp_path / "one", both(), lossless=lossless)
    record(tmp_path / "two", RecordedMedia(tmp_path / "one"), lossless=lossless)
    with (
        closing(open_database(tmp_path / "one" / DATABASE)) as one,
        closing(open_database(tmp_path / "two" / DATABASE)) as two,
    ):
        compared = compare_recordings(one, two)
        present = one.execute("SELECT count(*) FROM estimates WHERE state_audio = 'present'")
        assert present.fetchone()[0] > 20
    assert compared.n_alone == 0
    assert compared.n_both >= 88
    if lossless:
        assert compared.equal, compared.line()
    else:
        assert not compared.equal
        assert compared.max_difference < 0.05


def test_a_file_that_breaks_off_ends_with_a_gap(tmp_path):
    emitted = write(tmp_path / "s", both(6.0), 0.0)
    media = tmp_path / "s" / MEDIA
    media.write_bytes(media.read_bytes()[: media.stat().st_size * 6 // 10])
    again, _clock = played(RecordedMedia(tmp_path / "s"))
    for name, messages in again.items():
        assert 10 < len(messages) < len(emitted[name])
        last = messages[-1]
        assert isinstance(last, Gap)
        assert "cut off" in last.reason
        assert last.end_s == pytest.approx(6.0, abs=0.1)
        assert last.start_s < 4.5


def test_a_device_that_never_came_back_is_a_gap_to_the_end(tmp_path):
    emitted = write(tmp_path / "s", both(3.0), 0.0)
    left_s = emitted["camera"][-1].time_s
    with closing(open_database(tmp_path / "s" / DATABASE, writable=True)) as connection:
        row = (9000, "camera", left_s, left_s + 5.0, "unplugged")
        connection.execute("INSERT INTO gaps VALUES (?, ?, ?, ?, ?)", row)
    again, _clock = played(RecordedMedia(tmp_path / "s"))
    assert again["camera"][-1] == Gap(*row[1:])
    assert len(again["camera"]) == len(emitted["camera"]) + 1


def test_numbers_only_cannot_be_run_again(tmp_path):
    write(tmp_path / "s", both(1.0), 0.0, media=False)
    with pytest.raises(MediaError, match=r"numbers only.*--check"):
        RecordedMedia(tmp_path / "s").streams(CONFIG, VirtualClock())


def test_a_lost_or_disabled_medium_is_named(tmp_path):
    write(tmp_path / "s", both(1.0), 0.0)
    off = load_config("analyze", {"camera.enabled": False, "microphone.enabled": False})
    with pytest.raises(MediaError, match="nothing that was recorded is enabled"):
        RecordedMedia(tmp_path / "s").streams(off, VirtualClock())
    only_sound = load_config("analyze", {"camera.enabled": False})
    (stream,) = RecordedMedia(tmp_path / "s").streams(only_sound, VirtualClock())
    assert stream.name == "microphone"
    (tmp_path / "s" / MEDIA).unlink()
    with pytest.raises(MediaError, match=r"has lost its media\.mkv"):
        RecordedMedia(tmp_path / "s").streams(CONFIG, VirtualClock())
    (tmp_path / "s" / MEDIA).write_bytes(b"not media")
    with pytest.raises(MediaError, match="repair"):
        RecordedMedia(tmp_path / "s").streams(CONFIG, VirtualClock())[0].open()


def test_foreign_rows_are_refused(tmp_path):
    write(tmp_path / "s", both(2.0), 0.0)
    for change in ("time_s = 'now'", "time_s = 7.5 - time_s"):
        copy = shutil.copytree(tmp_path / "s", tmp_path / change[:12].replace(" ", ""))
        with closing(open_database(copy / DATABASE, writable=True)) as connection:
            connection.execute(f"UPDATE frames SET {change}")
        with pytest.raises(MediaError, match=r"not written by us|go back"):
            played(RecordedMedia(copy))
        shutil.rmtree(copy)


def test_a_folder_that_is_no_session(tmp_path):
    with pytest.raises(RecordingError, match="no session"):
        RecordedMedia(tmp_path)


def test_events_of_devices_are_not_media(tmp_path):
    """What the recompute sees of a lost device is its gap."""
    record(tmp_path / "one", both(3.0))
    assert not [m for ms in played(RecordedMedia(tmp_path / "one"))[0].values() for m in ms
                if isinstance(m, Event)]  # fmt: skip
    assert read_manifest(tmp_path / "one").complete
