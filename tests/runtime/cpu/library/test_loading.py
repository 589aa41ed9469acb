"""Loading of the library and the choice of an instruction set."""

import ctypes
import threading

import numpy as np
import pytest

from spair.runtime.cpu.library import loading
from spair.runtime.cpu.library.loading import Library, load_library
from spair.runtime.cpu.library.ready import find_ready
from spair.runtime.cpu.library.sets import InstructionSet, list_sets
from spair.runtime.errors import UserError


def test_the_best_set_that_runs_is_chosen(compiler):
    runs = [name for name in (one.name for one in list_sets()) if try_loading(name)]
    assert load_library().instructions.name == runs[0]


def try_loading(name):
    try:
        return load_library(name)
    except UserError as error:
        assert "runs none of" in str(error)
        return None


def test_the_library_is_loaded_once(compiler):
    assert load_library() is load_library()


def find_library():
    """The library that lies beside the code while tests run."""
    path = find_ready()
    assert path is not None
    return path


def test_nothing_is_compiled_where_a_library_lies_beside_the_code(compiler, monkeypatch):
    monkeypatch.setattr(loading, "compile_library", lambda: pytest.fail("compiled"))
    monkeypatch.setattr(loading, "_LOADED", {})
    monkeypatch.setenv("PATH", "")
    assert load_library().instructions in list_sets() and loading.unavailable() is None


def test_an_unknown_set_is_refused(compiler):
    with pytest.raises(UserError, match="no instruction set 'mmx' here, expected one of"):
        load_library("mmx")


def test_a_processor_without_any_set(compiler):
    path = find_library()
    with pytest.raises(UserError, match="this processor runs none of Later, Much later"):
        Library(path, [InstructionSet("later", "Later"), InstructionSet("last", "Much later")])


def test_a_damaged_library_is_refused(compiler, tmp_path):
    (tmp_path / "damaged.so").write_bytes(b"no library")
    with pytest.raises(UserError, match=r"cannot load the kernels.*delete .*damaged.so"):
        Library(tmp_path / "damaged.so", list_sets())


def test_a_library_of_another_version_is_refused(compiler, monkeypatch):
    class Longer(ctypes.Structure):
        _fields_ = [("more", ctypes.c_int64 * 99)]

    monkeypatch.setattr(loading, "STRUCTURES", (Longer,))
    with pytest.raises(UserError, match="its structure Longer has another size"):
        Library(find_library(), list_sets())


def test_a_library_that_others_can_write_is_refused(compiler, monkeypatch, tmp_path):
    copy = tmp_path / "kernels" / "cpu.so"
    copy.parent.mkdir(mode=0o700)
    copy.write_bytes(find_library().read_bytes())
    copy.chmod(0o666)
    monkeypatch.setattr(loading, "find_ready", lambda: None)
    monkeypatch.setattr(loading, "compile_library", lambda: copy)
    with pytest.raises(UserError, match=r"other users can write it"):
        load_library()


def test_unknown_functions_are_no_attributes(library):
    assert not hasattr(library, "nothing")


@pytest.mark.parametrize("threads", [0, -1])
def test_a_pool_needs_a_thread(library, threads):
    with pytest.raises(UserError, match="expected 1 or more"):
        library.open_pool(threads)


def test_a_pool_may_be_closed_twice(library):
    pool = library.open_pool(3)
    pool.close()
    pool.close()


def test_callers_share_a_pool(library, pool):
    """Several threads halve masks at once; who finds the pool busy works alone."""
    masks = [np.random.default_rng(seed).integers(0, 2, (64, 48)).astype(np.uint8) for seed in range(6)]
    wrong = []

    def work(mask):
        for _ in range(50):
            half = np.empty((32, 24), np.uint8)
            library.halve_mask(pool.handle, mask.ctypes.data, 32, 24, half.ctypes.data)
            if not np.array_equal(half, mask.reshape(32, 2, 24, 2).max(axis=(1, 3))):
                wrong.append(half)

    threads = [threading.Thread(target=work, args=(mask,)) for mask in masks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("shape", [(1, 8), (9, 24), (27, 40), (3, 112)])
def test_packed_weights_are_a_permutation_with_zeros(library, shape):
    weight = np.random.default_rng(0).random(shape).astype(np.float32) + 1
    packed = library.pack(weight).view(np.float32)
    width = -(-shape[1] // library.lanes) * library.lanes
    assert packed.size == shape[0] * width
    rest = shape[1] % library.lanes
    # A last vector of AVX-512 that is at most half full serves two rows, and has its weights twice.
    twice = weight[:, shape[1] - rest :] if library.lanes == 16 and 0 < rest <= 8 else weight[:, :0]
    expected = np.concatenate([weight.reshape(-1), twice.reshape(-1)])
    np.testing.assert_array_equal(np.sort(packed[packed != 0]), np.sort(expected))
