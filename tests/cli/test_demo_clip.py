"""The clip that ships: what it is, and that the face is there when it should be."""

import av
import cv2

from realtime_er.resources import resource_dir

CLIP = resource_dir("assets") / "demo.mp4"


def test_is_small_and_playable_everywhere():
    assert CLIP.stat().st_size < 2_000_000
    with av.open(str(CLIP)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, float(video.average_rate)) == (640, 480, 25.0)
        assert audio.codec_context.name == "aac"
        assert 20 < container.duration / 1e6 < 30


def test_the_face_is_there_except_in_the_middle():
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    seen = {True: [], False: []}
    with av.open(str(CLIP)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            gone = 9.6 < frame.time < 15.0
            sliding = 9.0 <= frame.time <= 9.6 or 15.0 <= frame.time <= 15.6
            if index % 20 or sliding:
                continue
            grey = cv2.resize(frame.to_ndarray(format="gray"), (320, 240))
            seen[gone].append(len(cascade.detectMultiScale(grey, 1.1, 5, minSize=(40, 40))) > 0)
    assert sum(seen[False]) > 0.95 * len(seen[False])
    assert sum(seen[True]) == 0
    assert len(seen[True]) > 5
