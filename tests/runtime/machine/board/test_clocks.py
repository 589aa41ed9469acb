"""Clocks are read in MHz from three kinds of folders."""

import pytest

from spair.runtime.machine.board.clocks import BoardClocks, Clock, read_board_clocks
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, THOR

EMC = {f"sys/kernel/debug/bpmp/debug/clk/emc/{name}": "3199000000\n" for name in ("rate", "min_rate", "max_rate")}


def test_an_orin_has_its_gpu_among_other_engines(board):
    found = read_board_clocks(board(ORIN_NANO))
    assert found.gpu == Clock(306, 306, 1020) and found.gpu.locked is False
    assert found.cpu == Clock(1344, 729.6, 1728)
    assert found.emc is None, "only root may read it"
    assert read_board_clocks(board(EMC)).emc == Clock(3199, 3199, 3199)


def test_a_thor_has_other_folders(board):
    found = read_board_clocks(board(THOR))
    assert (found.gpu, found.emc) == (Clock(1575, 315, 1575), Clock(4266, 665, 4266))


def test_fixed_clocks_are_noticed(board):
    assert read_board_clocks(board(AGX_ORIN)).gpu.locked is True


def test_what_nothing_tells_is_unknown(tmp_path):
    assert read_board_clocks(tmp_path) == BoardClocks()


@pytest.mark.parametrize("missing", ["min_freq", "max_freq"])
def test_a_clock_without_a_limit_is_neither_fixed_nor_free(board, missing):
    root = board(THOR)
    (root / "sys/class/devfreq/gpu-gpc-0" / missing).unlink()
    assert read_board_clocks(root).gpu.locked is None
