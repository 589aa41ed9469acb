"""Pictures beyond the limit keep their values in temporary files."""

import dataclasses

import numpy as np
import pytest

from spair.training.data import store
from spair.training.data.corpus import PicturePair
from spair.training.data.store import Store


def in_file(array) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return array is not None and "mmap" in type(array).__name__


@pytest.mark.parametrize("chunk", [8, 25, 1000])
def test_what_exceeds_the_limit_is_in_files_and_the_same(monkeypatch, chunk):
    monkeypatch.setattr(store, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (size, 3), np.uint8) for size in (3, 5, 1, 8, 2)]
    keeper = Store(26)
    kept = [keeper.keep(array.copy()) for array in arrays]
    for one, other in zip(kept, arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [in_file(array) for array in kept] == [False, False, True, True, True]  # 9 and 15 bytes, then 3, 24 and 6


def test_every_array_of_a_record_is_kept():
    pair = PicturePair("a/1", np.ones((2, 3, 3), np.uint8), np.zeros((2, 3, 3), np.uint8), np.eye(2, 3) > 0)
    kept = Store(0).keep_all(pair)
    for field in dataclasses.fields(pair):
        np.testing.assert_array_equal(getattr(kept, field.name), getattr(pair, field.name))
    assert kept.mask.dtype == bool and in_file(kept.clean)
