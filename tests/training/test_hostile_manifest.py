"""A corpus' manifest from somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.manifest import ManifestRow, read_manifest, write_manifest


def _written(folder: Path, video: str, audio: str = "") -> Path:
    path = folder / "manifest.csv"
    write_manifest(path, [ManifestRow("c/1", "c", "train", video, audio, ("joy",))])
    return path


@pytest.mark.parametrize(
    "name", ["../a.mp4", "a/../../b.mp4", "/etc/passwd", "C:\\a.mp4", "..\\a.mp4", "\\\\host\\a"]
)
def test_no_row_leads_out_of_the_corpus(tmp_path: Path, name: str) -> None:
    for video, audio in ((name, ""), ("a.mp4", name)):
        with pytest.raises(CorpusError, match=r"line 2: \w+ .* leads out of the corpus"):
            read_manifest(_written(tmp_path, video, audio))


def test_names_with_dots_are_names(tmp_path: Path) -> None:
    assert read_manifest(_written(tmp_path, "a..b/...mp4"))[0].video == "a..b/...mp4"


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"id,\x80corpus\n", b'"' + b"a" * 200_000])
def test_what_is_no_table_of_text_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(data)
    with pytest.raises(CorpusError) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value)
