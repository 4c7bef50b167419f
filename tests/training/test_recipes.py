"""Recipes say what the trainers would do by themselves."""

import inspect

import pytest

pytest.importorskip("torch")

from realtime_er.training.detector.train import train_detector
from realtime_er.training.face.train import train_face
from realtime_er.training.recipes import DetectorRecipe, FaceRecipe, TextRecipe
from realtime_er.training.text.train import train_text


@pytest.mark.parametrize(
    ("trainer", "recipe"),
    [
        (train_detector, DetectorRecipe()),
        (train_face, FaceRecipe()),
        (train_text, TextRecipe()),
    ],
)
def test_defaults_agree(trainer, recipe):
    taken = inspect.signature(trainer).parameters
    for name, value in vars(recipe).items():
        assert taken[name].default == value, name
