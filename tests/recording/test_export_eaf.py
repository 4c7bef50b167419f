from __future__ import annotations

import shutil
import sqlite3
import warnings
from itertools import pairwise
from urllib.parse import unquote, urlparse

import pytest
from lxml import etree

from realtime_er.errors import RecordingError
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.export.eaf_import import import_eaf
from realtime_er.recording.export.elan import export_eaf
from realtime_er.recording.labels import Label, LabelSet
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples
from tests.recording.samples import NASTY

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/>'


@pytest.fixture
def pympi():
    return pytest.importorskip("pympi")


def read_by_pympi(pympi, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that 3.0 is newer than what it writes
        return pympi.Elan.Eaf(str(path))


def export(folder, out=None):
    with RecordedSession.open(folder) as session:
        (path,) = export_eaf(session, out or folder)
    return path


def assert_no_overlaps(eaf):
    for tier in eaf.get_tier_names():
        spans = sorted(eaf.get_annotation_data_for_tier(tier))
        for first, second in pairwise(spans):
            assert first[0] < first[1] <= second[0], (tier, first, second)


def test_valid_against_elans_own_schema(recorded, tmp_path, shared_dir):
    schema = etree.XMLSchema(etree.parse(shared_dir / "schemas" / "EAFv3.0.xsd"))
    document = etree.parse(export(recorded, tmp_path))
    schema.assertValid(document)
    times = [int(slot.get("TIME_VALUE")) for slot in document.iter("TIME_SLOT")]
    assert times == sorted(times)
    assert all(time >= 0 for time in times)


def test_read_by_pympi(recorded, tmp_path, pympi):
    eaf = read_by_pympi(pympi, export(recorded, tmp_path))
    assert_no_overlaps(eaf)
    data = {name: eaf.get_annotation_data_for_tier(name) for name in eaf.get_tier_names()}
    assert data["transcript"] == [
        (750, 2250, 'I like <this> & "that" --> really'),
        (3750, 5250, "זה נהדר 🎉"),
        (7750, 8750, "fine"),
    ]
    assert data["words"][-1] == (7750, 8750, "fine")
    assert data["reads as"] == [(450, 3750, "Neutral"), (3750, 11950, "Happy")]
    assert data["score Happy"] == [(450, 3750, "low"), (3750, 11950, "high")]
    assert data["score Fear"] == []  # the head lacks it: no segment, never "low"
    assert data["gaps camera"] == [(5750, 7750, "unplugged")]
    assert data["anna: rater"] == [(500, 3750, "Neutral"), (3750, 9750, "Happy")]
    assert data["ben: observer"] == [(1750, 3250, "שמח 😀")]
    assert data["ben: observer [2]"] == [(2250, 4250, 'says "hi"')]
    assert data["ben: observer [points]"] == [(2750, 2790, NASTY)]
    assert data["ben: observer [points 2]"] == [(2751, 2791, NASTY)]
    assert data["ben: notes [notes]"] == [(6750, 6790, 'first line\nsecond <b>"line"</b> שלום 🙂')]
    assert eaf.tiers["ben: observer"][2]["ANNOTATOR"] == "ben"


def test_media_are_linked_relatively_and_absolutely(own_copy, tmp_path, pympi):
    (media,) = read_by_pympi(pympi, export(own_copy)).get_linked_files()
    assert media["RELATIVE_MEDIA_URL"] == "./media.mkv"
    assert unquote(urlparse(media["MEDIA_URL"]).path) == str((own_copy / "media.mkv").resolve())
    assert media["MIME_TYPE"] == "video/x-matroska"
    (media,) = read_by_pympi(pympi, export(own_copy, tmp_path / "out")).get_linked_files()
    assert media["RELATIVE_MEDIA_URL"] == "../session/media.mkv"


def test_numbers_only_sessions_link_nothing(tmp_path, pympi):
    folder = samples.write_session(tmp_path / "s", media=False)
    assert read_by_pympi(pympi, export(folder)).get_linked_files() == []


def test_what_xml_cannot_hold_is_left_out(own_copy, pympi, shared_dir):
    with sqlite3.connect(own_copy / "annotations" / "ben.sqlite") as connection:
        connection.execute("UPDATE marks SET text = 'a' || char(1) || 'b' WHERE kind = 'note'")
        connection.execute("UPDATE marks SET tier = 'x[1]' || char(10, 7) WHERE tier = 'observer'")
    connection.close()
    path = export(own_copy)
    eaf = read_by_pympi(pympi, path)
    assert eaf.get_annotation_data_for_tier("ben: notes [notes]")[0][2] == "ab"
    etree.XMLSchema(etree.parse(shared_dir / "schemas" / "EAFv3.0.xsd")).assertValid(
        etree.parse(path)
    )


def test_export_import_export_is_the_same_file(recorded, tmp_path):
    first = export(recorded, tmp_path / "first").read_text("utf-8")
    folder = tmp_path / "bare" / "2026-11-21_ann"
    shutil.copytree(recorded, folder)
    shutil.rmtree(folder / "annotations")
    with RecordedSession.open(folder) as session:
        done = import_eaf(session, tmp_path / "first" / "session.eaf")
        assert [path.stem for path in done.databases] == ["anna", "ben"]
        assert (done.n_marks, done.skipped) == (9, ())
    second = export(folder, tmp_path / "second").read_text("utf-8")

    def without_media(text):
        return [line for line in text.split("\n") if "MEDIA_DESCRIPTOR" not in line]

    assert without_media(second) == without_media(first)


def test_an_unchanged_file_brings_nothing(own_copy):
    path = export(own_copy)
    with RecordedSession.open(own_copy) as session:
        done = import_eaf(session, path)
        assert done.databases == ()
        assert done.unchanged == ("anna", "ben")
        assert session.raters == ("anna", "ben")


def test_a_correction_made_by_another_program_comes_back(own_copy, pympi, tmp_path):
    before = (own_copy / "annotations" / "ben.sqlite").read_bytes()
    eaf = read_by_pympi(pympi, export(own_copy))
    eaf.remove_annotation("ben: rater", 2000)
    eaf.add_annotation("ben: rater", 1200, 4750, "Sad <&>")
    eaf.add_linguistic_type("own")
    eaf.add_tier("smiles", ling="own", part="Cara M.")
    eaf.add_annotation("smiles", 100, 900, "grin 😀")
    corrected = tmp_path / "corrected.eaf"
    eaf.to_file(str(corrected))
    with RecordedSession.open(own_copy) as session:
        done = import_eaf(session, corrected)
        assert [path.name for path in done.databases] == ["Cara_M.sqlite", "ben-elan.sqlite"]
        assert done.unchanged == ("anna",)
        marks = {rater: list(session.marks(rater)) for rater in session.raters}
        assert import_eaf(session, corrected).databases == ()
    assert (own_copy / "annotations" / "ben.sqlite").read_bytes() == before
    assert [(m.tier, m.label, m.start_s, m.end_s) for m in marks["Cara_M"]] == [
        ("smiles", "grin 😀", 2.35, 3.15)
    ]
    corrected_marks = {(m.tier, m.kind, m.label) for m in marks["ben-elan"]}
    assert ("rater", "interval", "Sad <&>") in corrected_marks
    assert ("observer", "point", NASTY) in corrected_marks
    assert ("notes", "note", "note") in corrected_marks
    assert len(marks["ben-elan"]) == 7


def test_a_tier_that_was_added_with_the_first_type_on_offer_comes_back(own_copy, pympi, tmp_path):
    eaf = read_by_pympi(pympi, export(own_copy))
    eaf.add_tier("posture", ling="gap")
    eaf.add_annotation("posture", 1000, 2000, "leans")
    eaf.to_file(str(tmp_path / "more.eaf"))
    with RecordedSession.open(own_copy) as session:
        (database,) = import_eaf(session, tmp_path / "more.eaf").databases
        (mark,) = session.marks(database.stem)
    assert (mark.tier, mark.label, mark.kind) == ("posture", "leans", "interval")


def test_what_cannot_be_taken_is_said(own_copy, tmp_path):
    path = tmp_path / "a.eaf"
    path.write_text(
        HEAD + '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="5"/>'
        '<TIME_SLOT TIME_SLOT_ID="t2"/></TIME_ORDER>'
        '<TIER TIER_ID="a" LINGUISTIC_TYPE_REF="x"><ANNOTATION><ALIGNABLE_ANNOTATION '
        'ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>v'
        "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION><REF_ANNOTATION "
        'ANNOTATION_ID="a2" ANNOTATION_REF="a1"><ANNOTATION_VALUE>w</ANNOTATION_VALUE>'
        "</REF_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
    )
    with RecordedSession.open(own_copy) as session:
        done = import_eaf(session, path)
    assert done.n_marks == 0
    assert done.skipped == ("1 x a: without a time", "1 x a: refers to another tier")


BOMB = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n + 1} "{f"&lol{n or str()};" * 10}">' for n in range(9))
    + "]><ANNOTATION_DOCUMENT>&lol9;</ANNOTATION_DOCUMENT>"
)
EXTERNAL = (
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<ANNOTATION_DOCUMENT>&x;</ANNOTATION_DOCUMENT>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "declares a document type or an entity"),
        (EXTERNAL, "declares a document type or an entity"),
        ('<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><ANNOTATION_DOCUMENT/>', "document type"),
        ("<html/>", "begins with <html>, so it is not an ELAN file"),
        ("", "is not an ELAN file"),
        ("\x00\x01", "is not an ELAN file"),
        (HEAD, "is not an ELAN file"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "is not an ELAN file"),
        (
            '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="NTSC-frames"/></ANNOTATION_DOCUMENT>',
            "does not count in milliseconds",
        ),
        (
            HEAD + '<TIME_SLOT TIME_SLOT_ID="a" TIME_VALUE="1e9"/></ANNOTATION_DOCUMENT>',
            "has the time '1e9'",
        ),
    ],
)
def test_hostile_and_wrong_files_are_one_clear_line(own_copy, tmp_path, text, message):
    path = tmp_path / "wrong.eaf"
    path.write_text(text, "utf-8")
    with RecordedSession.open(own_copy) as session:
        with pytest.raises(RecordingError, match=message) as error:
            import_eaf(session, path)
        assert "\n" not in str(error.value)
        assert session.raters == ("anna", "ben")


def test_missing_file(own_copy, tmp_path):
    with (
        RecordedSession.open(own_copy) as session,
        pytest.raises(RecordingError, match="cannot be read"),
    ):
        import_eaf(session, tmp_path / "none.eaf")


def test_marks_before_the_recording_and_open_ones(own_copy, pympi):
    labels = LabelSet((Label("r", "a", "1", "point", "#000000"),
                       Label("r", "b", "2", "toggle", "#000000")))  # fmt: skip
    with AnnotationStore(own_copy, "cara", labels) as store:
        store.press("1", 1.0, None)
        store.press("2", 3.25, None)
        store.press("2", 3.25, None)
        store.press("2", 4.25, None)
        eaf = read_by_pympi(pympi, export(own_copy))
    assert eaf.get_annotation_data_for_tier("cara: r [points]") == [(0, 40, "a")]
    assert eaf.get_annotation_data_for_tier("cara: r") == [(1000, 1001, "b"), (2000, 2001, "b")]
