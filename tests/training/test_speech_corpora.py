"""Speech corpora, splits by speaker, and the features' promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from realtime_er.errors import ConfigError, CorpusError
from realtime_er.training.corpora import emodb, ravdess
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.progress import Progress, Tell
from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech import train as speech
from realtime_er.training.speech.features import SpeechMaterial, draw_batch, prepare
from realtime_er.training.speech.fit import Keeping
from realtime_er.training.speech.folds import FILE as FOLDS_FILE
from realtime_er.training.speech.folds import speakers_done
from realtime_er.training.speech.model import POWER_FLOOR, SpeechNet, clip_features, clip_power
from realtime_er.training.speech.refine import refine
from realtime_er.training.speech.teacher import STATE_DIM, standardised

ONE_EPOCH = SpeechRecipe(epochs=1, refine_epochs=1)


@pytest.fixture
def small_corpora(tmp_path: Path) -> Path:
    """Two clips of RAVDESS and two of EMO-DB, noise inside."""
    rng = np.random.default_rng(0)
    names = [
        "ravdess_speech/Actor_07/03-01-02-01-01-01-07.flac",
        "ravdess_speech/Actor_18/03-01-08-02-02-01-18.flac",
        "emodb/03a01La.flac",
        "emodb/14b10Wc.flac",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.05 * rng.standard_normal(32_000), 16_000)
    return tmp_path


def test_names_are_read(small_corpora: Path) -> None:
    clips = speech.read_clips(small_corpora)
    assert [(clip.speaker, clip.label, clip.corpus) for clip in clips] == [
        ("ravdess-07", "calm", "ravdess"),
        ("ravdess-18", "surprise", "ravdess"),
        ("emodb-03", "boredom", "emodb"),
        ("emodb-14", "angry", "emodb"),
    ]
    assert clips[2].id == "emodb/03a01La"
    assert clips[0].samples().dtype == np.float32


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-07", "hello"])
def test_odd_ravdess_name(name: str) -> None:
    with pytest.raises(CorpusError, match="RAVDESS"):
        ravdess.parse_name(name)


@pytest.mark.parametrize("name", ["03a01Xa", "a3a01Fa", "03"])
def test_odd_emodb_name(name: str) -> None:
    with pytest.raises(CorpusError, match="EMO-DB"):
        emodb.parse_name(name)


def test_absent_corpus_says_what_to_do(tmp_path: Path) -> None:
    for read in (ravdess.read_ravdess, emodb.read_emodb):
        with pytest.raises(CorpusError, match="--data"):
            read(tmp_path)


def test_wrong_rate_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "emodb"
    folder.mkdir()
    soundfile.write(folder / "03a01Fa.flac", np.zeros(800), 8000)
    with pytest.raises(CorpusError, match="16000 Hz"):
        emodb.read_emodb(tmp_path)[0].samples()


def test_folds_hold_every_speaker_once() -> None:
    speakers = [speaker for fold in speech.FOLDS for speaker in fold]
    assert len(speakers) == len(set(speakers)) == 28
    assert set(speech.HELD_OUT) < set(speakers)


def test_split_keeps_speakers_apart(small_corpora: Path) -> None:
    clips = speech.read_clips(small_corpora)
    assert speech.split(clips, ("ravdess-18", "emodb-14")) == ([0, 2], [1, 3])


def test_every_clip_is_told_by_networks_that_never_heard_its_speaker_or_corpus(
    small_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up networks; a run that was stopped goes on, a finished one trains nothing."""
    clips = speech.read_clips(small_corpora)
    heard: list[tuple[str, list[int]]] = []
    stops = ["", "", "fold 2", "", "", ""]

    class Taught:
        def __init__(self, *_: object) -> None:
            self.material = SpeechMaterial(clips, torch.zeros(1), torch.zeros(1))

        def network(self, train: list[int], keeping: Keeping) -> list[int]:
            if keeping.run == stops.pop():
                raise KeyboardInterrupt
            heard.append((keeping.run, train))
            return train

    def told(train: list[int], material: SpeechMaterial, apart: list[int]) -> speech.PooledClips:
        assert not {clips[one].speaker for one in train} & {clips[one].speaker for one in apart}
        logits = np.zeros((len(apart), len(speech.LABELS)), np.float32)
        return speech.PooledClips([clips[one] for one in apart], logits, logits)

    monkeypatch.setattr(speech, "_Taught", Taught)
    monkeypatch.setattr(speech, "evaluate", told)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        speech.train_folds(small_corpora, out)
    files = speech.train_folds(small_corpora, out)
    assert speech.train_folds(small_corpora, out) == files
    assert [run for run, _ in heard[:2]] == ["without ravdess", "without emodb"]
    assert heard[0][1] == [2, 3]
    assert len({run for run, _ in heard}) == len(heard)
    whole = next(path for path in files if path.name == FOLDS_FILE)
    assert speakers_done(whole, SpeechRecipe()) == {clip.speaker for clip in clips}


def test_the_speakers_of_test_parts_teach_nothing(small_corpora: Path) -> None:
    folder = small_corpora / "ravdess_speech" / "Actor_21"
    folder.mkdir()
    soundfile.write(folder / "03-01-02-01-01-01-21.flac", np.zeros(800), 16_000)
    assert len(ravdess.read_ravdess(small_corpora)) == 3
    assert len(speech.read_clips(small_corpora)) == 4


def test_only_classes_of_the_corpus_compete(small_corpora: Path) -> None:
    clips = speech.read_clips(small_corpora)
    logits = np.zeros((4, 9), np.float32)
    logits[:2, speech.LABELS.index("boredom")] = 9.0
    logits[:2, speech.LABELS.index("calm")] = 1.0
    logits[2:, speech.LABELS.index("surprise")] = 9.0
    logits[2:, speech.LABELS.index("angry")] = 1.0
    truth, found = speech.predictions(
        speech.PooledClips(clips, np.zeros((4, 2), np.float32), logits)
    )
    names = [speech.LABELS[number] for number in found]
    assert names == ["calm", "calm", "angry", "angry"]
    assert [speech.LABELS[number] for number in truth] == ["calm", "surprise", "boredom", "angry"]
    assert speech.metrics_of(
        speech.PooledClips(clips, np.zeros((4, 2), np.float32), logits), "x", "here", 1
    )["x_ravdess_accuracy"]["value"] == pytest.approx(0.5)


def test_material_and_batches_are_reproducible(small_corpora: Path) -> None:
    clips = speech.read_clips(small_corpora)
    first, second = (prepare(clips, 3, seed=4) for _ in range(2))
    assert torch.equal(first.log_power, second.log_power)
    assert int(first.frames[0, 0]) == 200
    chosen = torch.tensor([0, 1, 3])
    batch = draw_batch(first, chosen, torch.Generator().manual_seed(2), tries=3)
    again = draw_batch(second, chosen, torch.Generator().manual_seed(2), tries=3)
    features, steps = batch.features, batch.steps
    assert torch.equal(features, again.features)
    assert torch.equal(batch.places, again.places)
    assert batch.places.shape == (3, features.shape[1] // 8)
    assert features.shape[1] % 8 == 0
    assert features.shape[2] == 64
    assert bool((steps * 8 <= features.shape[1]).all())
    assert bool((features >= 0).all())


def test_features_look_only_at_the_past() -> None:
    rng = np.random.default_rng(1)
    sound = torch.from_numpy((0.1 * rng.standard_normal((1, 16_000))).astype(np.float32))
    whole = clip_features(clip_power(sound))
    part = clip_features(clip_power(sound[:, :8000]))
    torch.testing.assert_close(whole[:, :50], part, atol=1e-5, rtol=0)


def test_fuller_crops_are_taken() -> None:
    power = torch.zeros(1, 400, 64)
    power[:, 8 * 40 : 8 * 48] = 1e-3
    clip = SpeechClip(Path("x.flac"), "ravdess-01", "calm", "ravdess")
    level = torch.log10(power + POWER_FLOOR).half()[None]
    material = SpeechMaterial([clip], level, torch.tensor([[400]]))
    first = torch.zeros(1, dtype=torch.long)

    def steps_of_speech(tries: int) -> int:
        generators = (torch.Generator().manual_seed(seed) for seed in range(8))
        places = [draw_batch(material, first, rng, tries).places for rng in generators]
        return sum(int(((place >= 40) & (place < 48)).sum()) for place in places)

    assert steps_of_speech(8) > steps_of_speech(1)


def test_second_training_runs_and_repeats(small_corpora: Path) -> None:
    clips = speech.read_clips(small_corpora) * 8
    material = prepare(clips, 2, seed=1)
    states = torch.randn(32, 25, STATE_DIM, generator=torch.Generator().manual_seed(1))
    teacher = standardised(states, torch.full((32,), 25), range(32))
    assert abs(float(teacher.per_step.float().mean())) < 0.01
    ended: list[Progress] = []
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        net = SpeechNet(len(speech.LABELS))
        net = refine(net, material, teacher, range(32), ONE_EPOCH, Keeping("a", told(ended)))
        found.append(speech.evaluate(net, material, [0, 2]).logits)
    assert [state.run for state in ended] == ["a", "a"]
    np.testing.assert_array_equal(found[0], found[1])


def test_training_runs_and_repeats(small_corpora: Path) -> None:
    material = prepare(speech.read_clips(small_corpora) * 8, 1, seed=1)
    ended: list[Progress] = []
    nets = [speech.fit(material, range(32), ONE_EPOCH, Keeping(tell=told(ended))) for _ in range(2)]
    assert len(ended) == 2
    assert np.isfinite(ended[0].loss)
    found = [speech.evaluate(net, material, [0, 2]).logits for net in nets]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].shape == (2, 9)


def told(ended: list[Progress]) -> Tell:
    """Notes what is told at the end of an epoch."""

    def tell(state: Progress) -> None:
        if state.part == 1.0:
            ended.append(state)

    return tell


@pytest.mark.parametrize("stopped_in", ["shipped", "shipped, with teacher"])
def test_a_training_that_was_stopped_goes_on_to_the_same_network(
    small_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    states = torch.randn(4, 25, STATE_DIM, generator=torch.Generator().manual_seed(1))
    heard = states, torch.full((4,), 25)
    monkeypatch.setattr(speech, "whisper_states", lambda *_: heard)
    how = SpeechRecipe(epochs=2, refine_epochs=2, batch=2, versions=1)

    def trained(out: Path, tell: Tell | None = None) -> SpeechNet:
        out.mkdir(exist_ok=True)
        taught = speech._Taught(small_corpora, how, 1)
        return taught.network([0, 1, 2, 3], Keeping("shipped", tell, out))

    def stop(state: Progress) -> None:
        if (state.run, state.epoch, state.part) == (stopped_in, 1, 1.0):
            raise KeyboardInterrupt

    through = trained(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b", stop)
    ended: list[Progress] = []
    gone_on = trained(tmp_path / "b", told(ended))
    assert len(ended) == (3 if stopped_in == "shipped" else 1)
    for name, values in through.state_dict().items():
        assert torch.equal(values, gone_on.state_dict()[name]), name
    lines = (tmp_path / "b" / "curves.csv").read_text().splitlines()
    assert [line.rsplit(",", 3)[0] for line in lines[1:]] == [
        "shipped,1", "shipped,2", '"shipped, with teacher",1', '"shipped, with teacher",2',
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="other settings"):
        speech.fit(
            speech._Taught(small_corpora, how, 1).material, range(4),
            SpeechRecipe(epochs=3, batch=2), Keeping("shipped", None, tmp_path / "b"),
        )  # fmt: skip
