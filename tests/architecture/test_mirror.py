"""Tests stand where the code stands, or a list says why one has no test of its name."""

import re

from tests.architecture.tree import ROOT, read_modules

LIST = ROOT / "tests" / "UNMIRRORED"


def read_list() -> dict[str, str]:
    """Return module -> reason of each line `runtime/clock  reason`."""
    lines = [line for line in LIST.read_text(encoding="utf-8").split("\n") if line and not line.startswith("#")]
    return {name: reason.strip() for name, _, reason in (line.partition("  ") for line in lines)}


def name_test(module: str) -> str:
    """Return the place of a module's test: runtime/tiling/geometry -> tests/runtime/tiling/test_geometry.py."""
    room, _, stem = module.rpartition("/")
    return f"tests/{room}/test_{stem}.py"


MODULES = [name for name in read_modules() if not re.search(r"/__(init|main)__$", name)]


def test_every_module_has_a_test_of_its_name_or_a_reason():
    without = {name for name in MODULES if not (ROOT / name_test(name)).exists()}
    reasons = read_list()
    assert sorted(without - set(reasons)) == [], "write tests, or add a line with the reason to tests/UNMIRRORED"
    assert sorted(set(reasons) - without) == [], (
        "these have a test, or are gone; take their lines out of tests/UNMIRRORED"
    )


def test_every_reason_says_something():
    assert [name for name, reason in read_list().items() if len(reason.split()) < 3] == []


def test_tests_that_mirror_no_module_stand_in_rooms_of_laws():
    """Tests outside of `laws` and of folders that hold no source are named after a module."""
    expected = {name_test(name) for name in MODULES}
    free = re.compile(
        r"/laws/|^tests/(aarch64|architecture|docs|emulated|examples|faults|gpu)/|^tests/plugins/emulated/|^tests/[^/]+$"
    )
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(path for path in found - expected if not free.search(path)) == []
