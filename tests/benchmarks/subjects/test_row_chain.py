"""The chain on our kernels is that of PyTorch."""

import numpy as np
import pytest
import torch

from benchmarks.common.measuring import TOLERANCE
from benchmarks.subjects.chain import Chain, compute_reference, make_input
from benchmarks.subjects.row_chain import RowChain
from spair.runtime.cpu.library import unavailable

pytestmark = pytest.mark.skipif(unavailable() is not None, reason="a C++ compiler is not installed")


@pytest.fixture(scope="module")
def chains():
    torch.manual_seed(0)
    chain = Chain(16, 3).eval().requires_grad_(False)
    rows = RowChain(list(chain.layers), threads=1)
    yield chain, rows
    rows.close()


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_it_is_that_of_pytorch(chains, density):
    chain, rows = chains
    x, mask = make_input(16, 11, np.random.default_rng(2).random((11, 11)) < density)
    run, expected = rows.on_picture(x, mask), compute_reference(chain, x, mask)
    for _ in range(2):  # the second time in used buffers
        assert np.abs(run() - expected).max() < TOLERANCE
    assert density == 0.0 or np.abs(expected).max() > 0.1


def test_channels_without_room_are_refused():
    with pytest.raises(ValueError, match="8 does not divide"):
        RowChain(list(Chain(4, 1).layers), threads=1)
