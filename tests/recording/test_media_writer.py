from __future__ import annotations

import av
import numpy as np
import pytest

from realtime_er.errors import RecordingError
from realtime_er.messages import AudioBlock
from realtime_er.recording.media_writer import MediaWriter, create_media_file
from realtime_er.recording.remux import read_packets
from tests.recording.synthetic import BLOCK, block, picture


@pytest.fixture
def path(tmp_path):
    return tmp_path / "media.mkv"


def make(path, **options):
    wanted = {"start_s": 0.0, "video": True, "sound": True} | options
    return MediaWriter(create_media_file(path), **wanted)


def frames_of(path, pixels="bgr24"):
    with av.open(str(path)) as container:
        return [
            (frame.pts, frame.key_frame, frame.to_ndarray(format=pixels))
            for frame in container.decode(video=0)
        ]


def sound_of(path):
    with av.open(str(path)) as container:
        return [
            (packet.pts, np.frombuffer(bytes(packet), "<i2"))
            for packet in container.demux(audio=0)
            if packet.size
        ]


def test_capture_times_are_the_time_stamps(path):
    writer = make(path, start_s=100.0, sound=False)
    times = np.cumsum(np.random.default_rng(0).uniform(0.002, 0.3, 60)) + 100
    stamps = [writer.write_frame(picture(i), time_s) for i, time_s in enumerate(times)]
    writer.close()
    assert stamps == [round((time_s - 100) * 1000) for time_s in times]
    found = frames_of(path)
    assert [pts for pts, _, _ in found] == stamps
    keys = [pts for pts, is_key, _ in found if is_key]
    assert max(np.diff(keys)) <= 1000 + 300
    assert writer.n_frames == 60
    assert writer.n_bytes == path.stat().st_size


def test_two_pictures_in_one_millisecond(path):
    writer = make(path, sound=False)
    stamps = [writer.write_frame(picture(i), 0.5 + i * 0.0001) for i in range(4)]
    writer.close()
    assert stamps == [500, 501, 502, 503]
    assert [pts for pts, _, _ in frames_of(path)] == stamps


@pytest.mark.parametrize("size_px", [(64, 48), (81, 63)])
def test_lossless_pictures_have_the_very_same_pixels(path, size_px):
    rng = np.random.default_rng(0)
    shape = (size_px[1], size_px[0], 3)
    images = [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(12)]
    writer = make(path, sound=False, lossless=True)
    for number, image in enumerate(images):
        writer.write_frame(image, number / 30)
    writer.close()
    for image, (_, _, found) in zip(images, frames_of(path), strict=True):
        np.testing.assert_array_equal(found, image)


def test_lossy_pictures_look_alike(path):
    writer = make(path, sound=False)
    for number in range(5):
        writer.write_frame(picture(number, (160, 120)) // 4 + 60, number / 30)
    writer.close()
    for number, (_, _, found) in enumerate(frames_of(path)):
        original = picture(number, (160, 120)).astype(int) // 4 + 60
        assert np.abs(found.astype(int) - original).mean() < 6


def test_odd_sizes_and_changes_of_size(path):
    writer = make(path, sound=False)
    white = np.full((63, 81, 3), 255, np.uint8)
    assert writer.fits(white)
    writer.write_frame(white, 0.0)
    wide = np.full((20, 200, 3), 255, np.uint8)
    assert not writer.fits(wide)
    writer.write_frame(wide, 0.1)
    writer.close()
    assert writer.size_px == (82, 64)
    first, second = (found for _, _, found in frames_of(path, "gray"))
    assert first.shape == second.shape == (64, 82)
    assert first.min() > 240
    assert second[:20].max() < 20, "black above"
    assert second[30:34, 5:75].min() > 200, "the whole width"


def test_sound_comes_back_bit_for_bit_at_its_own_times(path):
    rng = np.random.default_rng(0)
    writer = make(path, video=False, start_s=2.0)
    blocks = []
    for number in range(50):
        samples = (rng.integers(-32768, 32768, BLOCK) / 32768).astype(np.float32)
        # A card that is one percent slow: nothing adds up.
        blocks.append(AudioBlock(number * BLOCK, 2.0 + number * 0.0202, samples))
    rows = [row for one in blocks for row in writer.write_sound(one)]
    writer.close()
    assert [row.first_sample for row in rows] == [one.first_sample for one in blocks]
    found = sound_of(path)
    assert [pts for pts, _ in found] == [round((b.start_s - 2) * 1000) for b in blocks]
    assert [pts for pts, _ in found] == [row.pts_ms for row in rows]
    together = np.concatenate([samples for _, samples in found])
    np.testing.assert_array_equal(
        together / np.float32(32768), np.concatenate([b.samples for b in blocks])
    )
    assert writer.n_rounded == 0


def test_samples_between_the_steps_are_rounded_and_counted(path):
    writer = make(path, video=False)
    samples = np.asarray([0.5, 0.5 + 0.4 / 32768, 1.0, -1.5], np.float32)
    writer.write_sound(AudioBlock(0, 0.0, samples))
    writer.close()
    assert sound_of(path)[0][1].tolist() == [16384, 16384, 32767, -32768]
    assert writer.n_rounded == 3


def test_a_gap_becomes_silence_of_its_length(path):
    writer = make(path, video=False)
    writer.write_sound(block(0))
    rows = writer.write_sound(AudioBlock(3 * 16000, 3.0, block(1).samples))
    rows += writer.fill(3.52)
    writer.close()
    filler = [row for row in rows if row.first_sample is None]
    assert sum(row.n_samples for row in filler) == round((3.0 - 0.02 + 0.5) * 16000)
    assert writer.n_filler_samples == sum(row.n_samples for row in filler)
    found = sound_of(path)
    assert [pts for pts, _ in found] == [0, *(row.pts_ms for row in rows)]
    positions = np.cumsum([0] + [len(samples) for _, samples in found])
    assert [row.position for row in rows] == positions[1:-1].tolist()
    real = next(row for row in rows if row.first_sample == 3 * 16000)
    assert real.pts_ms == 3000
    for (_, samples), row in zip(found[1:], rows, strict=True):
        assert samples.any() == (row.first_sample is not None)


def test_jitter_and_late_blocks_make_no_filler_and_no_step_back(path):
    writer = make(path, video=False)
    starts = [0.0, 0.045, 0.05, 0.049, 0.08]
    rows = [r for n, s in enumerate(starts) for r in writer.write_sound(block(n, s))]
    writer.close()
    assert all(row.first_sample is not None for row in rows)
    stamps = [pts for pts, _ in sound_of(path)]
    assert stamps == sorted(set(stamps))


def test_late_sound_does_not_ask_for_silence_again(path):
    writer = make(path, video=False)
    writer.fill(2.0)
    assert all(row.first_sample is not None for row in writer.write_sound(block(0, 0.5)))
    assert writer.fill(2.0) == []
    assert [row.first_sample for row in writer.write_sound(block(1, 2.01))] == [BLOCK]
    writer.close()
    stamps = [pts for pts, _ in sound_of(path)]
    assert stamps == sorted(set(stamps))


def test_sound_before_the_first_picture_is_kept(path):
    writer = make(path)
    for number in range(20):
        writer.write_sound(block(number))
    writer.write_frame(picture(0), 0.4)
    writer.close()
    assert len(sound_of(path)) == 20
    assert [pts for pts, _, _ in frames_of(path)] == [400]


def test_a_camera_that_never_delivers(path):
    writer = make(path, size_px=(320, 240))
    for number in range(150):
        writer.write_sound(block(number))
    writer.close()
    assert len(sound_of(path)) == 150
    assert frames_of(path) == []
    assert writer.size_px == (320, 240)


@pytest.mark.parametrize("lost", ["nothing", "sound", "video"])
def test_what_is_older_than_a_second_is_on_the_disk(path, lost):
    """Whatever the other stream does: a killed process leaves a file that can be read."""
    writer = make(path)
    for number in range(180):
        if lost != "video" or number < 5:
            writer.write_frame(picture(number), number / 30)
        if lost != "sound" or number < 5:
            writer.write_sound(block(number, number / 30, 533))
    packets = read_packets(path)
    for kind, found in (("video", packets.video), ("sound", packets.audio)):
        newest_ms = found[-1][0]
        assert newest_ms >= (133 if lost == kind else 5966 - 1000)
        assert len(found) == round(newest_ms * 0.03) + 1
    writer.close()
    assert len(read_packets(path).video) == writer.n_frames


def test_nothing_at_all(path):
    writer = make(path)
    writer.close()
    writer.close()
    assert path.stat().st_size > 0


def test_nothing_is_overwritten_not_even_through_a_link(path, tmp_path):
    (tmp_path / "mine").write_text("mine")
    path.symlink_to(tmp_path / "mine")
    with pytest.raises(RecordingError, match="is there already"):
        create_media_file(path)
    assert (tmp_path / "mine").read_text() == "mine"


def test_partial_writes_are_completed(path):
    class Slow:
        def __init__(self):
            self._file = create_media_file(path)
            self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

        def write(self, data):
            return self._file.write(data[: max(1, len(data) // 2)])

    writer = MediaWriter(Slow(), start_s=0.0, video=True, sound=True)
    for number in range(10):
        writer.write_frame(picture(number), number / 10)
        writer.write_sound(block(number))
    writer.close()
    assert len(frames_of(path)) == 10
