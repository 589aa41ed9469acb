"""A usual run keeps the first case of every test and one of every n of the long tables."""

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


def test_one_of_every_n_cases_of_a_long_table_runs_and_the_first_one_always():
    items = [*make("plain", 3), *make("long", 41, sampled=Mark(4))]
    kept, left = sampling.choose_cases(items)
    assert [item.name for item in kept[:3]] == ["plain[0]", "plain[1]", "plain[2]"]
    numbers = [int(item.name.strip("long[]")) for item in kept[3:]]
    assert numbers[0] == 0 and [number // 4 for number in numbers] == list(range(11)), "one of each group"
    assert sorted([*kept, *left], key=id) == sorted(items, key=id)
    assert [item.name for item in sampling.choose_cases(items)[0]] == [item.name for item in kept]


@pytest.mark.parametrize("axis", [2, 3, 4, 6, 12])
def test_every_value_of_an_axis_is_chosen(axis):
    """Every nth case would be the same value each time, where n is a multiple of the number of values."""
    kept, _ = sampling.choose_cases(make("table", 100 * axis, sampled=Mark(axis)))
    assert {int(item.name.strip("table[]")) % axis for item in kept} == set(range(axis))


def test_emulated_processors_are_counted_by_themselves():
    items = [Item(f"file.py::t[{name}-{case}]") for case in range(6) for name in ("avx2", "neon under QEMU")]
    kept, _ = sampling.choose_cases(items)
    emulated = [int(item.name.strip("]").rpartition("-")[2]) for item in kept if sampling.EMULATED in item.name]
    assert emulated[0] == 0 and [number // 3 for number in emulated] == [0, 1]
    assert sum("avx2" in item.name for item in kept) == 6


def test_long_tests_are_left_to_the_whole_run():
    kept, left = sampling.choose_cases([Item("file.py::long", whole=Mark()), Item("file.py::short")])
    assert [item.name for item in kept] == ["short"] and [item.name for item in left] == ["long"]


@pytest.mark.parametrize(("variable", "arguments", "wanted"), [("", ["tests"], True), ("1", ["tests"], False)])
def test_the_variable_and_a_named_test_switch_it_off(monkeypatch, variable, arguments, wanted):
    monkeypatch.setenv(sampling.VARIABLE, variable)
    assert sampling.is_wanted(arguments) == wanted
    assert not sampling.is_wanted(["tests/test_x.py::test_y"])


def test_long_files_begin_and_tests_of_a_file_keep_their_order():
    files = {"few.py": 2, "long.py": 1, "many.py": 3}
    items = [
        Item(f"{file}::t{case}", **({"early": Mark()} if file == "long.py" else {}))
        for file, count in files.items()
        for case in range(count)
    ]
    names = [item.nodeid for item in sampling.order_files(items)]
    assert names == ["long.py::t0", "many.py::t0", "many.py::t1", "many.py::t2", "few.py::t0", "few.py::t1"]
