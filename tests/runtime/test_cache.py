"""Measurements are kept in the user's cache, in one file for the same facts."""

import pytest

from spair.runtime import UserError
from spair.runtime.cache import cache_file, cache_folder, is_shared_bundle, models_folder


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("SPAIR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "spair-rt"


def test_a_folder_of_ones_own_comes_first_and_an_empty_name_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("SPAIR_CACHE", "")
    assert cache_folder() == tmp_path / "xdg" / "spair-rt"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "spair-rt"


FACTS = {"threads": 2, "graphs": {"net_l": "aa", "net_r": "bb"}, "precision": "fp32"}


def test_the_order_of_facts_does_not_matter(monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path))
    turned = {"precision": "fp32", "graphs": {"net_r": "bb", "net_l": "aa"}, "threads": 2}
    file = cache_file("tuning", FACTS)
    assert cache_file("tuning", turned) == file
    assert file.parent == tmp_path and file.name.startswith("tuning-") and file.suffix == ".json"
    assert list(tmp_path.iterdir()) == [], "a name is made, no file"


@pytest.mark.parametrize(
    "change",
    [{"threads": None}, {"threads": "2"}, {"graphs": {"net_l": "bb", "net_r": "aa"}}, {"more": None}],
    ids=str,
)
def test_other_facts_and_other_kinds_have_other_files(change):
    assert cache_file("tuning", {**FACTS, **change}) != cache_file("tuning", FACTS)
    assert cache_file("calibration", FACTS) != cache_file("tuning", FACTS)


def test_no_facts_have_a_file_too():
    assert cache_file("tuning", {}) != cache_file("tuning", FACTS)


def test_a_user_without_a_home_is_told_once_for_all_commands(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SPAIR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    for ask in (cache_folder, models_folder, lambda: cache_file("tuning", FACTS)):
        with pytest.raises(UserError, match="cannot find the cache folder: .*; set SPAIR_CACHE"):
            ask()
    assert not is_shared_bundle(tmp_path)


def test_bundles_of_shipped_weights_are_told_by_their_place(monkeypatch, tmp_path):
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "link").symlink_to(tmp_path / "cache" / "models")
    assert is_shared_bundle(tmp_path / "cache" / "models" / "a.spair") and is_shared_bundle(
        tmp_path / "link" / "a.spair"
    )
    assert not is_shared_bundle(tmp_path / "cache" / "a.spair") and not is_shared_bundle(
        tmp_path / "models" / "a.spair"
    )
