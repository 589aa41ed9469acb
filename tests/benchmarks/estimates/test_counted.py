"""Tiles are counted in listings: straight code, a loop of the picture's turns, and attention's two loops."""

from types import SimpleNamespace

import pytest

from benchmarks.estimates.counted import Tile, _count_straight, count_attention, read_tiles, write_tiles
from spair.plugins.compiler.assembly.listing import Listing


def test_blocks_are_whole_tiles_of_pixels_and_channels():
    tile = Tile(10.0, 64, 32)
    assert [tile.blocks(*size) for size in ((0, 32), (1, 32), (64, 33), (65, 64))] == [0, 1, 2, 4]


def test_straight_code_ends_with_its_last_exit():
    listing = Listing(("S2R", "EXIT", "LDG", "STG", "EXIT", "BRA", "NOP"), ())
    assert _count_straight(listing, SimpleNamespace(tile=(1024,), warps=4)) == Tile(20, 1024, 1)


def test_a_loop_counts_for_each_turn():
    listing = Listing(("S2R", "LDG", "FADD", "BRA", "STG", "EXIT"), ((1, 3),))
    assert _count_straight(listing, SimpleNamespace(tile=(256,), warps=2)) == Tile(6, 256, 1, 6)


@pytest.mark.parametrize(("turns", "expected"), [(1, 8), (8, 8 + 7 * 3)])
def test_attention_steps_through_keys_in_each_tile(turns, expected):
    listing = Listing(("A", "B", "C", "D", "E", "F", "G", "H", "I", "EXIT"), ((1, 8), (3, 5)))
    assert count_attention(listing, turns) == expected


def test_tiles_are_written_and_read_again():
    tiles = {"b": Tile(1.25, 64, 32), "a": Tile(3.0, 256, 1, 7.0)}
    rows = write_tiles(tiles)
    assert list(rows) == ["a", "b"] and rows["b"] == [1.2, 64, 32]
    assert read_tiles(rows) == {"a": tiles["a"], "b": Tile(1.2, 64, 32)}
