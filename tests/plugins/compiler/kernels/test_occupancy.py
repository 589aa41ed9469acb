"""Counts that NVIDIA's occupancy calculator gives for the same numbers."""

import pytest

from spair.plugins.compiler.kernels.occupancy import occupancy, resident_blocks


@pytest.mark.parametrize(
    ("architecture", "warps", "registers", "shared", "blocks"),
    [
        (80, 8, 32, 0, 8),  # warps: 64 / 8
        (86, 8, 32, 0, 6),  # warps: 48 / 8
        (80, 4, 128, 0, 4),  # registers: 65536 / (128 * 32) = 16 warps
        (80, 4, 129, 0, 3),  # registers are given 8 at a time: 136 * 32 = 4352, 15 warps, 12 of them whole quarters
        (86, 4, 255, 0, 2),
        (80, 1, 16, 0, 32),  # blocks
        (86, 1, 16, 0, 16),
        (89, 1, 16, 0, 24),
        (86, 4, 32, 48 * 1024, 2),  # shared: 100 KiB / 49 KiB
        (86, 4, 32, 49 * 1024, 2),
        (86, 4, 32, 50 * 1024, 1),
        (90, 4, 32, 227 * 1024, 1),
        (86, 4, 32, 100 * 1024, 0),  # more than a block may have
        (120, 32, 128, 0, 0),  # 1024 threads need 131072 registers
    ],
)
def test_blocks_side_by_side(architecture, warps, registers, shared, blocks):
    assert resident_blocks(architecture, warps=warps, registers=registers, shared=shared) == blocks


@pytest.mark.parametrize(("architecture", "share"), [(80, 0.25), (86, 1 / 3), (87, 1 / 3), (90, 0.25)])
def test_occupancy_is_the_share_of_the_warps(architecture, share):
    assert occupancy(architecture, warps=4, registers=128, shared=0) == pytest.approx(share)
