"""Names of shipped weights are told from paths, and the index lists what is in the folder."""

import json

import pytest

from spair.runtime import UserError
from spair.runtime.shipped import models
from spair.runtime.shipped.models import FOLDER, find_model, list_models

NAMES = ("rain", "raindrop", "shadow", "blur")


def test_the_index_lists_exactly_the_files_of_the_folder():
    listed = list_models()
    assert tuple(model.name for model in listed) == NAMES
    for suffix in (".safetensors", ".md", ".template"):
        assert {path.stem for path in FOLDER.glob(f"*{suffix}")} == {model.stem for model in listed}


@pytest.mark.parametrize("model", list_models(), ids=lambda model: model.name)
def test_scores_stand_in_a_row_of_the_model_card(model):
    lines = model.card.read_text(encoding="utf-8").split("\n")
    assert model.scores
    for score in model.scores:
        (row,) = [line for line in lines if line.startswith(f"| {score['pictures']}")]
        assert str(score["input"]) in row and str(score["restored"]) in row
        header = max(line for line in lines[: lines.index(row)] if line.startswith("| pictures |") or "| set |" in line)
        assert score["measure"].removeprefix("Lab error ") in header
        assert score["unit"] in row
        gain = score["restored"] - score["input"]
        assert gain > 0 if score["better"] == "higher" else gain < 0


@pytest.mark.parametrize("name", NAMES)
def test_a_name_finds_its_weights(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_model(name)
    assert found is not None and found.name == name
    assert found.checkpoint.is_file()


@pytest.mark.parametrize("path", ["rain.spair", "folder/rain", "/rain", "rain.safetensors", ""])
def test_paths_are_no_names(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model(path) is None


@pytest.mark.parametrize("make", ["file", "folder", "dangling link"])
def test_a_path_that_exists_wins_over_a_name(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "rain"
    {"file": place.touch, "folder": place.mkdir, "dangling link": lambda: place.symlink_to("nowhere")}[make]()
    assert find_model("rain") is None


@pytest.mark.parametrize("word", ["rian", "Rain", "rain-tiny"])
def test_an_unknown_word_is_refused_with_the_known_names(word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"no model {word}: .*one of rain, raindrop, shadow, blur$"):
        find_model(word)


def test_an_installation_without_the_weights_says_so_and_takes_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path / "absent")
    with pytest.raises(UserError, match="cannot list the shipped weights: .*give the path of a bundle"):
        find_model("rain")
    assert find_model("rain.spair") is None


@pytest.mark.parametrize("text", ["", "[1]", "{}", json.dumps([{"name": "rain"}])])
def test_a_damaged_index_is_refused(text, tmp_path, monkeypatch):
    (tmp_path / "models.json").write_text(text)
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    if text == "{}":
        assert list_models() == ()
        return
    with pytest.raises(UserError, match="cannot list the shipped weights"):
        list_models()
