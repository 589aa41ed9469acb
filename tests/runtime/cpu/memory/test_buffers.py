"""Buffers are kept, and values share them only when nobody needs the old one."""

import numpy as np
import pytest

from spair.runtime.cpu.memory.buffers import Buffers, Use, assign_buffers


def test_a_buffer_is_kept_and_only_grows():
    buffers = Buffers()
    first = buffers.take("a", 100)
    assert first.ctypes.data % 64 == 0 and first.shape == (100,) and first.dtype == np.float32
    assert buffers.take("a", 40).ctypes.data == first.ctypes.data
    assert buffers.take("a", 50, np.int64).ctypes.data == first.ctypes.data
    held = buffers.nbytes
    for count in (10, 1, 0, 30):
        buffers.take("a", count)
    assert buffers.nbytes == held
    assert buffers.take("a", 1000).shape == (1000,) and buffers.nbytes >= 4000 + 64


def test_names_have_memory_of_their_own():
    buffers = Buffers()
    a, b = buffers.take("a", 8), buffers.take(("a", 1), 8)
    a[...], b[...] = 1, 2
    assert (a == 1).all()


def test_what_rests_makes_room_above_the_limit():
    buffers = Buffers(limit=10_000)
    for name in ("used", "first", "second"):
        buffers.take(name, 3000, np.uint8)[:] = 7
    buffers.rest(["first", "second", "never taken"])
    buffers.take("new", 3000, np.uint8)
    assert buffers.nbytes <= 10_000, "one of the two is given back"
    assert (buffers.take("used", 3000, np.uint8) == 7).all() and (buffers.take("second", 3000, np.uint8) == 7).all()
    buffers.take("larger", 9000, np.uint8)
    assert buffers.nbytes > 10_000, "what is in use stays, whatever the limit says"
    assert (buffers.take("second", 3000, np.uint8) == 7).all(), "taken again, it rests no longer"


def test_below_the_limit_all_is_kept():
    buffers = Buffers()
    held = buffers.take("a", 1000).ctypes.data
    buffers.rest(["a"])
    buffers.take("b", 100_000)
    assert buffers.take("a", 1000).ctypes.data == held


def test_notes_are_forgotten_when_an_address_may_have_changed():
    buffers = Buffers()
    buffers.take("a", 100)
    buffers.note("calls", 1)
    buffers.take("a", 50)
    assert buffers.recall("calls") == 1 and buffers.recall("others") is None
    buffers.take("a", 200)
    assert buffers.recall("calls") is None, "the array grew"
    buffers.note("calls", 2)
    buffers.take("b", 1)
    assert buffers.recall("calls") is None, "an array may have been given back for it"


def test_only_the_last_notes_are_kept():
    buffers = Buffers()
    for number in range(100):
        buffers.note(number, number)
    kept = [number for number in range(100) if buffers.recall(number) is not None]
    assert 1 < len(kept) < 20 and kept[-1] == 99


def test_a_vector_behind_the_end_may_be_read():
    buffers = Buffers()
    before = buffers.nbytes
    buffers.take("a", 16)
    assert buffers.nbytes - before >= 16 * 4 + 64


def follow(uses, places, kept=()):
    """Run the steps with names in place of arrays, and check that each reads what it should."""
    held = {}
    for use in uses:
        assert [held[places[name]] for name in use.reads] == list(use.reads)
        if use.out:
            held[places[use.out]] = use.out
    assert [held[places[name]] for name in kept] == list(kept)


CHAIN = [
    Use((), "a", 0),
    Use(("a",), "b", 0),
    Use(("b", "a"), "c", 0, "a"),
    Use(("c",), "d", 0),
    Use(("d", "c"), "e", 0, "c"),
]


def test_a_chain_of_pairs_takes_two_buffers():
    places = assign_buffers(CHAIN)
    follow(CHAIN, places)
    assert len(set(places.values())) == 2 and places["a"] == places["c"] == places["e"]


def test_what_is_needed_later_is_not_replaced():
    uses = [Use((), "a", 0), Use(("a",), "b", 0), Use(("b", "a"), "c", 0, "a"), Use(("c", "a"), "d", 0)]
    places = assign_buffers(uses)
    follow(uses, places)
    assert places["c"] != places["a"]


def test_kept_values_stay():
    places = assign_buffers(CHAIN, frozenset({"b", "c"}))
    follow(CHAIN, places, ("b", "c"))


def test_pools_share_nothing():
    uses = [Use((), "a", 0), Use(("a",), "b", 1), Use(("b",), "c", 0)]
    places = assign_buffers(uses)
    assert [places[name][0] for name in "abc"] == [0, 1, 0] and places["a"] == places["c"]


@pytest.mark.parametrize("seed", range(20))
def test_any_program_reads_what_it_made(seed):
    random = np.random.default_rng(seed)
    uses, names = [Use((), "v0", 0)], ["v0"]
    for number in range(1, 25):
        reads = tuple(dict.fromkeys(random.choice(names[-5:], random.integers(1, 3))))
        uses.append(Use(reads, f"v{number}", int(random.integers(2)), reads[-1] if random.random() < 0.5 else ""))
        if uses[-1].replaces == reads[0]:
            uses[-1] = Use(
                reads, f"v{number}", uses[-1].pool
            )  # a kernel never writes over what it reads around a pixel
        names.append(f"v{number}")
    follow(uses, assign_buffers(uses, frozenset(names[-2:])), names[-2:])
