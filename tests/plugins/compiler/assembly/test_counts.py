"""Counts of made listings by hand, and what is not understood."""

import dataclasses

import pytest

from spair.plugins.compiler.assembly.counts import Work, count_tile
from spair.plugins.compiler.assembly.listing import Listing

WORK = Work(pixels=64, outputs=64, depth=9 * 32, steps=(9,), stored=64)
"""With 4 warps: 9 steps of 2 instructions of 64 x 64 x 16, which 4 warps issue together."""
PRODUCT = "HGMMA.64x64x16.F32"


def rolled(*inside: str) -> Listing:
    """One loop of products in the loop of tiles, which has 5 instructions more."""
    opcodes = ("LDC", "IADD3", "LDG.E", *inside, "BRA", "FADD", "STG.E", "BRA", "EXIT")
    last = 3 + len(inside)
    return Listing(opcodes, ((1, last + 3), (3, last)))


def test_a_loop_runs_as_often_as_its_products_ask_for():
    count = count_tile(rolled("LDGSTS.E", PRODUCT, PRODUCT), WORK, 4)
    assert count is not None
    assert count.per_pixel == (5 + 9 * 4) * 4 / 64
    assert count.tensor_share == 18 / (5 + 9 * 4)
    assert (count.conversions, count.loads) == (0, 0)


def test_what_waits_in_the_main_loop_is_counted_there_and_not_elsewhere():
    count = count_tile(rolled("LDG.E.U16", "MUFU.RCP", "I2F.RP", "F2I.FTZ", PRODUCT, PRODUCT), WORK, 4)
    assert count is not None
    assert (count.conversions, count.loads) == (3, 1)


def test_unrolled_code_counts_once_and_its_main_part_ends_with_the_last_copy():
    steps = [name for _ in range(9) for name in (PRODUCT, PRODUCT, "LDGSTS.E")]
    listing = Listing(("IADD3", "LDG.E", *steps, "LDG.E", PRODUCT, "I2F", "BRA"), ((0, len(steps) + 5),))
    work = dataclasses.replace(WORK, depth=9 * 32 + 16)
    count = count_tile(listing, work, 4)
    assert count is not None
    assert count.per_pixel == (len(steps) + 6) * 4 / 64
    assert (count.conversions, count.loads) == (0, 0)
    waiting = dataclasses.replace(listing, opcodes=tuple(name.replace("LDGSTS", "LDG") for name in listing.opcodes))
    count = count_tile(waiting, work, 4)
    assert count is not None and count.loads == 10


def test_two_loops_take_the_steps_of_the_source():
    opcodes = ("IADD3", "HMMA.16816.F32", "BRA", "HMMA.1688.F32", "BRA", "BRA")
    listing = Listing(opcodes, ((0, 5), (1, 2), (3, 4)))
    work = Work(pixels=16, outputs=8, depth=3 * 16 + 2 * 8, steps=(3, 2), stored=8)
    count = count_tile(listing, work, 1)
    assert count is not None
    assert count.per_pixel == (2 + 3 * 2 + 2 * 2) / 16


def test_every_tile_of_outputs_counts_for_a_pixel():
    listing = Listing(("IADD3", "HMMA.16816.F32", "BRA"), ((0, 2),))
    work = Work(pixels=16, outputs=8, depth=16, steps=(1,), stored=8)
    one, three = (count_tile(listing, dataclasses.replace(work, tiles=tiles), 1) for tiles in (1, 3))
    assert one is not None and three is not None and three.per_pixel == 3 * one.per_pixel


def test_products_of_columns_that_are_not_stored_may_be_left_out():
    listing = Listing(("IADD3", "HMMA.16816.F32", "BRA"), ((0, 2),))
    work = Work(pixels=16, outputs=16, depth=16, steps=(1,), stored=8)
    assert count_tile(listing, work, 1) is not None
    assert count_tile(listing, dataclasses.replace(work, stored=16), 1) is None


def test_exact_products_are_multiply_adds_of_32_threads():
    listing = Listing(("IADD3", "FFMA", "FFMA", "BRA", "BRA"), ((0, 4), (1, 3)))
    count = count_tile(listing, Work(pixels=16, outputs=16, depth=16, steps=(16,), stored=16), 4)
    assert count is not None
    assert count.per_pixel == (2 + 16 * 3) * 4 / 16
    assert count.tensor_share == 0


@pytest.mark.parametrize(
    "listing",
    [
        Listing(("HMMA.16816.F32",), ()),
        rolled("UTCHMMA", "IADD3"),
        rolled("LDGSTS.E", PRODUCT, PRODUCT, PRODUCT, PRODUCT),
        rolled("LDGSTS.E", "IADD3"),
    ],
    ids=["no loop", "unknown products", "too many products", "no products"],
)
def test_code_that_does_not_add_up_is_not_counted(listing):
    assert count_tile(listing, WORK, 4) is None
