"""A usual run keeps the first case of every test and every nth of the long tables."""

import pytest

from tests import sampling


class Item:
    def __init__(self, nodeid, **marks):
        self.nodeid, self.name, self._marks = nodeid, nodeid.partition("::")[2], marks

    def get_closest_marker(self, name):
        return self._marks.get(name)


class Mark:
    def __init__(self, *args):
        self.args = args


def make(test, count, **marks):
    return [Item(f"file.py::{test}[{case}]", **marks) for case in range(count)]


def test_every_nth_case_of_a_long_table_runs():
    kept, left = sampling.choose_cases([*make("plain", 3), *make("long", 5, sampled=Mark(2))])
    assert [item.name for item in kept] == ["plain[0]", "plain[1]", "plain[2]", "long[0]", "long[2]", "long[4]"]
    assert [item.name for item in left] == ["long[1]", "long[3]"]


def test_emulated_processors_are_counted_by_themselves():
    items = [Item(f"file.py::t[{name}-{case}]") for case in range(4) for name in ("avx2", "neon under QEMU")]
    kept, _ = sampling.choose_cases(items)
    assert [item.name for item in kept if sampling.EMULATED in item.name] == [
        "t[neon under QEMU-0]",
        "t[neon under QEMU-3]",
    ]
    assert sum("avx2" in item.name for item in kept) == 4


def test_long_tests_are_left_to_the_whole_run():
    kept, left = sampling.choose_cases([Item("file.py::long", whole=Mark()), Item("file.py::short")])
    assert [item.name for item in kept] == ["short"] and [item.name for item in left] == ["long"]


@pytest.mark.parametrize(("variable", "arguments", "wanted"), [("", ["tests"], True), ("1", ["tests"], False)])
def test_the_variable_and_a_named_test_switch_it_off(monkeypatch, variable, arguments, wanted):
    monkeypatch.setenv(sampling.VARIABLE, variable)
    assert sampling.is_wanted(arguments) == wanted
    assert not sampling.is_wanted(["tests/test_x.py::test_y"])
