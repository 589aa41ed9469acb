"""Memory and both kinds of swap."""

import pytest

from spair.runtime.machine.board.memory import BoardMemory, read_board_memory
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, ORIN_NX


@pytest.mark.parametrize(
    ("files", "total", "zram", "swap", "small"),
    [
        (ORIN_NANO, 7802940, 6 * 650240, 0, True),
        (ORIN_NX, 15655472, 0, 16777212, False),
        (AGX_ORIN, 64338464, 0, 0, False),
    ],
    ids=["Orin Nano", "Orin NX", "AGX Orin"],
)
def test_memory_is_read_in_bytes(board, files, total, zram, swap, small):
    found = read_board_memory(board(files))
    assert found == BoardMemory(total << 10, (total // 2) << 10, zram << 10, swap << 10)
    assert found.small is small


def test_what_nothing_tells_is_unknown(tmp_path):
    assert read_board_memory(tmp_path) == BoardMemory(None, None) and not read_board_memory(tmp_path).small
