from __future__ import annotations

import pytest

from realtime_er.errors import ConfigError
from realtime_er.keys import is_reserved
from realtime_er.messages import LABELS
from realtime_er.palette import COLOURS
from realtime_er.recording.labels import load_labels

LABEL = '[[labels]]\ntier = "rater"\nname = "Happy"\nkey = "1"\nkind = "toggle"\n'


def load(tmp_path, text):
    path = tmp_path / "labels.toml"
    path.write_text(text, "utf-8")
    return load_labels(path)


def test_shipped_labels_have_the_seven_emotions_in_order_and_in_their_colours():
    labels = load_labels()
    emotions = [label for label in labels.labels if label.name in LABELS]
    assert tuple(label.name for label in emotions) == LABELS
    assert all(label.colour == COLOURS[label.name] for label in emotions)
    assert {label.tier for label in labels.labels} == {"rater", "observer"}
    assert labels.exclusive == {"rater"}
    assert {label.kind for label in labels.labels} == {"point", "toggle", "hold"}
    assert not [key for key in labels.by_key() if is_reserved(key)]


def test_emoji_right_to_left_and_quotes_are_names(tmp_path):
    text = LABEL + LABEL.replace('"Happy"', "'שלום \"👩‍🔬\"'").replace('"1"', '"ß"')
    labels = load(tmp_path, "reaction_s = 0.3\n" + text)
    assert labels.labels[1].name == 'שלום "👩‍🔬"'
    assert labels.labels[1].key == "ß"
    assert labels.reaction_s == 0.3
    assert labels.colour("rater", "unknown") in COLOURS.values()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labels"),
        ("labels = 3", "no labels"),
        ("labels = [3]", r"label 1: must be a \[\[labels\]\] table"),
        ("colour = 1\n" + LABEL, "unknown key 'colour'"),
        (LABEL + "speed = 1\n", "label 1: unknown key 'speed'; known: tier, name, key"),
        (LABEL + LABEL, "label 2 .'Happy'.: key '1' already marks 'Happy'"),
        (LABEL + LABEL.replace('"1"', '"2"'), "label 2: 'Happy' is in the tier 'rater' already"),
        (LABEL.replace('"1"', '"Space"'), "key 'space' belongs to the window"),
        (LABEL.replace('"1"', '"n"'), "key 'n' belongs to the window"),
        (LABEL.replace('"1"', '"ab"'), "key must be one character or f1 to f12, not 'ab'"),
        (LABEL.replace('"1"', "1"), "key must be a text, not 1"),
        (LABEL.replace('"Happy"', '"a\\u0000b"'), "printable"),
        (LABEL.replace('"Happy"', f'"{"x" * 101}"'), "at most 100"),
        (LABEL.replace("toggle", "press"), "kind must be one of point, toggle, hold, not 'press'"),
        (LABEL + 'colour = "red"\n', "colour must look like"),
        (LABEL.replace('"rater"', '"notes"'), "kept for notes"),
        (LABEL.replace('"rater"', '"rater [2]"'), "brackets number the tiers in ELAN"),
        ('reaction_s = "0.1"\n' + LABEL, "reaction_s must be a number"),
        ("reaction_s = -1\n" + LABEL, "reaction_s must be 0 to 5"),
        ("[tiers.others]\n" + LABEL, "no label is in the tier 'others'; tiers in use: rater"),
        ("[tiers.rater]\nexclusive = 1\n" + LABEL, "exclusive must be true or false"),
        ("[tiers.rater]\nsolo = true\n" + LABEL, "tier 'rater': unknown key 'solo'"),
        ("[[labels]", "not TOML"),
    ],
)
def test_each_mistake_has_one_clear_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        load(tmp_path, text)
    assert str(tmp_path / "labels.toml") in str(error.value)
    assert "\n" not in str(error.value).replace("\\n", "") or "not TOML" in message


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_labels(tmp_path / "none.toml")
