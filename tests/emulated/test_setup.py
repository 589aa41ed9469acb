"""Tests build once, and hide their packages from others."""

from __future__ import annotations

import importlib.util
import sys
import threading
import types

import pytest

from tests.emulated.library.building import find_headers
from tests.emulated.library.tables import ADDED, CLASSES, REMOVED, list_methods, read_methods
from tests.emulated.setup.cache import VARIABLE, make_once
from tests.emulated.setup.packages import Packages
from tests.emulated.setup.pycuda_wheel import BuildError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty cache of the test's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_is_built_once_by_all_who_ask(cache):
    built = []

    def build(folder):
        built.append(folder)
        (folder / "made").write_text("x")

    threads = [threading.Thread(target=make_once, args=("thing", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and make_once("thing", build) == cache / "thing"
    assert [path.name for path in (cache / "thing").iterdir()] == ["made"]


def test_a_build_that_fails_leaves_no_folder(cache):
    def build(folder):
        (folder / "half").write_text("x")
        raise OSError("no compiler")

    with pytest.raises(OSError, match="no compiler"):
        make_once("thing", build)
    assert [path.name for path in cache.iterdir()] == ["thing.lock"]


# Packages


@pytest.fixture
def installed(monkeypatch):
    """Package that is in the process already."""
    made = {name: types.ModuleType(name) for name in ("made_up", "made_up.inner")}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_packages_replace_what_is_there_until_they_are_hidden(installed):
    packages, own = Packages(), types.ModuleType("made_up")
    assert packages.add("made_up", lambda: own) is own
    assert sys.modules["made_up"] is own and "made_up.inner" not in sys.modules
    sys.modules["made_up.later"] = types.ModuleType("made_up.later")
    packages.hide()
    assert {name: sys.modules.get(name) for name in (*installed, "made_up.later")} == {
        **installed,
        "made_up.later": None,
    }
    packages.show()
    assert sys.modules["made_up"] is own and "made_up.later" in sys.modules and "made_up.inner" not in sys.modules
    packages.hide()


def test_a_package_is_loaded_once():
    packages, loaded = Packages(), []
    for _ in range(2):
        packages.add("made_up", lambda: loaded.append(1) or types.ModuleType("made_up"))
        packages.hide()
    assert loaded == [1] and "made_up" not in sys.modules


def test_the_package_is_found_without_being_imported(trt):
    name = "tensorrt_rtx" if trt.__name__.startswith("tensorrt_rtx") else "tensorrt"
    assert importlib.util.find_spec(name) is not None


# Tables of functions


@pytest.fixture(scope="module")
def headers():
    try:
        return find_headers()
    except BuildError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", CLASSES)
def test_tables_of_later_releases_lack_what_was_removed(headers, name):
    mine = [(method, arguments) for _, method, arguments, _ in read_methods(headers, name)]
    assert len(mine) > 3 and mine == [(m, a) for _, m, a, _ in list_methods(headers, name, "10")]
    later = [(method, arguments) for _, method, arguments, _ in list_methods(headers, name, "11")]
    gone = [part for part in mine if part not in later]
    assert [part for part in mine if part not in gone] == later
    assert {method for method, _ in gone} <= {part.partition("(")[0] for part in REMOVED["11"]}
    added = [method for _, method, _, _ in ADDED.get((name, "rtx"), [])]
    assert [method for _, method, _, _ in list_methods(headers, name, "rtx")] == [m for m, _ in later] + added


def test_every_method_that_was_removed_is_in_a_table(headers):
    known = {method for name in CLASSES for _, method, _, _ in read_methods(headers, name)}
    assert {part.partition("(")[0] for part in REMOVED["11"]} <= known
