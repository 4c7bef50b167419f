"""``realtime-er models get|check|list`` for the published encoders, from a hub on this machine."""

import json
import shutil

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")

from realtime_er.cli.models import models, verify
from realtime_er.config import load_config
from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper import locked
from realtime_er.encoders.paper.emo_affectnet import EmoAffectNetEncoder
from realtime_er.encoders.paper.hub import find_weights
from realtime_er.errors import SpecMismatch, WeightsMissing
from tests.encoders.paper import tiny
from tests.encoders.paper.fake_hub import COMMIT, FakeHub

PAPER = load_config("paper").paper
FACE = "FER_static_ResNet50_AffectNet.pt"


def invoke(*args):
    return CliRunner().invoke(models, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The three models in the hub's layout, with files that nobody needs."""
    root = tmp_path_factory.mktemp("hub")
    tiny.write_face(root / "face")
    # Nothing here reads sound or words, so any bytes do. Both kinds of weights: safetensors is taken.
    names = {
        "audio": ("model.safetensors", "pytorch_model.bin", "config.json"),
        "text": ("pytorch_model.bin", "config.json", "vocab.json", "merges.txt",
                 "tokenizer_config.json"),
        "face": ("README.md",),
    }  # fmt: skip
    for folder, files in names.items():
        (root / folder).mkdir(exist_ok=True)
        for name in files:
            content = "{}" if name == "config.json" else f"{folder} {name} " * 50
            (root / folder / name).write_text(content)
    return root


@pytest.fixture
def hub(folders, tmp_path, monkeypatch):
    served = {name: tmp_path / "served" / name for name in ("face", "audio", "text")}
    for name, folder in served.items():
        shutil.copytree(folders / name, folder)
    ids = {getattr(PAPER, name): folder for name, folder in served.items()}
    monkeypatch.setattr(locked, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr("realtime_er.cli.models_paper.cache_root", lambda: tmp_path / "cache")
    # The client pauses before it asks again.
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with FakeHub(ids, {PAPER.text: "apache-2.0"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_get_then_check_then_load(hub, cache):
    done = invoke("get", "paper")
    assert done.exit_code == 0, done.output
    assert f"face: {PAPER.face}@{COMMIT}, licence mit" in done.output
    assert f"audio: {PAPER.audio}@{COMMIT}, licence unknown" in done.output
    assert f"text: {PAPER.text}@{COMMIT}, licence apache-2.0" in done.output
    there = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert there == {
        f"face/{FACE}", "audio/model.safetensors", "audio/config.json", "text/pytorch_model.bin",
        "text/config.json", "text/vocab.json", "text/merges.txt", "text/tokenizer_config.json",
        locked.LOCK_FILE,
    }  # fmt: skip

    check = invoke("check", "--bundle", "paper")
    assert check.exit_code == 0, check.output
    lines = [line.split() for line in check.stdout.splitlines()]
    assert len(lines) == 8
    assert {line[0] for line in lines} == {"ok"}
    expected = sha256_of(cache / "face" / FACE)
    assert ["ok", "face", expected, "mit", str(cache / "face" / FACE)] in lines
    assert verify(load_config("paper")) == [("face", ""), ("audio", ""), ("text", "")]
    encoder = EmoAffectNetEncoder()
    assert encoder.sha256 == expected

    asked = len(hub.log)
    again = invoke("get", "paper")
    assert again.exit_code == 0
    assert "there already" in again.output
    assert len(hub.log) == asked  # nothing was sent twice


def test_a_file_that_changed_is_found_out_by_check_and_by_loading(hub, cache):
    assert invoke("get", "paper").exit_code == 0
    face = cache / "face" / FACE
    face.write_bytes(face.read_bytes()[:-1] + b"\1")
    (cache / "text" / "vocab.json").unlink()
    check = invoke("check", "--bundle", "paper")
    assert check.exit_code == 1
    states = {line.split()[-1].rsplit("/", 1)[-1]: line.split()[0] for line in
              check.stdout.splitlines()}  # fmt: skip
    assert states[FACE] == "changed"
    assert states["vocab.json"] == "missing"
    assert states["merges.txt"] == "ok"
    assert check.stderr == (
        "error: 2 of 8 files are missing or changed; run: realtime-er models get paper\n"
    )
    with pytest.raises(SpecMismatch, match=rf"{FACE}: not the file that was fetched .* models get"):
        EmoAffectNetEncoder()
    with pytest.raises(WeightsMissing, match=r"vocab.json: missing; fetch it again: realtime-er"):
        find_weights(PAPER.text)
    # Fetching again mends both.
    assert invoke("get", "paper").exit_code == 0
    assert invoke("check", "--bundle", "paper").exit_code == 0


def test_what_is_not_as_declared_is_refused(hub, cache):
    hub.wrong = {FACE}
    done = invoke("get", "paper")
    assert done.exit_code == 1
    assert f"error: {PAPER.face}/{FACE}: what arrived is not what the hub declares" in done.stderr
    assert not list((cache / "face").iterdir())
    hub.wrong = {"merges.txt"}
    done = invoke("get", "paper")
    assert done.exit_code == 1
    assert "merges.txt: what arrived is not what the hub declares" in done.stderr
    # The two that were whole are locked; the third is not.
    assert set(locked.read_lock(cache)) == {"face", "audio"}


def test_an_interrupted_download_goes_on_where_it_stopped(hub, cache, monkeypatch):
    size = (hub.models[PAPER.face] / FACE).stat().st_size
    # The client writes whole pieces; what is left of one is lost.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut_after = {FACE: 50_500}
    done = invoke("get", "paper")
    assert done.exit_code == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert "goes on where it stopped" in told[0]
    part = next((cache / "face").glob(".*.part"))
    assert part.stat().st_size == 50_000 < size
    hub.cut_after = {}
    hub.log.clear()
    assert invoke("get", "paper").exit_code == 0
    assert (FACE, "bytes=50000-") in hub.log
    assert not part.exists()
    assert invoke("check", "--bundle", "paper").exit_code == 0


def test_without_a_network_one_line_says_so(cache, monkeypatch):
    monkeypatch.setattr("realtime_er.cli.models_paper.cache_root", lambda: cache)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = invoke("get", "paper")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be fetched" in done.stderr
    assert "check the connection" in done.stderr
    assert not cache.exists()


def test_what_the_hub_does_not_have(hub, cache):
    pinned = invoke("get", "paper", "--revision", "text=beef")
    assert pinned.exit_code == 1
    assert f"{PAPER.text}@beef: no such revision on the hub" in pinned.stderr
    assert invoke("get", "paper", "--revision", f"text={COMMIT}").exit_code == 0
    elsewhere = invoke("get", "paper", "--set", "paper.audio=nobody/nothing")
    assert elsewhere.exit_code == 1
    assert "nobody/nothing: no such public model on the hub" in elsewhere.stderr
    (hub.models[PAPER.face] / FACE).unlink()
    gone = invoke("get", "paper")
    assert gone.exit_code == 1
    assert "model.safetensors, pytorch_model.bin is on the hub there" in gone.stderr


def test_a_folder_for_a_machine_offline(hub, tmp_path, cache, monkeypatch):
    to = tmp_path / "stick"
    done = invoke("get", "paper", "--to", to)
    assert done.exit_code == 0
    assert f"--set paper.face={to}/face" in done.stdout
    assert not cache.exists()
    monkeypatch.delenv("HF_ENDPOINT")
    moved = shutil.move(to, tmp_path / "offline")
    chosen = [part for name in ("face", "audio", "text") for part in
              ("--set", f"paper.{name}={moved}/{name}")]  # fmt: skip
    check = invoke("check", "--bundle", "paper", *chosen)
    assert check.exit_code == 0, check.output
    assert check.stdout.count("\n") == 8
    listed = invoke("list", "--config", "paper", *chosen)
    assert "apache-2.0" in listed.stdout
    (tmp_path / "offline" / "face" / FACE).write_bytes(b"x")
    with pytest.raises(SpecMismatch, match="not the file that was fetched"):
        find_weights(tmp_path / "offline" / "face", (FACE,))


def test_before_anything_was_fetched(cache, monkeypatch, folders):
    monkeypatch.setattr(locked, "cache_root", lambda: cache)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    ids = ["--set", "paper.text=nobody/nothing-here", "--set", "paper.audio=nobody/nothing-there"]
    face = ["--set", f"paper.face={folders / 'face' / FACE}"]
    listed = invoke("list", "--config", "paper", *ids, *face)
    assert listed.exit_code == 0
    assert listed.stdout.replace("\n", "").count("not here") == 2
    check = invoke("check", "--bundle", "paper", *ids, *face)
    assert check.exit_code == 1
    assert [line.split()[0] for line in check.stdout.splitlines()] == [
        "unlocked", "missing", "missing",
    ]  # fmt: skip


def test_what_cannot_be_fetched_is_said(folders):
    assert "nothing to fetch" in invoke("get", "compact").stderr
    assert invoke("get", "other").exit_code == 2
    done = invoke("get", "paper", "--revision", "video=1")
    assert done.exit_code == 2
    assert "--revision video=1: write it as MODALITY=COMMIT" in done.stderr
    chosen = [part for name in ("face", "audio", "text") for part in
              ("--set", f"paper.{name}={folders / name}")]  # fmt: skip
    done = invoke("get", "paper", *chosen)
    assert done.exit_code == 2
    assert "there is nothing to fetch" in done.stderr


def test_a_broken_lock_is_named(tmp_path):
    (tmp_path / locked.LOCK_FILE).write_text(json.dumps({"format": 2, "models": {}}))
    with pytest.raises(SpecMismatch, match="format 2, this program reads 1"):
        locked.read_lock(tmp_path)


def test_the_compact_bundle_lists_every_file_too():
    check = invoke("check")
    assert check.exit_code == 0
    assert all(line.startswith("ok ") for line in check.stdout.splitlines())
    assert len(check.stdout.splitlines()) >= 5
