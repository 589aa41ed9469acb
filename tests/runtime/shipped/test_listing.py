"""The list of shipped weights says what their files say."""

import pytest

from spair.network import load_checkpoint
from spair.network.cost import parameters
from spair.runtime.files import sha256
from spair.runtime.shipped.listing import describe_models
from spair.runtime.shipped.models import list_models
from spair.runtime.shipped.ready import make_ready


@pytest.mark.parametrize("number", range(len(list_models())))
def test_facts_are_those_of_the_checkpoint(number, cache):
    model, entry = list_models()[number], describe_models()["models"][number]
    loaded = load_checkpoint(model.checkpoint)
    facts = (entry["name"], entry["task"], entry["preset"], entry["parameters"])
    assert facts == (model.name, loaded.task, loaded.model.preset.name, parameters(loaded.model))
    assert entry["bytes"] == model.checkpoint.stat().st_size
    assert entry["sha256"] == sha256(model.checkpoint)
    assert entry["scores"] == list(model.scores)


def test_it_says_which_bundles_are_in_the_cache(cache):
    assert [entry["cached"] for entry in describe_models()["models"]] == [False] * 4
    path = make_ready(list_models()[2])
    listed = describe_models()["models"]
    assert [entry["cached"] for entry in listed] == [False, False, True, False]
    assert listed[2]["bundle"] == str(path)


def test_without_a_home_they_are_listed_all_the_same(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPAIR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert [(entry["bundle"], entry["cached"]) for entry in describe_models()["models"]] == [(None, False)] * 4
