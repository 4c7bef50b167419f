"""``realtime-er train cfn-sr``, ``evaluate compare`` and ``live --head``: what they ask for and say."""

import pytest
from typer.testing import CliRunner

from realtime_er.cli import app, options, train_ravdess
from realtime_er.config import load_config
from realtime_er.errors import ConfigError
from realtime_er.resources import resource_dir


def invoke(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_a_head_goes_to_the_bundle_that_is_in_use():
    usual = load_config("live")
    assert options.with_head(usual, None) is usual
    assert options.with_head(usual, "msaf").models.head == "msaf"
    paper = load_config("live", {"models.bundle": "paper"})
    found = options.with_head(paper, "heads/meld")
    assert (found.paper.head, found.models.head) == ("heads/meld", "")


@pytest.mark.parametrize("command", ["live", "analyze"])
def test_the_head_is_among_the_settings(command, tmp_path):
    given = ["no.mp4"] if command == "analyze" else []
    result = invoke(command, *given, "--head", "msaf", "--print-config")
    assert result.exit_code == 0
    assert 'head = "msaf"' in result.output


def test_a_head_that_cannot_be_live_is_one_clear_line(tmp_path):
    media = resource_dir("assets") / "demo.mp4"
    result = invoke("analyze", media, "--out", tmp_path, "--head", "cfn-sr")
    assert result.exit_code == 2
    (line,) = [one for one in result.output.splitlines() if one.startswith("error")]
    assert "head cfn-sr reads sequence or maps, which a live session does not make" in line


def test_switches_are_named_or_all_that_the_released_code_has():
    assert train_ravdess._switches("cfn-sr", ["released=true", "residual=false"]) == {
        "published_bare_stem": True, "published_batch_sum": True, "residual": False
    }  # fmt: skip
    with pytest.raises(ConfigError, match="--network block=0: true or false"):
        train_ravdess._switches("cfn-sr", ["block=0"])


def test_the_list_of_commands_says_which_network_is_which():
    told = invoke("train", "--help").output
    for title in ("MSAF", "CFN-SR", "concat + FC"):
        assert f"Train {title} on RAVDESS videos." in told


def test_training_asks_for_the_corpus_it_needs(tmp_path):
    result = invoke("train", "msaf", "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no spoken clip with picture and sound" in result.output
    result = invoke("train", "mmtm", "--data", tmp_path, "--splits", "seven")
    assert result.exit_code == 2
    assert "--splits seven: cfn-sr-5 or msaf-6, or a JSON file" in result.output


def test_a_comparison_of_unknown_heads_ends_before_it_begins(tmp_path):
    result = invoke("evaluate", "compare", "--data", tmp_path, "--out", tmp_path, "--heads", "msfa")
    assert result.exit_code == 2
    assert "no fusion head named 'msfa'; there are gated" in result.output


def test_the_command_hands_on_what_it_was_given(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from realtime_er.training.ravdess import cache as ravdess_cache
    from realtime_er.training.ravdess import train as ravdess_train

    RavdessCorpus = ravdess_cache.RavdessCorpus  # noqa: N806 - a class
    given = {}

    def prepare(root, cache, make_detector, **more):
        given.update(more, root=root, cache=cache)
        return RavdessCorpus(dict.fromkeys((*range(1, 7), *range(8, 25))))

    def train(plan, corpus, splits, recipe, out, **more):
        given.update(more, plan=plan, corpus=corpus, splits=splits, recipe=recipe, out=out)

    monkeypatch.setattr(ravdess_cache, "prepare_ravdess", prepare)
    monkeypatch.setattr(ravdess_train, "train_network", train)
    result = invoke(
        "train", "cfn-sr", "--data", tmp_path, "--out", tmp_path / "out", "--published-split",
        "--fold", 2, "--landmarks", tmp_path / "L", "--cache", tmp_path / "C", "--epochs", 3,
        "--video-weights", "fold_{fold}_resnext50_best.pth", "--network", "residual=false",
        "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "no clip of actors 7: done without" in result.output
    assert (given["plan"].head, given["plan"].switches) == ("cfn-sr", {"residual": False})
    assert given["plan"].video_weights == "fold_{fold}_resnext50_best.pth"
    assert (given["root"], given["cache"]) == (tmp_path, tmp_path / "C")
    assert given["landmarks_dir"] == tmp_path / "L"
    assert (list(given["folds"]), given["published"], given["device"]) == ([2], True, "cpu")
    assert given["splits"].folds[0].val == ()
    recipe = given["recipe"]
    assert (recipe.epochs, recipe.batch, recipe.rate, recipe.per_frame) == (3, 16, 1e-3, False)
