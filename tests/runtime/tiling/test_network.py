"""Tiles are counted by the path that they took, and counts never change in place."""

import pytest

from spair.runtime.tiling.network import TileCounts


@pytest.mark.parametrize("path", ["skipped", "packed", "dense"])
@pytest.mark.parametrize("more", [0, 1, 7])
def test_tiles_are_added_to_their_path_alone(path, more):
    before = TileCounts(skipped=1, packed=2, dense=3)
    after = before.adding(path, more)
    assert getattr(after, path) == getattr(before, path) + more
    assert after.skipped + after.packed + after.dense == 6 + more
    assert before == TileCounts(skipped=1, packed=2, dense=3)


def test_one_tile_is_added_unless_a_number_is_given():
    assert TileCounts().adding("dense").adding("dense").adding("skipped") == TileCounts(skipped=1, dense=2)


def test_a_path_that_does_not_exist_is_a_bug():
    with pytest.raises(AttributeError, match="sparse"):
        TileCounts().adding("sparse")
