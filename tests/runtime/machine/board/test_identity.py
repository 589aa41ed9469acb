"""A Jetson is known by the release of its Linux, its device tree, or its packages."""

import pytest

from spair.runtime.machine.board.identity import Jetson, find_jetson
from tests.runtime.machine.board.trees import BOARDS, ORIN_NANO, ORIN_NX, RELEASE, THOR, contain, write

EXPECTED = {
    "Orin Nano": ("36.4.3", "6.2", "p3767-0005", "Orin"),
    "Orin NX": ("36.4.7", "6.2.1", "p3767-0000", "Orin"),
    "AGX Orin": ("39.2.0", "7.2", "p3701-0005", "Orin"),
    "Thor": ("38.2.0", "7.0", "p3834-0008", "Thor"),
}


@pytest.mark.parametrize("name", list(BOARDS))
def test_boards_are_told_apart(board, name):
    found = find_jetson(board(BOARDS[name]))
    assert (found.l4t, found.release, found.part, found.family) == EXPECTED[name]
    assert name in found.model and not found.container
    assert found.stack is not None and found.family in found.stack.boards


@pytest.mark.parametrize("name", list(BOARDS))
def test_a_container_knows_what_is_handed_in_and_no_more(tmp_path, name):
    plain = find_jetson(write(tmp_path / "plain", contain({**BOARDS[name], "var/lib/dpkg/status": ""})))
    assert plain is None, "nothing of it names a Jetson"
    given = contain(BOARDS[name], "etc/nv_tegra_release")
    found = find_jetson(
        write(tmp_path / "given", {**given, "tmp/nv_jetson_model": BOARDS[name]["proc/device-tree/model"]})
    )
    assert (found.l4t, found.model is not None, found.container) == (EXPECTED[name][0], True, True)
    assert found.family == EXPECTED[name][3], "from the words of the model"


def test_packages_tell_the_release_where_its_file_is_missing(board):
    files = {name: text for name, text in ORIN_NANO.items() if name != "etc/nv_tegra_release"}
    assert find_jetson(board(files)).l4t == "36.4.3"


def test_a_board_without_any_release_is_still_a_board(board):
    found = find_jetson(board({"proc/device-tree/model": ORIN_NX["proc/device-tree/model"]}))
    assert (found.l4t, found.release, found.jetpack, found.stack) == (None, None, None, None)
    assert str(found).endswith("Developer Kit, an unknown L4T")


@pytest.mark.parametrize("text", ["", "R36.4.7", "# R (release), REVISION: 4"])
def test_another_file_is_no_jetson(board, text):
    assert find_jetson(board({"etc/nv_tegra_release": text})) is None


def test_other_machines_are_no_jetsons(board, tmp_path):
    assert find_jetson(tmp_path) is None
    pi = {"proc/device-tree/model": "Raspberry Pi 5\0", "proc/device-tree/compatible": "brcm,bcm2712\0"}
    assert find_jetson(board(pi)) is None


@pytest.mark.parametrize(
    ("l4t", "words", "jetpack"),
    [
        ("36.4.3", "L4T 36.4.3 of JetPack 6.2", 6),
        ("39.2.0", "L4T 39.2.0 of JetPack 7.2", 7),
        ("99.0", "L4T 99.0", None),
    ],
)
def test_jetpack_is_named_where_it_is_known(l4t, words, jetpack):
    assert (str(Jetson(l4t)), Jetson(l4t).jetpack) == (words, jetpack)


def test_a_container_is_said(board):
    assert str(find_jetson(board(contain(THOR, "etc/nv_tegra_release")))) == "L4T 38.2.0 of JetPack 7.0, in a container"


def test_a_release_with_more_numbers_is_read(board):
    assert find_jetson(board({"etc/nv_tegra_release": RELEASE.format(36, "4.7") + "TARGET=nvidia\n"})) == Jetson(
        "36.4.7"
    )
