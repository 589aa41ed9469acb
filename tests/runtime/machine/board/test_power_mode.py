"""Power modes are read from the files of nvpmodel."""

import pytest

from spair.runtime.machine.board.power_mode import PowerMode, read_power_mode
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, ORIN_NX, THOR, contain


@pytest.mark.parametrize(
    ("files", "number", "name", "fastest"),
    [
        (ORIN_NANO, 1, "25W", 2),
        (ORIN_NX, 0, "MAXN", 0),
        (AGX_ORIN, 0, "MAXN", 0),
        (THOR, 1, "120W", 0),
    ],
    ids=["Orin Nano", "Orin NX", "AGX Orin", "Thor"],
)
def test_the_same_number_is_another_mode_on_other_boards(board, files, number, name, fastest):
    found = read_power_mode(board(files))
    assert (found.number, found.name, found.fastest) == (number, name, fastest)
    assert str(found) == f"{name} (mode {number})"


def test_a_mode_that_nothing_tells_is_unknown(board):
    found = read_power_mode(board(contain(ORIN_NANO)))
    assert found == PowerMode(None) and str(found) == "unknown"


def test_a_mode_of_another_table_has_no_name(board):
    found = read_power_mode(board({**ORIN_NANO, "var/lib/nvpmodel/status": "pmode:0009"}))
    assert str(found) == "a mode without a name (mode 9)"
