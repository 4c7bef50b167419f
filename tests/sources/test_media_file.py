"""Recordings: times from the file, nothing lost silently, one clear line for what is not media."""

from __future__ import annotations

import threading
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import CameraConfig, Config, MicrophoneConfig
from realtime_er.errors import MediaError
from realtime_er.messages import VideoFrame
from realtime_er.sources import media_decode
from realtime_er.sources.base import SourceMessage
from realtime_er.sources.media_decode import BlockCutter, FrameTimes, upright
from realtime_er.sources.media_file import MediaFile
from tests.sources.media import Collected, OpenPacer, collect, read_painted, write_video


def _play(path: Path, config: Config | None = None) -> dict[str, Collected]:
    streams = MediaFile(path).streams(config or Config(), VirtualClock())
    return {stream.name: collect(stream) for stream in streams}


def _tone(seconds: float, rate_hz: int = 16000) -> np.ndarray:
    wave_ = 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return (wave_ * 32767).astype(np.int16)


def _write_wav(path: Path, samples: np.ndarray, rate_hz: int, channels: int, width: int) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate_hz)
        out.writeframes(samples.tobytes())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_frames_at_5_fps_keep_their_times_and_order(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"v.{suffix}", range(0, 2000, 200))
    played = _play(path)
    assert list(played) == ["camera"]
    frames = played["camera"].frames
    assert [read_painted(frame.image) for frame in frames] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(10) * 0.2, atol=2e-3)
    assert not played["camera"].gaps


def test_variable_frame_rate_and_late_first_frame(tmp_path: Path) -> None:
    times_ms = [70, 110, 113, 600, 640, 1500]
    audio = _tone(2.0)
    played = _play(write_video(tmp_path / "v.mkv", times_ms, audio=audio))
    np.testing.assert_allclose(
        [frame.time_s for frame in played["camera"].frames], np.array(times_ms) / 1000, atol=1.1e-3
    )
    sound = played["microphone"]
    assert sound.blocks[0].start_s == 0.0
    np.testing.assert_array_equal(
        sound.samples(), audio.astype(np.float32) / 32768, "16 kHz must pass through exactly"
    )


def test_late_sound_keeps_its_offset_from_the_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", range(0, 1000, 40), audio=_tone(0.5), audio_start_ms=300)
    played = _play(path)
    assert played["camera"].frames[0].time_s == 0.0
    first = played["microphone"].blocks[0]
    assert first.first_sample == 0
    assert first.start_s == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_phone_video_is_turned_upright(tmp_path: Path, rotation: int) -> None:
    path = write_video(tmp_path / "v.mp4", range(0, 400, 40), rotation=rotation)
    frames = _play(path)["camera"].frames
    turned_back = [np.rot90(frame.image, -rotation // 90) for frame in frames]
    assert frames[0].image.shape == ((64, 128, 3) if rotation == 180 else (128, 64, 3))
    assert [read_painted(image) for image in turned_back] == list(range(10))


def test_eight_bit_8_khz_stereo(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(8000) / 8000)
    pcm = np.repeat((tone * 127 + 128).astype(np.uint8), 2)
    played = _play(_write_wav(tmp_path / "a.wav", pcm, 8000, 2, 1))
    samples = played["microphone"].samples()
    assert abs(len(samples) - 16000) <= 1
    expected = 0.5 * np.sin(2 * np.pi * 200 * np.arange(len(samples)) / 16000)
    np.testing.assert_allclose(samples[200:-200], expected[200:-200], atol=0.02)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("flac", "flac"), ("mp3", "libmp3lame"), ("m4a", "aac"), ("ogg", "libopus")],
)
def test_compressed_sound_alone(tmp_path: Path, suffix: str, codec: str) -> None:
    rate_hz = 48000
    path = write_video(
        tmp_path / f"a.{suffix}",
        [],
        audio=_tone(1.0, rate_hz),
        audio_rate_hz=rate_hz,
        audio_codec=codec,
    )
    media = MediaFile(path)
    assert media.kinds == ("audio",)
    assert media.duration_s == pytest.approx(1.0, abs=0.1)
    played = _play(path)["microphone"]
    assert not played.gaps
    assert len(played.samples()) == pytest.approx(16000, abs=1600)
    assert np.sqrt(np.mean(played.samples()[4000:12000] ** 2)) == pytest.approx(0.283, abs=0.02)


def test_blocks_are_short_and_contiguous(tmp_path: Path) -> None:
    path = _write_wav(tmp_path / "a.wav", _tone(1.0, 48000), 48000, 1, 2)
    blocks = _play(path)["microphone"].blocks
    assert {len(block.samples) for block in blocks[:-1]} == {640}
    for block in blocks:
        assert block.start_s == pytest.approx(block.first_sample / 16000)
    assert blocks[-1].end_s == pytest.approx(1.0, abs=1e-4)


def test_disabled_kinds_are_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", range(0, 400, 40), audio=_tone(0.4))
    no_camera = Config(camera=CameraConfig(enabled=False))
    assert list(_play(path, no_camera)) == ["microphone"]
    neither = Config(camera=CameraConfig(enabled=False), microphone=MicrophoneConfig(enabled=False))
    with pytest.raises(MediaError, match="both disabled"):
        MediaFile(path).streams(neither, VirtualClock())
    silent = write_video(tmp_path / "s.mkv", range(0, 400, 40))
    with pytest.raises(MediaError, match="only video"):
        MediaFile(silent).streams(no_camera, VirtualClock())


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _text(folder: Path) -> Path:
    path = folder / "letter.mp4"
    path.write_text("Dear all, this is not a video.\n" * 50)
    return path


def _noise(folder: Path) -> Path:
    path = folder / "noise.mkv"
    path.write_bytes(np.random.default_rng(1).bytes(30_000))
    return path


def _headless(folder: Path) -> Path:
    whole = write_video(folder / "whole.mp4", range(0, 2000, 40)).read_bytes()
    path = folder / "cut.mp4"  # its index stands at the end, which is missing
    path.write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "no such file"),
        (_empty, "is empty"),
        (_text, "no audio or video stream"),
        (_noise, "no audio or video stream"),
        (_headless, "no audio or video stream"),
        (lambda folder: folder, "is not a file"),
    ],
)
def test_what_is_not_media_is_one_clear_line(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(MediaError, match=says) as caught:
        MediaFile(path).streams(Config(), VirtualClock())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_recording_cut_off_plays_up_to_the_cut(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "w.mkv", range(0, 4000, 40), audio=_tone(4.0)).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    played = _play(path)
    indices = [read_painted(frame.image) for frame in played["camera"].frames]
    assert indices == list(range(len(indices)))
    assert len(indices) > 5


def test_cut_off_flac_says_what_is_missing(tmp_path: Path) -> None:
    sound = (np.random.default_rng(3).normal(0, 3000, 160_000)).astype(np.int16)
    whole = write_video(tmp_path / "w.flac", [], audio=sound, audio_codec="flac").read_bytes()
    path = tmp_path / "cut.flac"
    path.write_bytes(whole[: len(whole) // 2])
    played = _play(path)["microphone"]
    gap = played.gaps[-1]
    assert gap.start_s == pytest.approx(5.0, abs=0.5)
    assert gap.end_s == pytest.approx(10.0, abs=0.01)
    assert "cut off" in gap.reason


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flac"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damage_in_the_middle_never_raises_or_hangs(tmp_path: Path, suffix: str, seed: int) -> None:
    times = range(0, 2000, 40) if suffix != "flac" else ()
    codec = "flac" if suffix == "flac" else "aac"
    path = tmp_path / f"v.{suffix}"
    write_video(path, times, audio=_tone(2.0, 44100), audio_rate_hz=44100, audio_codec=codec)
    damaged = bytearray(path.read_bytes())
    start = len(damaged) // 3
    junk = np.random.default_rng(seed).bytes(len(damaged) // 4)
    damaged[start : start + len(junk)] = junk
    path.write_bytes(damaged)
    with suppress(MediaError):  # damage may reach what the container needs to be opened
        assert _play(path)


def test_pacing_waits_for_frames_and_for_the_end_of_blocks(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", range(0, 400, 40), audio=_tone(0.4))
    media = MediaFile(path, paced=True)
    assert media.realtime
    for stream in media.streams(Config(), VirtualClock()):
        pacer = OpenPacer()
        played = collect(stream, pacer)
        ends = [f.time_s for f in played.frames] + [b.end_s for b in played.blocks]
        assert pacer.waited_s == pytest.approx(ends)


def test_stop_and_close_end_a_run(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", range(0, 2000, 40))
    for how in ("stop", "close"):
        (stream,) = MediaFile(path).streams(Config(), VirtualClock())
        stream.open()
        stop = threading.Event()
        messages: list[SourceMessage] = []

        def emit(
            message: SourceMessage,
            messages: list[SourceMessage] = messages,
            end: Callable[[], None] = stop.set if how == "stop" else stream.close,
        ) -> None:
            messages.append(message)
            if len(messages) == 3:
                end()

        stream.run(emit, OpenPacer(), stop)
        stream.close()
        assert len(messages) == 3


def test_file_names_with_spaces_and_letters(tmp_path: Path) -> None:
    path = write_video(tmp_path / "Vidéo 100% ñ: a.mkv", range(0, 200, 40))
    assert len(_play(path)["camera"].frames) == 5


def test_bad_picture_times_are_repaired_and_counted() -> None:
    times = FrameTimes(0.04)
    said = [0.0, 0.04, 0.04, None, 0.03, 0.2, 0.24]
    got = [times.next_s(time_s) for time_s in said]
    assert got == sorted(set(got))
    assert got[0] == 0.0
    assert got[-2:] == [0.2, 0.24]
    assert times.repaired == 3


def test_a_clock_set_back_goes_on_at_the_new_pace() -> None:
    times = FrameTimes(0.1)
    got = [times.next_s(time_s) for time_s in (10.0, 10.1, 0.0, 0.1, 0.2)]
    np.testing.assert_allclose(got, [10.0, 10.1, 10.2, 10.3, 10.4])
    assert times.repaired == 1


def test_a_hole_in_the_sound_is_a_gap_and_an_index_jump() -> None:
    cutter = BlockCutter("microphone")
    second = np.zeros((16000, 1), np.int16)
    messages = [*cutter.push(second, 16000, 2.0), *cutter.push(second, 16000, 3.5), *cutter.flush()]
    played = Collected(messages)
    played.check_contract()
    (gap,) = played.gaps
    assert (gap.start_s, gap.end_s) == (3.0, 3.5)
    after = next(block for block in played.blocks if block.start_s >= 3.25)
    assert (after.first_sample, after.start_s) == (24000, 3.5)
    assert sum(len(block.samples) for block in played.blocks) == 32000


def test_jitter_is_no_hole_and_backward_sound_is_repaired() -> None:
    cutter = BlockCutter("microphone")
    tenth = np.zeros((1600, 1), np.int16)
    times = [0.0, 0.103, 0.199, None, 0.0, 0.1]
    messages = [message for time_s in times for message in cutter.push(tenth, 16000, time_s)]
    played = Collected([*messages, *cutter.flush()])
    assert not played.gaps
    assert played.blocks[-1].end_s == pytest.approx(0.6)
    assert cutter.repaired == 1


def test_rate_change_in_the_middle_keeps_count() -> None:
    cutter = BlockCutter("microphone")
    messages = [
        *cutter.push(np.zeros((4800, 1), np.int16), 48000, 0.0),
        *cutter.push(np.zeros((800, 2), np.float32), 8000, 0.1),
        *cutter.flush(),
    ]
    played = Collected(messages)
    played.check_contract()
    assert abs(len(played.samples()) - 3200) <= 2


def test_real_clips_play_whole(clips_dir: Path) -> None:
    played = _play(clips_dir / "grid" / "bbaf2n.mpg")
    frames = played["camera"].frames
    assert len(frames) == 75
    np.testing.assert_allclose(np.diff([frame.time_s for frame in frames]), 0.04, atol=2e-3)
    sound = played["microphone"]
    assert not sound.gaps
    assert sound.blocks[-1].end_s == pytest.approx(3.0, abs=0.1)


def test_real_speech_has_its_declared_length(clips_dir: Path) -> None:
    media = MediaFile(clips_dir / "speech_jfk.flac")
    played = _play(media.path)["microphone"]
    assert len(played.samples()) == pytest.approx(media.duration_s * 16000, abs=2)
    assert not played.gaps


def test_a_picture_is_converted_when_it_is_looked_at_and_once(monkeypatch):
    converted = []

    def noted(decoded):
        converted.append(decoded)
        return upright(decoded)

    monkeypatch.setattr(media_decode, "upright", noted)
    pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    frame = media_decode.DecodedFrame(3, 0.12, av.VideoFrame.from_ndarray(pixels, format="bgr24"))
    assert (frame.index, frame.time_s, converted) == (3, 0.12, [])
    assert isinstance(frame, VideoFrame)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda _n: frame.image, range(8)))
    assert len(converted) == 1
    assert all(image is images[0] for image in images)
    np.testing.assert_array_equal(images[0], pixels)
    assert not images[0].flags.writeable
    dark = np.zeros_like(pixels)
    assert replace(frame, image=dark).image is dark
