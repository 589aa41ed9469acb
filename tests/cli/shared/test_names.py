"""Names of shipped weights stand for a model in every verb that takes one."""

import shutil
from pathlib import Path

import pytest

from spair.cli.shared.models import Execution, open_model
from spair.cli.shared.names import find_bundle, find_checkpoint, read_model, refuse_name
from spair.export.eager import TorchTwoStage
from spair.runtime import Bundle, UserError
from spair.runtime.shipped import models
from spair.runtime.shipped.models import find_model
from spair.runtime.shipped.ready import has_bundle, locate_bundle


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_name_becomes_the_bundle_and_one_line_says_so_once(capsys):
    expected = locate_bundle(find_model("shadow"))
    assert find_bundle(Path("shadow")) == expected
    assert capsys.readouterr().err == f"made the bundle of shadow, once, from the shipped weights: {expected}\n"
    assert find_bundle(Path("shadow")) == expected
    assert capsys.readouterr() == ("", "")


def test_a_name_becomes_the_weights_where_a_checkpoint_is_meant():
    model = find_model("rain")
    assert find_checkpoint(Path("rain")) == model.checkpoint
    assert not has_bundle(model)


@pytest.mark.parametrize("find", [find_bundle, find_checkpoint])
def test_a_path_wins_and_a_line_says_so(find, tmp_path, capsys):
    (tmp_path / "rain").mkdir()
    assert find(Path("rain")) == Path("rain")
    assert capsys.readouterr().err == "note: rain is taken as the path here, not as the shipped weights of that name\n"


@pytest.mark.parametrize("path", ["absent.spair", "absent.safetensors", "some/rain"])
def test_other_paths_pass_without_a_word(path, capsys):
    assert find_bundle(Path(path)) == find_checkpoint(Path(path)) == Path(path)
    assert capsys.readouterr() == ("", "")


def test_a_name_runs_as_a_bundle_and_on_torch_as_a_checkpoint():
    with open_model(Path("rain"), Execution(threads=1)) as restorer:
        assert restorer.has_mask and not isinstance(restorer.network, TorchTwoStage)
    with open_model(Path("rain"), Execution(backend="torch")) as restorer:
        assert isinstance(restorer.network, TorchTwoStage)


@pytest.mark.parametrize("verb", ["calibrate", "build"])
def test_verbs_that_write_into_a_bundle_refuse_a_name(verb, tmp_path):
    with pytest.raises(UserError, match=rf"^spair {verb} writes .*first: spair export rain --out rain\.spair$"):
        refuse_name(Path("rain"), verb)
    (tmp_path / "rain").mkdir()
    refuse_name(Path("rain"), verb)
    refuse_name(Path("other.spair"), verb)


def test_paths_work_where_the_weights_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path / "absent")
    (tmp_path / "rain").mkdir()
    refuse_name(Path("rain"), "build")
    assert find_bundle(Path("rain")) == Path("rain")


# The verbs


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "rian", "photo.png", "--out", "out"),
        ("evaluate", "rian", "--input", "input", "--target", "target"),
        ("profile", "rian", "--image", "input/7.png"),
        ("inspect", "rian"),
        ("export", "rian", "--out", "x.spair"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_name_is_refused_with_the_known_ones(spair, pairs, arguments):
    shutil.copy(pairs / "input" / "7.png", pairs / "photo.png")
    spair(*arguments).refused("no model rian: .*one of rain, raindrop, shadow, blur$")


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", "rain", "--images", "input", "--precision", "int8"),
        ("build", "rain", "--target", "l4"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_verbs_that_write_refuse_before_any_work(spair, pairs, cache, arguments):
    spair(*arguments).refused(r"make a bundle of your own first: spair export rain --out rain\.spair$")
    assert not cache.exists()


def test_inspect_shows_the_bundle_of_a_name(spair):
    report = spair("inspect", "raindrop", "--json").json
    assert (report["kind"], report["task"], report["precisions"]) == ("spair", "raindrop", ["fp32"])
    assert report["checks"]["parity"]["passed"] is True
    assert report["model"] == "raindrop"


def test_evaluate_takes_a_name_and_a_peer_by_name(spair, pairs):
    report = spair(
        "evaluate", "rain", "--compare", "blur", "--input", "input", "--target", "target", "--threads", 1, "--json"
    ).json
    assert report["model"] == "rain" and [peer["model"] for peer in report["compare"]] == ["blur"]


@pytest.mark.whole
def test_profile_takes_a_name(spair, pairs):
    report = spair(
        "profile", "rain", "--image", "input/7.png", "--no-layers", "--no-store",
        "--densities", "0.1", "--masks", "blob", "--repeat", 1, "--threads", 1, "--json",
    ).json  # fmt: skip
    assert report["task"] == "rain"


@pytest.mark.parametrize("text", ["./rain", "rain/", ".//rain"])
def test_a_path_that_only_looks_like_a_name_stays_a_path(text, tmp_path):
    assert find_bundle(read_model(text)) == tmp_path / "rain"


@pytest.mark.parametrize("text", ["rain", "rain.spair", "../rain.spair", "some/rain"])
def test_names_and_other_paths_are_read_as_they_are(text):
    assert str(read_model(text)) == text


@pytest.mark.parametrize("verb", ["calibrate", "build"])
def test_the_bundle_in_the_cache_is_refused_where_it_would_be_written_into(verb):
    path = find_bundle(Path("rain"))
    with pytest.raises(UserError, match=rf"^spair {verb} writes .*in the cache stays as it is; .*spair export rain"):
        refuse_name(path, verb)


def test_advice_for_a_bundle_in_the_cache_leads_to_a_bundle_of_ones_own():
    with pytest.raises(
        UserError, match=r"spair export rain --out rain\.spair, then spair calibrate rain\.spair --images"
    ):
        Bundle.open(find_bundle(Path("rain"))).graph("int8", "model")
