"""Both packages keep the protocol: copies, waits, captures, errors, and nothing left behind."""

import threading

import numpy as np
import pytest

from spair.runtime.cuda import CudaError
from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM


def copy_round(cuda, stream, pinned, memory, back, size):
    cuda.copy_in(memory, pinned, size, stream)
    cuda.copy_out(back, memory, size, stream)


@pytest.fixture
def things(cuda):
    """Stream, pinned memory, memory, and pinned memory for the way back."""
    made = cuda.make_stream(), cuda.allocate_pinned(100), cuda.allocate(100), cuda.allocate_pinned(100)
    yield made
    made[0].synchronize()
    for thing in reversed(made):
        thing.close()
        thing.close()  # is allowed twice


@pytest.mark.parametrize("schedule", [LAZY, EAGER, RANDOM])
@pytest.mark.parametrize("size", [1, 37, 100])
def test_bytes_go_there_and_back(gpu, cuda, things, schedule, size):
    gpu.set(schedule=schedule, seed=size)
    stream, pinned, memory, back = things
    values = np.random.default_rng(size).integers(0, 256, 100, np.uint8)
    pinned.array[:] = values
    back.array[:] = 0
    copy_round(cuda, stream, pinned, memory, back, size)
    stream.synchronize()
    np.testing.assert_array_equal(back.array[:size], values[:size])
    assert not back.array[size:].any()


@pytest.mark.parametrize("spin", [False, True])
def test_an_event_marks_what_was_queued_before(cuda, things, spin):
    stream, pinned, memory, back = things
    event = cuda.make_event(spin=spin)
    pinned.array[:] = 7
    copy_round(cuda, stream, pinned, memory, back, 100)
    event.record(stream)
    event.synchronize()
    assert (back.array == 7).all()
    event.close()
    event.close()


def test_events_with_timing_measure(cuda, things):
    stream, pinned, memory, back = things
    start, stop = (cuda.make_event(timing=True) for _ in range(2))
    start.record(stream)
    copy_round(cuda, stream, pinned, memory, back, 100)
    stop.record(stream)
    stop.synchronize()
    assert stop.measure_since(start) >= 0.0
    start.close()
    stop.close()


def test_a_captured_round_is_replayed(gpu, cuda, things):
    stream, pinned, memory, back = things
    graph = cuda.capture(stream, lambda: copy_round(cuda, stream, pinned, memory, back, 100))
    for value in range(3):
        pinned.array[:] = value
        graph.launch(stream)
        stream.synchronize()
        assert (back.array == value).all()
    graph.close()
    graph.close()


def test_a_capture_that_raises_is_ended_and_the_stream_works_on(cuda, things):
    stream, pinned, memory, back = things

    def fail():
        copy_round(cuda, stream, pinned, memory, back, 100)
        raise RuntimeError("of one's own")

    with pytest.raises(RuntimeError, match="of one's own"):
        cuda.capture(stream, fail)
    back.array[:] = 0
    pinned.array[:] = 9
    copy_round(cuda, stream, pinned, memory, back, 100)
    stream.synchronize()
    assert (back.array == 9).all()


@pytest.mark.parametrize("call", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_a_capture_that_the_driver_refuses_leaves_nothing(gpu, cuda, things, call):
    stream, pinned, memory, back = things
    before = gpu.live()
    gpu.fail(call, 901)
    with pytest.raises(CudaError, match="operation failed due to a previous error during capture") as caught:
        cuda.capture(stream, lambda: copy_round(cuda, stream, pinned, memory, back, 100))
    assert not caught.value.fatal and not caught.value.out_of_memory
    if call == "cuStreamEndCapture":
        gpu.heal()  # the emulated call failed before it ended anything
    assert gpu.live() == before


def test_mapped_memory_has_an_address_on_both_sides(gpu, cuda):
    plain, mapped = cuda.allocate_pinned(64), cuda.allocate_pinned(64, mapped=True)
    assert plain.address is None and mapped.address
    mapped.array[:] = np.arange(64)
    np.testing.assert_array_equal(gpu.view(mapped.address, (64,), np.uint8, "mapped"), np.arange(64))
    plain.close()
    mapped.close()


@pytest.mark.parametrize("integrated", [0, 1])
def test_the_memory_of_the_gpu_is_told(gpu, cuda, integrated):
    gpu.set(integrated=integrated)
    assert cuda.integrated is bool(integrated)
    free, total = cuda.measure_memory()
    assert 0 < free <= total
    memory = cuda.allocate(1 << 20)
    assert cuda.measure_memory()[0] <= free - (1 << 20)
    memory.close()


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("cuMemAlloc_v2", lambda cuda: cuda.allocate(64)),
        ("cuMemHostAlloc", lambda cuda: cuda.allocate_pinned(64)),
        ("cuStreamCreate", lambda cuda: cuda.make_stream()),
        ("cuEventCreate", lambda cuda: cuda.make_event()),
    ],
)
def test_too_little_memory_is_told_apart(gpu, cuda, call, use):
    gpu.fail(call, 2, times=2)  # pycuda tries twice
    with pytest.raises(CudaError) as caught:
        use(cuda)
    assert caught.value.out_of_memory and not caught.value.fatal


@pytest.mark.breaks
@pytest.mark.parametrize("code", [700, 719, 716])
def test_a_lost_gpu_is_told_apart(gpu, cuda, code):
    stream, pinned, memory = cuda.make_stream(), cuda.allocate_pinned(8), cuda.allocate(8)
    gpu.fail("work", code)
    cuda.copy_in(memory, pinned, 8, stream)
    with pytest.raises(CudaError) as caught:
        stream.synchronize()
    assert caught.value.fatal and not caught.value.out_of_memory
    gpu.heal()
    for thing in (memory, pinned, stream):
        thing.close()


def test_threads_have_the_context_for_the_block_alone(gpu, cuda):
    seen = []

    def work():
        seen.append(gpu.current_context())
        with cuda.current(), cuda.current():
            seen.append(gpu.current_context())
        seen.append(gpu.current_context())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[1] and (seen[0], seen[2]) == (None, None)


def test_an_error_inside_leaves_no_context_behind(gpu, cuda):
    before = gpu.current_context()

    def work():
        with pytest.raises(KeyError), cuda.current():
            raise KeyError
        assert gpu.current_context() is None

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert gpu.current_context() == before
