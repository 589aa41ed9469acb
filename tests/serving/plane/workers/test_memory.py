"""Shared memory has no name, grows with its requests, and is given back."""

import os
from pathlib import Path

import numpy as np
import pytest

from spair.serving.plane.workers import memory
from spair.serving.plane.workers.memory import ALIGNMENT, Arena, align


@pytest.fixture(params=["memfd", "file"])
def arena(request, monkeypatch):
    if request.param == "file":
        monkeypatch.delattr(memory.os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("Linux alone has memfd_create")
    one = Arena()
    yield one
    one.close()


def test_what_is_written_is_read(arena):
    array = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), np.uint8)
    end = arena.write(100, array)
    assert end == 100 + array.size == arena.size
    np.testing.assert_array_equal(arena.read(100, array.shape), array)
    assert arena.write(3, b"abc") == 6 and arena.read(3, [3]).tobytes() == b"abc"
    assert not arena.read(0, [3]).any()  # what nobody wrote is zero


@pytest.mark.parametrize("data", [b"", np.zeros((0, 3), np.uint8)])
def test_nothing_is_written_and_read(arena, data):
    assert arena.write(5, data) == 5
    assert arena.read(0, (0, 3)).shape == (0, 3)


def test_both_sides_see_the_same_memory(arena):
    other = Arena(os.dup(arena.descriptor))
    arena.write(0, b"question")
    seen = other.map(64)
    assert seen[:8].tobytes() == b"question"
    seen[8:14] = np.frombuffer(b"answer", np.uint8)
    assert arena.read(8, [6]).tobytes() == b"answer"
    other.close()
    other.close()
    assert seen[:8].tobytes() == b"question"  # a mapping lives as long as its array


def test_reading_behind_the_end_is_an_error_and_no_crash(arena):
    arena.write(0, b"abc")
    with pytest.raises(EOFError, match="shared memory ends 1 bytes too early"):
        arena.read(0, [4])


def test_a_mapping_lets_the_arena_grow_but_not_shrink(arena):
    arena.map(1000)
    assert arena.size == 1000
    arena.map(10)
    assert arena.size == 1000


def test_much_memory_is_given_back_and_little_is_kept(arena, monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 10)
    arena.write(0, b"x" * 10)
    arena.trim()
    assert arena.size == 10
    arena.write(10, b"x")
    arena.trim()
    assert arena.size == 0


def test_no_folder_lists_the_memory(arena):
    target = Path(f"/proc/self/fd/{arena.descriptor}").readlink()
    assert target.name.endswith("(deleted)") and not target.exists()
    assert not os.get_inheritable(arena.descriptor)


@pytest.mark.parametrize(("place", "aligned"), [(0, 0), (1, ALIGNMENT), (ALIGNMENT, ALIGNMENT), (65, 128)])
def test_places_are_rounded_up_to_lines_of_the_cache(place, aligned):
    assert align(place) == aligned
