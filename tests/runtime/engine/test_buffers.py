"""Buffers grow, never shrink, and give everything back."""

import numpy as np
import pytest

from spair.runtime.cuda import CudaError, open_cuda
from spair.runtime.engine.buffers import Buffer, close_all

KINDS = {0: {"device": 1, "pinned": 1}, 1: {"pinned": 1}}
"""Objects of a buffer, by whether the GPU shares the memory of the host."""


def list_held(gpu):
    """Return the kinds and counts of what is held, but for the test's own context."""
    return {kind: count for kind, count in gpu.live().items() if kind != "pushed contexts"}


@pytest.fixture(params=[0, 1])
def cuda(gpu, request):
    gpu.set(integrated=request.param)
    cuda = open_cuda("pycuda")
    with cuda.current():
        yield cuda


def test_a_buffer_grows_to_the_room_and_stays(gpu, cuda):
    buffer = Buffer(cuda)
    assert buffer.reserve(10, 40)
    place = buffer.address
    assert not buffer.reserve(40, 1000) and buffer.address == place and buffer.size == 40
    assert list_held(gpu) == KINDS[gpu.get("integrated")]
    assert buffer.reserve(41, 7) and buffer.size == 41
    assert list_held(gpu) == KINDS[gpu.get("integrated")]
    buffer.close()
    buffer.close()
    assert list_held(gpu) == {}


def test_the_view_is_what_the_gpu_sees(gpu, cuda):
    buffer, stream = Buffer(cuda), cuda.make_stream()
    buffer.reserve(60, 60)
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    buffer.view((3, 4), values.dtype)[...] = values
    buffer.copy_in(48, stream)
    stream.synchronize()
    np.testing.assert_array_equal(gpu.view(buffer.address, (3, 4), np.float32, "buffer"), values)
    gpu.view(buffer.address, (12,), np.float32, "buffer")[:] = 5
    buffer.copy_out(48, stream)
    stream.synchronize()
    assert (buffer.view((12,), values.dtype) == 5).all()
    buffer.close()
    stream.close()


@pytest.mark.parametrize("call", ["cuMemAlloc_v2", "cuMemHostAlloc"])
def test_what_cannot_be_reserved_leaves_nothing(gpu, cuda, call):
    buffer = Buffer(cuda)
    if call == "cuMemAlloc_v2" and cuda.integrated:
        return
    gpu.fail(call, 2, times=1 + (call == "cuMemAlloc_v2"))  # pycuda tries twice
    with pytest.raises(CudaError):
        buffer.reserve(10, 10)
    buffer.close()
    assert list_held(gpu) == {} and buffer.size == 0
    assert buffer.reserve(10, 10)
    buffer.close()


def test_closing_goes_on_after_a_failure(caplog):
    closed = []

    class Thing:
        def __init__(self, name, fails=False):
            self.name, self.fails = name, fails

        def close(self):
            closed.append(self.name)
            if self.fails:
                raise CudaError("the GPU is lost", 700)

    close_all([Thing("a"), None, Thing("b", fails=True), Thing("c")])
    assert closed == ["a", "b", "c"] and "the GPU is lost" in caplog.text
