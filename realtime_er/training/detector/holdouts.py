"""Which people, clips and photographs the face detector never learns from, fixed by name.

A portrait belongs to a part by its person's name, so all pictures of one person are in one part.
``test`` decides nothing; thresholds and the recipe were chosen on ``dev``.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from realtime_er.errors import CorpusError
from realtime_er.messages import ImageArray

Part = Literal["train", "dev", "test"]

CLIPS: dict[Part, tuple[str, ...]] = {
    "train": (
        "talk_en_portrait.mp4",
        "single_face.mp4",
        "grid/bbaf2n.mpg",
        "grid/lbax4n.mpg",
        "grid/lbbc2a.mpg",
        "grid/pwij3p.mpg",
    ),
    "dev": ("grid/sbwe5n.mpg",),
    "test": (
        "address_a.mp4",
        "pexels_face_640x360.mp4",
        "grid/brbk7n.mpg",
        "grid/lrwp9a.mpg",
        "grid/lwbsza.mpg",
        "grid/sbia1a.mpg",
        "grid/swiz3n.mpg",
    ),
}
"""Clips with one person each; every person is in one clip only."""

EMPTY_CLIPS: dict[Part, tuple[str, ...]] = {"train": (), "dev": (), "test": ("no_face.mp4",)}
"""Clips without a face."""

PHOTOGRAPHS: dict[Part, tuple[str, ...]] = {
    "train": (
        "sklearn/flower.jpg",
        "skimage/coffee.png",
        "skimage/brick.png",
        "skimage/grass.png",
        "skimage/gravel.png",
        "skimage/page.png",
        "skimage/text.png",
        "skimage/hubble_deep_field.jpg",
        "skimage/ihc.png",
        "skimage/clock_motion.png",
        "skimage/cell.png",
        "skimage/moon.png",
        "skimage/color.png",
        "skimage/retina.jpg",
    ),
    "dev": ("skimage/rocket.jpg", "skimage/microaneurysms.png"),
    "test": (
        "sklearn/china.jpg",
        "skimage/chelsea.png",
        "skimage/motorcycle_left.png",
        "skimage/coins.png",
        "skimage/chessboard_RGB.png",
    ),
}
"""Photographs without a face that scikit-learn and scikit-image carry in their packages."""


def person_of(stem: str) -> str:
    """The person in a portrait, from its file's stem: ``Tony_Blair_0012`` is ``Tony_Blair``."""
    return re.sub(r"_\d+$", "", stem).casefold()


def part_of_person(person: str) -> Part:
    """Seven tenths of all people teach, one tenth is for choices, two tenths are for the end."""
    tenth = zlib.crc32(person.encode()) % 10
    if tenth < 2:
        return "test"
    return "dev" if tenth == 2 else "train"


def list_portraits(data_dir: Path, part: Part) -> list[Path]:
    """The portraits of one part, sorted by name; byte-equal copies stay in the later part only.

    Raises:
        CorpusError: there are no portraits.
    """
    folder = Path(data_dir) / "portraits" / "images"
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise CorpusError(f"{folder}: no portraits; name the folder that holds portraits/ (--data)")
    by_part: dict[Part, list[Path]] = {"train": [], "dev": [], "test": []}
    for path in paths:
        by_part[part_of_person(person_of(path.stem))].append(path)
    seen: set[int] = set()
    kept: dict[Part, list[Path]] = {"train": [], "dev": [], "test": []}
    order: tuple[Part, ...] = ("test", "dev", "train")
    for name in order:
        for path in by_part[name]:
            digest = zlib.crc32(path.read_bytes())
            if digest not in seen:
                kept[name].append(path)
            seen.add(digest)
        if name == part:
            break
    return kept[part]


def read_picture(path: Path) -> ImageArray:
    """A picture file, uint8 [H, W, 3] BGR.

    Raises:
        CorpusError: it is not there, or is no picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise CorpusError(f"{path}: cannot be read as a picture")
    return np.asarray(image, np.uint8)


def find_photographs(part: Part) -> list[Path]:
    """Paths of the photographs that are installed; those of a package that is not are left out."""
    roots: dict[str, Path] = {}
    try:
        import sklearn

        roots["sklearn"] = Path(sklearn.__file__).parent / "datasets" / "images"
    except ImportError:
        pass
    try:
        import skimage

        roots["skimage"] = Path(skimage.__file__).parent / "data"
    except ImportError:
        pass
    found = []
    for name in PHOTOGRAPHS[part]:
        package, _, file = name.partition("/")
        if package in roots and (roots[package] / file).is_file():
            found.append(roots[package] / file)
    return found
