from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess

import cv2
import numpy as np
import pytest

from realtime_er.errors import ConfigError, RecordingError
from realtime_er.messages import LABELS
from realtime_er.palette import COLOURS
from realtime_er.recording.export.formats import FORMATS, export_session
from realtime_er.recording.marks import Mark, raters, write_marks
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples
from tests.recording.samples import NASTY, START_S


def export(folder, out):
    with RecordedSession.open(folder) as session:
        (path,) = export_session(session, "report", out)
    return path


def parsed(path):
    html = pytest.importorskip("lxml.html")
    return html.fromstring(path.read_text("utf-8"))


@pytest.fixture
def page(recorded, tmp_path):
    return export(recorded, tmp_path)


def test_nothing_is_requested_and_nothing_can_run(page):
    document = parsed(page)
    for element in document.iter():
        assert element.tag not in {"script", "iframe", "object", "embed", "link", "img", "a"}
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name not in {"src", "href", "xlink:href"}
            assert "url(" not in value
    text = page.read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_any_text_is_shown_as_it_is(page):
    text = parsed(page).text_content()
    for shown in (NASTY, "שמח 😀", 'says "hi"', "first line\nsecond <b>\"line\"</b> שלום 🙂",
                  'I like <this> & "that" --> really', "<cam>"):  # fmt: skip
        assert shown in text
    assert "<script" not in page.read_text("utf-8")


def test_what_it_says(page):
    text = parsed(page).text_content()
    assert all(label in text for label in LABELS)
    assert "reads as" in text
    assert "you feel" not in text
    assert "They are not what somebody felt" in text
    rows = {
        tuple(cell.text_content() for cell in row.iter("td")) for row in parsed(page).iter("tr")
    }
    assert ("Happy", "", "68 %") in rows
    assert ("Sad", "", "0 %") in rows
    assert ("abstains", "", "4 %") in rows
    assert ("rater", "anna, ben", "0.69", "0.74", "87 %", "7.7 s") in rows
    assert ("rater", "anna", "1.00", "100 %", "9.2 s") in rows
    assert ("camera", "0:05", "2.0 s", "unplugged") in rows
    assert ("0.083 s", "0.086 s", "0.086 s") in rows
    assert ("face", "83 %", "device lost 17 %") in rows
    assert ("ben", "observer", NASTY, "2", "points") in rows


def test_traces_have_holes_where_there_was_nothing(page):
    (timeline, *_) = parsed(page).iter("svg")
    lines = [p for p in timeline.iter("path") if p.get("stroke") == COLOURS["Happy"]]
    assert lines
    assert not [p for p in timeline.iter("path") if p.get("stroke") == COLOURS["Fear"]]
    assert "NaN" not in page.read_text("utf-8")
    assert "nan" not in re.sub(r"[a-zA-Z]{4,}", "", page.read_text("utf-8"))


def test_empty_sessions_and_cut_off_ones(own_copy, tmp_path):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        for table in ("contributions", "windows", "estimates", "words", "hypotheses", "health",
                      "gaps", "events", "faces"):  # fmt: skip
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    shutil.rmtree(own_copy / "annotations")
    samples.lie_in_manifest(own_copy, complete=False, failure="disk <full>", devices={},
                            started_at="", verified=None)  # fmt: skip
    text = parsed(export(own_copy, tmp_path)).text_content()
    assert "Not complete: disk <full>" in text
    assert "No estimates were recorded." in text
    assert "Nobody has annotated this session." in text
    assert "date unknown" in text


def test_many_marks_become_a_small_picture(own_copy, tmp_path):
    def marks():
        for index in range(8_000):
            start_s = START_S + 12 * index / 8_000
            end_s = start_s + (3.0 if index % 100 == 0 else 0.0004)
            yield Mark(0, "rater", LABELS[index // 1200], "interval", start_s, end_s, start_s,
                       end_s, None, 0.0, "", None, "")  # fmt: skip
            yield Mark(0, "o", f"label {index}", "point", start_s, start_s, start_s, start_s,
                       None, 0.0, "", None, "")  # fmt: skip

    write_marks(own_copy, "many", marks())
    path = export(own_copy, tmp_path)
    assert path.stat().st_size < 400_000
    assert "and 7,954 more" in parsed(path).text_content()


def test_every_format_through_the_dispatcher(recorded, tmp_path):
    with RecordedSession.open(recorded) as session:
        for to in FORMATS:
            paths = export_session(session, to, tmp_path / to)
            assert sorted((tmp_path / to).iterdir()) == sorted(paths)
        with pytest.raises(ConfigError, match="choose one of csv, parquet, eaf"):
            export_session(session, "docx", tmp_path)
    assert raters(recorded) == ("anna", "ben")


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize("value", ["1e300", "9e999", "-9e999"])
def test_absurd_times_are_a_file_or_one_clear_line(own_copy, tmp_path, to, value):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute(f"UPDATE words SET end_s = {value}")
        connection.execute(f"UPDATE hypotheses SET end_s = {value}")
        connection.execute(f"UPDATE estimates SET time_s = {value} WHERE tick = 99")
        connection.execute(f"UPDATE gaps SET start_s = {value}")
    connection.close()
    with RecordedSession.open(own_copy) as session:
        paths, line = [], ""
        try:
            paths = export_session(session, to, tmp_path / "out")
        except RecordingError as error:
            line = str(error)
    assert bool(line) != bool(paths)
    assert "\n" not in line
    assert all(path.is_file() for path in paths)
    assert not list(tmp_path.glob("out/*.part"))


@pytest.mark.parametrize("seed", range(6))
def test_damaged_pages_are_a_file_or_one_clear_line(own_copy, tmp_path, seed):
    rng = np.random.default_rng(seed)
    for path in (own_copy / "session.sqlite", own_copy / "annotations" / "ben.sqlite"):
        data = bytearray(path.read_bytes())
        for _ in range(4 if seed % 2 else 40):
            start = int(rng.integers(4096, len(data)))
            data[start : start + 60] = rng.bytes(60)[: len(data) - start]
        path.write_bytes(data)
    for to in FORMATS:
        line = ""
        try:
            with RecordedSession.open(own_copy) as session:
                assert export_session(session, to, tmp_path / to)
        except RecordingError as error:
            line = str(error)
        assert "\n" not in line
        assert not list(tmp_path.glob(f"{to}/*.part"))


def screenshot(path, tmp_path, *flags):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium")
    picture = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,1600", *flags,
               f"--screenshot={picture}", path.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, timeout=100, text=True)
    assert "Refused" not in done.stderr
    return cv2.imread(str(picture))


def share_of(image, colour, least=12):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (5, 3, 1)])
    return float(np.mean(np.abs(image.astype(int) - wanted).max(axis=2) < least))


@pytest.mark.slow
def test_a_browser_shows_it_light_and_dark(page, tmp_path):
    light = screenshot(page, tmp_path)
    assert light.shape == (1600, 1280, 3)
    assert share_of(light, "#ffffff") > 0.6
    assert share_of(light, COLOURS["Happy"]) > 0.01
    assert share_of(light, COLOURS["Neutral"]) > 0.003
    dark = screenshot(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert share_of(dark, "#14171a") > 0.6
    assert share_of(dark, COLOURS["Happy"]) > 0.01
