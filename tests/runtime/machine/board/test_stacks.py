"""The table of stacks agrees with the targets of the plugins, and guesses nothing."""

import pytest

from spair.plugins.compiler.targets import TARGETS, find_target
from spair.runtime.machine.board.stacks import STACKS, find_stack, list_stacks, name_jetpack

JETSONS = [target.name for target in TARGETS if target.name.startswith("jetson")]
UBUNTU = {(3, 10): (2, 35), (3, 12): (2, 39)}
"""C library of the Ubuntu whose Python this is: 22.04 and 24.04."""


@pytest.mark.parametrize("name", JETSONS)
def test_a_target_has_the_oldest_versions_of_its_stacks(name):
    target, stacks = find_target(name), list_stacks(name)
    assert target.tensorrt == min(stack.tensorrt for stack in stacks)
    assert target.cuda == min(stack.cuda for stack in stacks)
    assert {target.glibc} == {UBUNTU[stack.python] for stack in stacks}


def test_every_stack_has_sources_and_targets_for_all_of_its_boards():
    for stack in STACKS:
        assert stack.sources and all("/" in source for source in stack.sources), stack.name
        assert len(stack.targets) == len(stack.boards) and set(stack.targets) <= set(JETSONS)
        for board, target in zip(stack.boards, stack.targets, strict=True):
            assert board.lower() in target


def test_jetpack_72_serves_both_boards():
    (stack,) = [stack for stack in STACKS if stack.name == "7.2"]
    assert (stack.cuda, stack.tensorrt, stack.boards) == ((13, 2), (10, 16), ("Orin", "Thor"))


@pytest.mark.parametrize(
    ("l4t", "jetpack", "cuda"),
    [
        ("36.4.3", "6.2", (12, 6)),
        ("36.4.7", "6.2.1", (12, 6)),
        ("36.5.0", "6.2.2", (12, 6)),
        ("36.4.9", "6", (12, 6)),
        ("36.3.0", "6", None),
        ("38.4.0", "7.1", (13, 0)),
        ("39.2.0", "7.2", (13, 2)),
        ("39.9.0", "7", None),
        ("35.4.1", None, None),
    ],
)
def test_releases_are_looked_up(l4t, jetpack, cuda):
    stack = find_stack(l4t)
    assert (name_jetpack(l4t), stack and stack.cuda) == (jetpack, cuda)


def test_ranges_of_releases_are_said():
    assert [stack.l4t for stack in STACKS if stack.releases] == [
        "36.4.0 to 36.5.2",
        "38.2.0 to 38.4.0",
        "39.2.0 to 39.2.2",
    ]
