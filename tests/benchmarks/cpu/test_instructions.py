"""A limit of instructions holds for our kernels and for OpenVINO."""

import os

import pytest

from benchmarks.cpu.instructions import ONEDNN, limit_instructions
from benchmarks.peers.graphs import LIMIT, require_limit
from benchmarks.peers.install import PeerAbsentError
from spair.runtime import UserError
from spair.runtime.cpu.library import load_library, unavailable
from spair.runtime.cpu.library.sets import list_local_sets, list_sets

needs_kernels = pytest.mark.skipif(unavailable() is not None, reason="a C++ compiler is not installed")


@needs_kernels
def test_kernels_take_the_best_set_below_the_limit(monkeypatch):
    monkeypatch.delenv(LIMIT, raising=False)
    best = load_library().instructions.name
    names, here = [one.name for one in list_sets()], {one.name for one in list_local_sets()}
    for name in (one for one in names[names.index(best) :] if one in ONEDNN):
        expected = next(one for one in names[names.index(name) :] if one in here)  # some lack a set below their best
        with limit_instructions(name):
            assert load_library().instructions.name == expected and os.environ[LIMIT] == ONEDNN[name]
    assert load_library().instructions.name == best and LIMIT not in os.environ


def test_no_limit_changes_nothing(monkeypatch):
    monkeypatch.delenv(LIMIT, raising=False)
    with limit_instructions(None):
        assert LIMIT not in os.environ


@pytest.mark.parametrize("name", ["sse2", "plain", "AVX2"])
def test_a_set_without_a_name_in_onednn_is_refused(name):
    with pytest.raises(UserError, match="expected one of avx512bf16"), limit_instructions(name):
        pass


@pytest.mark.parametrize(
    ("limit", "primitive", "obeys"),
    [
        ("", "brgconv_avx512_amx_bf16", True),
        ("AVX512_CORE_BF16", "brgconv_avx512_bf16", True),
        ("AVX512_CORE_BF16", "brgconv_avx512_amx_bf16", False),
        ("AVX2", "jit_avx2_f32", True),
        ("AVX2_VNNI", "jit_avx512_f32", False),
    ],
)
def test_openvino_is_held_to_the_limit(monkeypatch, limit, primitive, obeys):
    monkeypatch.setenv(LIMIT, limit)
    if obeys:
        require_limit(["jit_uni_f32", primitive])
    else:
        with pytest.raises(PeerAbsentError, match=f"computes with {primitive}"):
            require_limit(["jit_uni_f32", primitive])
