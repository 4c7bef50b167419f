"""The demo screen: what it says, when it invites, where things stand, and that nothing grows."""

import gc
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from realtime_er.messages import LABELS, MODALITIES, Absence, FaceReport, TrackedFace
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.kiosk import Kiosk
from realtime_er.sinks.display.kiosk_backdrop import Backdrop
from realtime_er.sinks.display.kiosk_camera import CameraPanel, Picture
from realtime_er.sinks.display.kiosk_layout import plan
from realtime_er.sinks.display.kiosk_motion import FALL_S, PATIENCE_S, RISE_S, Presence
from realtime_er.sinks.display.kiosk_scene import GREETING, NOT_SURE, scene_of
from realtime_er.sinks.display.kiosk_style import KioskStyle
from realtime_er.sinks.display.scores import headline
from realtime_er.sinks.display.shown import leading
from realtime_er.sinks.display.theme import DARK, LIGHT, THEMES
from tests.sinks.display import samples

pytestmark = pytest.mark.usefixtures("qapp")

SIZES = [(1280, 720), (1920, 1080), (3840, 2160), (1080, 1920), (1024, 768)]
HAPPY_S = 33.0  # the sample reads as Happy then
NOBODY = {"face": Absence.NO_FACE, "audio": Absence.NO_SPEECH, "text": Absence.EXPIRED}


class Shown(QObject):
    """A kiosk whose snapshots the test chooses."""

    def __init__(self, theme=DARK, size=(640, 360)):
        super().__init__()
        self.snapshot = None
        self.n_asked = 0
        self.n_painted = 0
        self.kiosk = Kiosk(self._ask, theme=theme)
        self.kiosk.installEventFilter(self)
        self.kiosk.resize(*size)

    def eventFilter(self, _watched, event):  # noqa: N802
        self.n_painted += event.type() == QEvent.Type.Paint
        return False

    def _ask(self):
        self.n_asked += 1
        return self.snapshot

    def see(self, *snapshots):
        for self.snapshot in snapshots:
            self.kiosk.refresh()
        return self

    def pixels(self):
        """uint8 BGRA (height, width, 4) of what a person sees."""
        image = self.kiosk.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        flat = np.frombuffer(image.constBits(), np.uint8)
        return flat.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()].copy()


@pytest.fixture
def shown():
    made = []

    def make(*args, **options):
        made.append(Shown(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.kiosk.deleteLater()


def empty_room(now_s):
    """Nobody in the picture, and nothing remembered of anybody."""
    frame = samples.make_frame(now_s, "empty")
    estimate = samples.make_estimate(round(now_s * 10), NOBODY)
    return replace(
        samples.nobody(now_s),
        frame=frame,
        faces=samples.make_faces(frame, kind="empty"),
        history=(estimate,),
        estimate=estimate,
    )


def said(scene):
    """Every word of a scene but those that people spoke."""
    notes = [f"{s.note}" for s in scene.speakers]
    return [
        scene.caption,
        scene.word,
        scene.sure_words,
        scene.sound_note,
        scene.picture_note,
        *notes,
    ]


def count(pixels, colour, within=None):
    """Pixels of exactly this "#rrggbb"."""
    value = int(colour[1:], 16)
    wanted = np.array([value & 255, value >> 8 & 255, value >> 16], np.uint8)
    if within is not None:
        x, y, w, h = (int(v) for v in within.getRect())
        pixels = pixels[y : y + h, x : x + w]
    return int((pixels[..., :3] == wanted).all(axis=2).sum())


# --- what it says -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_no_figures_and_no_feelings(name):
    scene = scene_of(samples.SAMPLES[name]())
    for text in said(scene):
        assert not re.search(r"\d|%|you feel", text), text
    assert scene.word in (*LABELS, NOT_SURE, GREETING)
    assert [speaker.modality for speaker in scene.speakers] == list(MODALITIES)


def test_the_word_is_the_label_and_certainty_has_words():
    scene = scene_of(samples.happy(HAPPY_S))
    assert (scene.caption, scene.word, scene.label) == ("reads as", "Happy", "Happy")
    assert scene.sure == pytest.approx(samples.happy(HAPPY_S).estimate.confidence)
    for confidence in (0.35, 0.45, 0.6, 0.9):
        estimate = replace(samples.happy(HAPPY_S).estimate, confidence=confidence)
        words = scene_of(replace(samples.happy(HAPPY_S), estimate=estimate)).sure_words
        assert headline(estimate)[2].startswith(f"{words}, ")  # the window says the same


def test_it_says_when_it_is_not_sure():
    snapshot = samples.not_sure()
    scene = scene_of(snapshot)
    assert (scene.word, scene.label) == (NOT_SURE, None)
    assert scene.sure_words == f"perhaps {leading(snapshot.estimate)}"
    assert all(speaker.share == 0.0 for speaker in scene.speakers)


def test_who_speaks_for_the_word():
    snapshot = samples.happy(HAPPY_S)
    place = LABELS.index("Happy")
    pulls = {"face": 0.4, "audio": 0.1, "text": -0.2}
    vectors = {name: np.zeros(7, np.float32) for name in MODALITIES}
    for name, pull in pulls.items():
        vectors[name][place] = pull
    estimate = replace(snapshot.estimate, label="Happy", contributions=vectors)
    face, voice, words = scene_of(replace(snapshot, estimate=estimate)).speakers
    assert (face.share, voice.share, words.share) == (1.0, pytest.approx(0.25), 0.0)
    assert words.present
    assert words.note == "says otherwise"


def test_an_absent_modality_says_why_and_has_no_size():
    face, voice, words = scene_of(samples.no_speech()).speakers
    assert face.present
    assert (voice.present, voice.share, voice.note) == (False, 0.0, "quiet")
    assert (words.present, words.share, words.note) == (False, 0.0, "none yet")


@pytest.mark.parametrize("absence", list(Absence))
def test_every_absence_has_plain_words(absence):
    states = dict.fromkeys(MODALITIES, absence)
    scene = scene_of(replace(samples.nobody(), states=states))
    assert all(speaker.note for speaker in scene.speakers)


def test_device_lost_is_a_calm_sentence():
    scene = scene_of(samples.camera_lost())
    assert scene.picture_note.startswith("The camera is away. It comes back by itself")
    states = {**samples.happy().states, "audio": Absence.LOST}
    scene = scene_of(replace(samples.happy(), states=states))
    assert scene.sound_note.startswith("The microphone is away. It comes back by itself")
    assert scene.picture_note == ""


def test_muted_is_said():
    assert scene_of(samples.muted()).sound_note == "The microphone is muted. It does not listen."
    assert scene_of(samples.happy()).sound_note == ""


@pytest.mark.parametrize(
    ("absence", "hint"),
    [
        (Absence.FACE_TOO_SMALL, "Come a little closer"),
        (Absence.FACE_TURNED, "Look this way"),
        (Absence.NO_FACE, "Look this way, or say something"),
        (Absence.LOST, "Say something"),
    ],
)
def test_with_nothing_to_read_it_says_what_to_do(absence, hint):
    absent = {**NOBODY, "face": absence}
    snapshot = replace(
        samples.nobody(), estimate=samples.make_estimate(400, absent), states=dict(absent)
    )
    scene = scene_of(snapshot)
    assert (scene.word, scene.sure, scene.sure_words) == (GREETING, None, hint)


def test_subtitles_tell_partial_from_settled_words_and_fade():
    partial = samples.make_hypothesis(1, shown=5)
    snapshot = replace(samples.happy(partial.available_s), current=partial)
    assert scene_of(snapshot).spoken == tuple(
        (word, place < 2) for place, word in enumerate(partial.text.split())
    )
    final = samples.make_hypothesis(1)
    for after_s, opacity in ((1.0, 1.0), (6.25, 0.5), (8.0, 0.0)):
        snapshot = replace(
            samples.happy(), now_s=final.available_s + after_s, finals=(final,), current=None
        )
        assert scene_of(snapshot).spoken_opacity == pytest.approx(opacity)
        assert all(settled for _, settled in scene_of(snapshot).spoken)


def test_who_is_recorded_can_see_it():
    assert scene_of(samples.recording()).recorded
    assert not scene_of(samples.recording_failed()).recorded
    assert not scene_of(samples.happy()).recorded


# --- when it invites --------------------------------------------------------------------------


def test_invites_after_patience_and_stops_as_soon_as_somebody_is_there():
    presence = Presence()
    presence.update(samples.happy(20.0))
    levels = {}
    for tenths in range(100):
        presence.update(empty_room(20.0 + tenths / 10))
        levels[tenths / 10] = presence.level
    assert levels[PATIENCE_S] == 0.0
    assert 0.0 < levels[PATIENCE_S + RISE_S / 2] < 1.0
    assert levels[PATIENCE_S + RISE_S] == pytest.approx(1.0)
    assert presence.kind == "attract"
    falling = []
    for step in range(7):
        presence.update(samples.happy(30.0 + step * FALL_S / 5))
        falling.append(presence.level)
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == 0.0
    assert presence.kind == "live"


def test_somebody_who_cannot_be_encoded_is_still_somebody():
    presence = Presence()
    for second in range(20, 40):
        small = replace(empty_room(second), faces=samples.happy(second).faces)
        presence.update(replace(small, states={**NOBODY, "face": Absence.FACE_TOO_SMALL}))
        assert presence.level == 0.0


def test_a_lost_camera_does_not_invite():
    presence = Presence()
    for second in range(20, 90):
        room = empty_room(second)
        presence.update(replace(room, states={**NOBODY, "face": Absence.LOST}))
    assert presence.level == 0.0


def test_a_session_that_began_anew_begins_anew():
    presence = Presence()
    presence.update(samples.happy(3000.0))
    presence.update(empty_room(3010.0))
    assert presence.level == 1.0
    presence.update(samples.starting(0.5))
    assert presence.kind == "waking"
    for tenths in range(20, 40):
        presence.update(samples.happy(tenths / 10))
    assert (presence.level, presence.kind) == (0.0, "live")


def test_a_screen_that_opens_on_an_empty_room_knows_it_from_the_past():
    presence = Presence()
    presence.update(samples.nobody())  # its history says: gone for 8 s
    assert presence.level == pytest.approx(1.0, abs=0.02)


# --- what it looks like -----------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_nothing_overlaps_and_nothing_leaves_the_screen(size):
    layout, screen = plan(*size), QRectF(0, 0, *size)
    places = {
        name: getattr(layout, name)
        for name in ("picture", "caption", "word", "bar", "sure", "speakers", "spoken", "footer")
    }
    for name, place in places.items():
        assert screen.contains(place), name
        for other, elsewhere in places.items():
            assert name == other or not place.intersects(elsewhere), (name, other)


@pytest.mark.parametrize("size", [size for size in SIZES if size[0] > size[1]])
def test_the_word_is_huge(size):
    style = KioskStyle(DARK)
    style.fit(*size)
    assert style.word_px >= 0.99 * size[1] / 6 or size[0] / size[1] < 1.5


@pytest.mark.parametrize("theme", THEMES)
def test_the_word_is_painted_in_the_palettes_colour(shown, theme):
    screen = shown(THEMES[theme]).see(samples.happy(HAPPY_S))
    word = plan(640, 360).word
    assert count(screen.pixels(), COLOURS["Happy"], word) > 0.05 * word.width() * word.height()
    assert count(screen.pixels(), COLOURS["Sad"], word) == 0


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_every_state_paints_at_every_shape(shown, name):
    pictures = []
    for size in ((640, 360), (360, 640)):
        pixels = shown(LIGHT, size).see(samples.SAMPLES[name]()).pixels()
        assert pixels.shape[:2] == size[::-1]
        assert pixels[..., :3].std() > 5  # not blank
        pictures.append(pixels)


def test_the_same_snapshots_make_the_same_picture(shown):
    film = [samples.happy(HAPPY_S + step / 20) for step in range(6)]
    first, second = shown().see(*film), shown().see(*film)
    assert np.array_equal(first.pixels(), second.pixels())


def test_the_invitation_moves_with_the_sessions_time(shown):
    still = shown().see(samples.nobody(42.6))
    assert np.array_equal(still.pixels(), still.pixels())
    before = still.pixels().astype(int)
    assert np.abs(still.see(samples.nobody(44.6)).pixels() - before).mean() > 1.0


def test_a_lost_cameras_last_picture_is_not_shown_as_if_it_were_new(shown):
    screen = shown().see(samples.camera_lost(HAPPY_S))
    picture = plan(640, 360).picture.adjusted(40, 40, -40, -40)
    x, y, w, h = (int(v) for v in picture.getRect())
    panel = screen.pixels()[y : y + h, x : x + w, :3]
    assert np.median(panel) < 40  # the dark card, not the bright room


def test_words_change_softly_on_the_sessions_clock(shown):
    now_s = HAPPY_S
    happy, sad = samples.happy(now_s), samples.happy(now_s + 0.05)
    sad = replace(sad, estimate=replace(sad.estimate, label="Sad"))
    screen = shown().see(happy, sad)
    word = plan(640, 360).word
    assert count(screen.pixels(), COLOURS["Sad"], word) == 0  # not yet
    screen.see(replace(sad, now_s=now_s + 1.0))
    assert count(screen.pixels(), COLOURS["Sad"], word) > 100
    assert count(screen.pixels(), COLOURS["Happy"], word) == 0


def test_what_cannot_be_read_leaves_a_hole_in_the_ribbon():
    backdrop = Backdrop(DARK.window, dark=True)
    at, size = 0.885, (600, 338)
    whole = backdrop.render(samples.happy(42.6), 0.0, size, at).copy()
    history = tuple(
        samples.make_estimate(e.index, NOBODY) if 27.0 < e.time_s < 33.0 else e
        for e in samples.happy(42.6).history
    )
    holed = backdrop.render(replace(samples.happy(42.6), history=history), 0.0, size, at).copy()
    column = int((30.0 - 12.6) / 30.0 * size[0])
    ground = np.array([0x16, 0x11, 0x0E], np.uint8)  # the window's colour, blue first
    assert np.array_equal(holed[:, column, :3], np.broadcast_to(ground, (size[1], 3)))
    assert not np.array_equal(whole[:, column, :3], holed[:, column, :3])


def test_the_ribbon_is_as_long_as_what_was_read():
    backdrop, size = Backdrop(DARK.window, dark=True), (600, 338)
    snapshot = samples.happy(42.6)
    ground = np.array([0x16, 0x11, 0x0E], np.uint8)
    late = backdrop.render(replace(snapshot, now_s=45.6), 0.0, size, 0.885).copy()
    assert np.array_equal(late[:, -1, :3], np.broadcast_to(ground, (size[1], 3)))
    begun = replace(snapshot, history=snapshot.history[-100:])
    early = backdrop.render(begun, 0.0, size, 0.885)
    assert np.array_equal(early[:, 380, :3], np.broadcast_to(ground, (size[1], 3)))
    assert not np.array_equal(early[:, -1, :3], np.broadcast_to(ground, (size[1], 3)))


def test_the_picture_is_scaled_once_with_round_corners():
    frame, picture = samples.make_frame(1.0), Picture()
    image = picture.scaled(frame, 320, 180, 12)
    assert (image.width(), image.height()) == (320, 180)
    assert [image.pixelColor(x, y).alpha() for x in (0, 319) for y in (0, 179)] == [0, 0, 0, 0]
    assert image.pixelColor(160, 90).alpha() == 255
    blue, green, red = frame.image[360, 640]
    colour = image.pixelColor(160, 90)
    assert np.allclose((colour.red(), colour.green(), colour.blue()), (red, green, blue), atol=12)
    assert picture.scaled(frame, 320, 180, 12) is image


def test_the_box_glides_and_a_new_target_gets_its_own_at_once():
    def report(track_id, left):
        face = TrackedFace(track_id, (left, 10.0, 50.0, 60.0), 0.9)
        return FaceReport(0, 0.0, (face,), track_id, None, None)

    panel = CameraPanel()
    panel.follow(report(1, 100.0), 1.0)
    panel.follow(report(1, 140.0), 1.05)
    assert 100.0 < panel._box[0] < 140.0
    panel.follow(report(1, 140.0), 3.0)
    assert panel._box[0] == pytest.approx(140.0, abs=0.01)
    panel.follow(report(2, 300.0), 3.05)
    assert panel._box[0] == 300.0


# --- how it behaves ---------------------------------------------------------------------------


def test_wakes_up_before_the_first_estimate(shown):
    screen = shown()
    assert screen.kiosk.calm == 1.0
    assert screen.pixels().std() > 5  # nothing was asked for yet
    screen.see(samples.starting())
    assert screen.kiosk.calm == 1.0
    screen.see(samples.happy(2.0), samples.happy(4.0))
    assert screen.kiosk.calm == 0.0


def test_a_message_stands_alone_and_asks_for_nothing(shown):
    screen = shown().see(samples.happy(HAPPY_S))
    before = screen.pixels()
    screen.kiosk.set_message("One moment, please")
    n_asked = screen.n_asked
    screen.kiosk.refresh()
    assert screen.n_asked == n_asked
    assert screen.kiosk.calm == 1.0
    assert not np.array_equal(screen.pixels(), before)
    screen.kiosk.set_message("")
    screen.kiosk.refresh()
    assert screen.kiosk.calm == 0.0
    # Qt caches letters: their edges may differ by a shade.
    assert np.abs(screen.pixels().astype(int) - before).mean() < 0.05


def test_keys_leave(shown):
    screen, left = shown(), []
    screen.kiosk.left.connect(lambda: left.append(True))
    screen.kiosk.show()
    for key in (Qt.Key.Key_F11, Qt.Key.Key_Escape, Qt.Key.Key_Space, Qt.Key.Key_Q):
        QTest.keyClick(screen.kiosk, key)
    assert len(left) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_thousand_refreshes_leave_nothing_behind(shown, qapp):
    """Twenty minutes of comings and goings, losses and words, in as few refreshes."""
    makers = (samples.happy, empty_room, samples.camera_lost, samples.muted, samples.not_sure)
    film = [make(40.0 + place) for make in makers for place in range(4)]
    screen = shown(size=(480, 270))
    screen.kiosk.show()

    def run(n, start_s):
        for step in range(n):
            snapshot = film[step // 10 % len(film)]
            screen.see(replace(snapshot, now_s=start_s + step * 0.6))
            qapp.processEvents()

    run(400, 100.0)
    assert screen.n_painted == 400
    gc.collect()
    tracemalloc.start()
    n_objects = len(gc.get_objects())
    run(2000, 400.0)
    assert screen.n_painted == 2400
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(gc.get_objects()) - n_objects < 50
    # What is alive at the end was made since the start: one picture, not two thousand.
    assert grown < 2 * 480 * 270 * 4
