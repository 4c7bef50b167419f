import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("pyqtgraph", reason="needs the `window` extra")

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QFontMetricsF
from PySide6.QtTest import QTest

from realtime_er.messages import MODALITIES, PRESENT, Absence, Event
from realtime_er.palette import COLOURS
from realtime_er.sinks import terminal
from realtime_er.sinks.display.contributions import ContributionBars, contributions_now, signed
from realtime_er.sinks.display.history import History
from realtime_er.sinks.display.picture import Picture, shrunk
from realtime_er.sinks.display.scores import Scores, headline, prior
from realtime_er.sinks.display.shown import Shown, how_sure, leading
from realtime_er.sinks.display.sound import Sound
from realtime_er.sinks.display.status import (
    BROKEN,
    HealthStrip,
    chips,
    clock_text,
    recording_items,
)
from realtime_er.sinks.display.theme import DARK, LIGHT, Style
from realtime_er.sinks.display.timeplot import free_row
from realtime_er.sinks.display.traces import Traces, stale_s
from realtime_er.sinks.display.transcript import Transcript
from realtime_er.sinks.display.transport import SPEEDS, TransportBar, next_speed
from tests.sinks.display import samples
from tests.sinks.display.doubles import Playback


def shown_of(state="happy", now_s=59.2, span_s=30.0):
    snapshot = samples.SAMPLES[state](now_s)
    history = History()
    history.feed(snapshot)
    lead = leading(snapshot.estimate)
    return Shown(snapshot, history, now_s, now_s - span_s, now_s, lead, lead)


def pixels(widget):
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    flat = np.frombuffer(image.constBits(), np.uint8)
    return flat.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width(), :3].copy()


def has_colour(image, colour):
    wanted = QColor(colour)
    bgr = np.array([wanted.blue(), wanted.green(), wanted.red()])
    return bool((np.abs(image.astype(int) - bgr).max(axis=2) <= 2).any())


# --- scores -----------------------------------------------------------------------------------


def test_the_headline_reads_as_and_never_claims_to_know():
    assert headline(samples.happy().estimate)[:2] == ("reads as", "Happy")
    assert headline(samples.happy().estimate)[2].endswith("%")
    unsure = headline(samples.not_sure().estimate)
    assert unsure[0] == "not sure"
    assert unsure[2].startswith("most like ")
    assert headline(samples.nobody().estimate) == (
        "nothing to read",
        "",
        "no face, no voice, no words",
    )
    assert headline(None)[0].startswith("starting")
    assert len({how_sure(c) for c in (0.3, 0.45, 0.6, 0.9)}) == 4


def test_scores_without_their_contributions_are_the_prior():
    found = np.array(prior(samples.happy().estimate))
    assert np.allclose(found, samples.PRIOR, atol=1e-5)
    assert all(math.isnan(value) for value in prior(samples.nobody().estimate))
    assert all(math.isnan(value) for value in prior(None))


@pytest.mark.parametrize("theme", [DARK, LIGHT])
@pytest.mark.parametrize("state", sorted(samples.SAMPLES))
def test_bars_have_the_palette_colours_and_absent_scores_have_none(theme, state):
    panel = Scores(Style(theme))
    panel.resize(420, 260)
    shown = shown_of(state)
    panel.show_scores(shown)
    image = pixels(panel)
    estimate = shown.snapshot.estimate
    for label, colour in COLOURS.items():
        value = math.nan
        if estimate is not None:
            value = float(estimate.probabilities[list(COLOURS).index(label)])
        if math.isnan(value):
            assert not has_colour(image, colour)
        elif value > 0.05:
            assert has_colour(image, colour)


# --- contributions and chips ------------------------------------------------------------------


def test_present_modalities_contribute_and_absent_ones_do_not():
    values = contributions_now(shown_of("muted"))
    assert values["face"] > 0.1
    assert math.isnan(values["audio"])
    assert math.isnan(values["text"])
    assert all(math.isnan(value) for value in contributions_now(shown_of("starting")).values())
    assert signed(0.214) == "+0.21"
    assert signed(-0.1) == "\N{MINUS SIGN}0.10"
    assert signed(math.nan) == "\N{EN DASH}"


def test_the_bars_carry_the_chips():
    bars = ContributionBars(Style("dark"))
    bars.resize(400, 90)
    bars.show_now(shown_of("camera_lost"))
    face, voice, _ = bars.rows
    assert face[0].text == "device lost"
    assert face[0].tone == "bad"
    assert math.isnan(face[1])
    assert voice[1] > 0
    assert has_colour(pixels(bars), DARK.bad)


def test_chips_say_what_the_terminal_says():
    for absence in Absence:
        (chip, *_) = chips({"face": absence, "audio": None, "text": None})
        assert chip.text == str(absence)
        assert chip.tone == ("bad" if absence in BROKEN else "warn")
    assert set(BROKEN) == set(terminal._BROKEN)
    there = chips({"face": None, "audio": None, "text": None})
    assert [(chip.text, chip.tone) for chip in there] == [(PRESENT[m], "good") for m in MODALITIES]
    assert chips({})[0].text == "waiting"


# --- plots ------------------------------------------------------------------------------------


def test_names_of_marks_that_are_close_stand_in_rows():
    taken = []
    assert [free_row(taken, left, left + 30) for left in (0, 10, 20, 35, 100)] == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(("hop_s", "ended"), [(0.1, True), (1.0, False)])
def test_a_curve_ends_later_when_scores_are_rare(hop_s, ended):
    slow = tuple(
        replace(samples.make_estimate(k), index=k, time_s=k * hop_s)
        for k in range(round(28 / hop_s))
    )
    history = History()
    history.feed(replace(samples.happy(29.2), history=slow, estimate=slow[-1]))
    shown = replace(shown_of("happy", 29.2), history=history)
    assert (29.2 - slow[-1].time_s > stale_s(shown, 1)) is ended


# --- health strip -----------------------------------------------------------------------------


def test_the_strip_shows_ages_rates_and_drops():
    strip = HealthStrip(Style("dark"))
    strip.show_health(shown_of("camera_lost"))
    said = " | ".join(strip.texts)
    assert "score age 43 ms" in said
    assert "p95 81 ms" in said
    assert "voice 120 ms" in said
    assert "face \N{EN DASH}" in said
    assert "\N{EN DASH} fps" in said  # not the rate of the pictures before
    assert "dropped 3 frames" in said
    assert strip.notice.startswith("camera lost")


def test_figures_change_no_faster_than_they_can_be_read():
    strip = HealthStrip(Style("dark"))
    strip.show_health(shown_of("happy", 59.2))
    slower = shown_of("happy", 59.3)
    health = replace(slower.snapshot.health, score_age_s=0.2)
    slower = replace(slower, snapshot=replace(slower.snapshot, health=health))
    strip.show_health(slower)
    assert "score age 43 ms" in strip.texts
    strip.show_health(replace(slower, snapshot=replace(slower.snapshot, now_s=59.8)))
    assert "score age 200 ms" in strip.texts
    strip.show_health(shown_of("recording_failed", 59.9))  # a failure is said at once
    assert "disk is full" in strip.texts[0]


def test_the_strip_says_at_once_what_a_slow_computer_gives_up():
    strip = HealthStrip(Style("dark"))
    strip.show_health(shown_of("happy", 59.2))
    shown = shown_of("happy", 59.3)
    down = Event(59.3, "ladder down", "fewer faces a second (face busy 99 %)")
    slow = replace(shown, snapshot=replace(shown.snapshot, events=(down,)))
    strip.show_health(slow)
    assert "too slow: fewer faces a second (face busy 99 %)" in strip.texts
    strip.show_health(shown_of("happy", 59.4))
    assert not [text for text in strip.texts if "too slow" in text]


def test_a_recording_says_how_long_and_how_long_there_is_room():
    now_s = 59.2
    running = recording_items(samples.recording(now_s).recording, now_s)
    assert running[0] == ("\N{BLACK CIRCLE} REC 0:31", "bad")
    assert running[1] == ("room for 47 min", "faint")
    low = recording_items(samples.recording_low(now_s).recording, now_s)
    assert low[1] == ("disk full in 4 min", "warn")
    failed = recording_items(samples.recording_failed(now_s).recording, now_s)
    assert failed == (("\N{BLACK CIRCLE} recording ended: the disk is full", "bad"),)
    assert recording_items(None, now_s) == ()
    assert clock_text(3725) == "1:02:05"


def test_the_strip_offers_the_keys():
    strip = HealthStrip(Style("dark"))
    strip.resize(1200, 26)
    strip.show_health(shown_of())
    strip.grab()
    asked = []
    strip.keys_wanted.connect(lambda: asked.append(1))
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(1190, 13))
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(600, 13))
    assert asked == [1]


# --- traces -----------------------------------------------------------------------------------


def traces_of(state, **options):
    plot = Traces(Style("dark"), lambda closer: None)
    plot.resize(700, 300)
    plot.fit()
    plot.show_scores(shown_of(state, **options))
    return plot


def test_curves_have_gaps_where_nothing_was_known():
    plot = traces_of("camera_lost")
    x, y = plot.curves[1].getData()
    hole = (x > -7.9) & (x < -6.1)
    assert hole.sum() > 10
    assert np.isnan(y[hole]).all()
    image = pixels(plot)
    ground = image[:, 60:580]
    middle = ground[:, int(520 * (30 - 7) / 30) + 4]
    assert not any(has_colour(middle[None], colour) for colour in COLOURS.values())


def test_curves_are_labelled_at_their_ends():
    labels = traces_of("happy")._labels
    assert [label.name for label in labels] == list(COLOURS)
    assert [label.name for label in labels if label.strong] == ["Happy"]
    assert not any(label.ended for label in labels)
    assert all(label.ended and not label.strong for label in traces_of("nobody")._labels)
    assert "Disgust" not in [label.name for label in traces_of("broken_words")._labels]
    assert traces_of("starting")._labels == ()


def test_the_plot_says_so_when_there_is_nothing():
    assert traces_of("starting")._empty == "no scores yet"
    assert traces_of("happy")._empty == ""


# --- picture ----------------------------------------------------------------------------------


def picture_of(state, size=(640, 360), **options):
    panel = Picture(Style("dark"))
    panel.resize(*size)
    panel.show_picture(shown_of(state), **options)
    return panel


def test_a_click_on_a_face_tells_whose_it_is():
    panel = picture_of("happy")
    clicked = []
    panel.face_clicked.connect(clicked.append)
    for at in (QPoint(330, 160), QPoint(150, 180), QPoint(600, 340)):
        QTest.mouseClick(panel, Qt.MouseButton.LeftButton, pos=at)
    assert clicked == [1, 2]
    assert panel.face_at(QPointF(150, 180)) == 2


def test_faces_that_were_seen_long_before_the_picture_are_not_drawn():
    shown = shown_of("happy")
    faces = replace(shown.snapshot.faces, time_s=shown.snapshot.frame.time_s - 1.0)
    panel = Picture(Style("dark"))
    panel.resize(640, 360)
    panel.show_picture(replace(shown, snapshot=replace(shown.snapshot, faces=faces)))
    assert panel.face_at(QPointF(330, 160)) is None
    assert not has_colour(pixels(panel), COLOURS["Happy"])


def test_a_picture_of_another_shape_keeps_its_own():
    panel = picture_of("happy", size=(640, 640))
    assert panel.face_at(QPointF(330, 160 + 140)) == 1
    assert panel.face_at(QPointF(330, 20)) is None
    image = pixels(panel)
    assert has_colour(image[60:61, 100:500], DARK.card)  # above the picture
    assert image[320, 320].any()


def test_the_target_has_the_colour_of_its_label_and_the_picture_is_the_camera_s():
    image = pixels(picture_of("happy"))
    assert has_colour(image, COLOURS["Happy"])
    frame = samples.make_frame(59.2).image
    small = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
    assert np.abs(image[60:120, 20:100].astype(int) - small[60:120, 20:100]).mean() < 2


def test_the_picture_says_what_is_wrong_with_it():
    assert picture_of("happy").message == ""
    assert picture_of("nobody").message == "nobody in the picture"
    assert picture_of("camera_lost").message == "camera lost"
    assert picture_of("no_camera").message == "no camera"
    lost, well = pixels(picture_of("camera_lost")), pixels(picture_of("happy"))
    assert lost[20:100, 20:300].mean() < 0.6 * well[20:100, 20:300].mean()
    assert not (
        pixels(picture_of("happy", badge="view frozen"))[26, 30:80] == well[26, 30:80]
    ).all()


def test_scaling_averages_and_does_not_pick_single_pixels():
    stripes = np.zeros((720, 1280, 3), np.uint8)
    stripes[:, ::2] = 200
    small = shrunk(stripes, (450, 253))
    assert small.shape == (253, 450, 3)
    assert small.flags.c_contiguous
    assert np.abs(small.astype(int) - 100).max() <= 1
    assert shrunk(stripes, (1280, 720)).shape == (720, 1280, 3)


# --- sound and words --------------------------------------------------------------------------


def test_the_sound_says_whether_anybody_is_heard():
    panel = Sound(Style("dark"))
    panel.resize(700, 60)
    states = {}
    for state in ("happy", "nobody", "muted"):
        panel.show_sound(shown_of(state))
        states[state] = panel.state[0]
    assert states == {"happy": "speech", "nobody": "quiet", "muted": "muted"}
    panel.show_sound(shown_of("happy"))
    speech = pixels(panel)
    panel.show_sound(shown_of("no_speech"))
    assert has_colour(speech, "#E69F00")
    assert not has_colour(pixels(panel), "#E69F00")


@pytest.mark.parametrize(("theme", "full"), [(DARK, DARK.text), (LIGHT, LIGHT.text)])
def test_partial_words_are_grey_and_final_ones_are_not(theme, full):
    panel = Transcript(Style(theme))
    panel.resize(600, 100)
    shown = shown_of("happy")
    panel.show_words(shown)
    current = shown.snapshot.current
    n_partial = len(current.text.split()) - len(current.committed.split())
    colours = [colour.name() for _, colour in panel.words]
    assert n_partial > 0
    assert set(colours[-n_partial:]) == {theme.faint}
    assert set(colours[:-n_partial]) == {full}
    image = pixels(panel)
    assert has_colour(image, full)
    panel.show_words(shown_of("no_speech"))
    assert " ".join(word for word, _ in panel.words) == "nothing said yet"
    assert not has_colour(pixels(panel), full)


def test_the_newest_words_are_the_ones_that_are_shown():
    panel = Transcript(Style("dark"))
    panel.resize(300, 60)
    panel.show_words(shown_of("happy"))
    lines = panel._lines(QFontMetricsF(Style("dark").font(14.5)), 2)
    shown = [word for line in lines for word, _ in line]
    assert shown == [word for word, _ in panel.words][-len(shown) :]


# --- transport --------------------------------------------------------------------------------


def test_the_timeline_plays_scrubs_and_changes_speed():
    playback = Playback()
    bar = TransportBar(Style("dark"), playback)
    bar.resize(1200, 40)
    bar.show_transport(())
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.button_area().center().toPoint())
    assert not playback.playing
    line = bar.line_area()
    middle, right = line.center().toPoint(), QPoint(int(line.right()) - 1, 20)
    QTest.mousePress(bar, Qt.MouseButton.LeftButton, pos=middle)
    assert playback.position_s == pytest.approx(60.0, abs=0.3)
    QTest.mouseMove(bar, right)
    assert playback.position_s == pytest.approx(110.0, abs=0.5)
    QTest.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=right)
    QTest.mouseMove(bar, middle)
    assert playback.position_s == pytest.approx(110.0, abs=0.5)
    for speed, area in zip(SPEEDS, bar.speed_areas(), strict=True):
        QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=area.center().toPoint())
        assert playback.speed == speed
    assert next_speed(1.0, 1) == 2.0
    assert next_speed(0.25, -1) == 0.25
    assert next_speed(16.0, 1) == 16.0
