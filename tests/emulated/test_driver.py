"""The emulated driver keeps its promises, through real pycuda."""

from __future__ import annotations

import ctypes
import gc
import signal

import numpy as np
import pytest

from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM

SIZE = 1000


class Bench:
    """A stream, and buffers of SIZE floats."""

    def __init__(self, device):
        self.cuda = device.cuda
        self.stream, self.other = (device.cuda.Stream(1) for _ in range(2))
        self.a, self.b = (device.cuda.pagelocked_empty(SIZE, np.float32) for _ in range(2))
        self.x, self.y = (device.cuda.mem_alloc(4 * SIZE) for _ in range(2))

    def close(self):
        for buffer in (self.x, self.y, self.a.base, self.b.base):
            buffer.free()


@pytest.fixture
def bench(gpu, device):
    with device.current():
        bench = Bench(device)
        yield bench
        gpu.heal()
        bench.close()
        del bench.stream, bench.other
        gc.collect()


def driver(name, *arguments):
    return getattr(ctypes.CDLL("libcuda.so.1"), name)(*arguments)


def begin(stream, mode=1):
    return driver("cuStreamBeginCapture_v2", ctypes.c_void_p(stream.handle), mode)


def end(stream):
    graph = ctypes.c_void_p()
    return driver("cuStreamEndCapture", ctypes.c_void_p(stream.handle), ctypes.byref(graph)), graph


@pytest.mark.parametrize("schedule", [LAZY, EAGER, RANDOM])
def test_streams_keep_their_order_and_events_join_them(gpu, bench, schedule):
    gpu.set(schedule=schedule)
    cuda, ready = bench.cuda, bench.cuda.Event()
    bench.a[...] = 3
    cuda.memcpy_htod_async(bench.x, bench.a, bench.stream)
    ready.record(bench.stream)
    bench.other.wait_for_event(ready)
    cuda.memcpy_dtod_async(bench.y, bench.x, 4 * SIZE, bench.other)
    cuda.memcpy_dtoh_async(bench.b, bench.y, bench.other)
    bench.other.synchronize()
    assert (bench.b == 3).all()


@pytest.mark.breaks
def test_streams_without_an_event_are_not_joined(bench):
    bench.a[...] = 3
    bench.cuda.memcpy_htod_async(bench.x, bench.a, bench.stream)
    bench.cuda.memcpy_dtoh_async(bench.b, bench.x, bench.other)
    bench.other.synchronize()
    assert np.isnan(bench.b).all()


@pytest.mark.breaks
def test_memory_is_poisoned_and_guarded(gpu, bench):
    bench.cuda.memcpy_dtoh(bench.b, bench.x)
    assert np.isnan(bench.b).all()
    place = gpu.resolve(int(bench.x), 4 * SIZE, "x")
    ctypes.memset(place + 4 * SIZE, 1, 8)  # work that writes behind the end
    bench.x.free()
    assert any("written behind its end" in problem for problem in gpu.problems)
    bench.x = bench.cuda.mem_alloc(4)


@pytest.mark.breaks
def test_the_host_cannot_touch_device_memory(gpu, bench):
    ctypes.c_float.from_address(int(bench.x)).value  # noqa: B018
    assert any("the host touched device memory" in problem for problem in gpu.problems)


@pytest.mark.breaks
def test_memory_is_guarded_after_others_set_the_signals(gpu, bench):
    """Lightning sets the handlers of all signals at the end of a training, to those that Python knows."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    gpu.heal()  # as between tests
    bench.cuda.memcpy_dtoh_async(bench.a, bench.x, bench.stream)
    bench.a.copy()  # ends the process where nobody handles it
    assert any("while queued work writes it" in problem for problem in gpu.problems)


def test_mapped_memory_needs_no_copies(gpu, bench):
    cuda = bench.cuda
    mapped = cuda.pagelocked_empty(SIZE, np.float32, mem_flags=cuda.host_alloc_flags.DEVICEMAP)
    mapped[...] = 2
    address = int(mapped.base.get_device_pointer())
    cuda.memcpy_dtod_async(bench.x, address, 4 * SIZE, bench.stream)
    bench.stream.synchronize()
    cuda.memcpy_dtoh(bench.b, bench.x)
    assert (bench.b == 2).all()
    mapped.base.free()


@pytest.mark.breaks
def test_managed_memory_is_the_devices_while_it_works(gpu, bench):
    cuda = bench.cuda
    managed = cuda.managed_empty(SIZE, np.float32, mem_flags=cuda.mem_attach_flags.GLOBAL)
    managed[...] = 1
    cuda.memcpy_dtod_async(bench.x, int(managed.base.get_device_pointer()), 4 * SIZE, bench.stream)
    managed[0] = 5
    assert any("managed memory while queued work reads it" in problem for problem in gpu.problems)
    bench.stream.synchronize()
    del managed


def test_a_capture_may_fork_if_it_joins(device, bench):
    cuda, fork, join = bench.cuda, bench.cuda.Event(), bench.cuda.Event()
    bench.a[...] = 4
    assert begin(bench.stream) == 0
    cuda.memcpy_htod_async(bench.x, bench.a, bench.stream)
    fork.record(bench.stream)
    bench.other.wait_for_event(fork)
    cuda.memcpy_dtod_async(bench.y, bench.x, 4 * SIZE, bench.other)
    join.record(bench.other)
    bench.stream.wait_for_event(join)
    cuda.memcpy_dtoh_async(bench.b, bench.y, bench.stream)
    code, graph = end(bench.stream)
    assert code == 0
    executable = ctypes.c_void_p()
    assert driver("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_uint64(0)) == 0
    for value in (4, 7):
        bench.a[...] = value
        assert driver("cuGraphLaunch", executable, ctypes.c_void_p(bench.stream.handle)) == 0
        bench.stream.synchronize()
        assert (bench.b == value).all()
    assert driver("cuGraphExecDestroy", executable) == driver("cuGraphDestroy", graph) == 0


def test_a_capture_that_does_not_join_is_refused(bench):
    cuda, fork = bench.cuda, bench.cuda.Event()
    assert begin(bench.stream) == 0
    fork.record(bench.stream)
    bench.other.wait_for_event(fork)
    cuda.memset_d32_async(bench.y, 0, SIZE, bench.other)
    code, graph = end(bench.stream)
    assert code == 904 and not graph


@pytest.mark.breaks
@pytest.mark.parametrize(("mode", "code"), [(0, 900), (1, 900), (2, 0)], ids=["global", "thread", "relaxed"])
def test_a_capture_forbids_allocation_to_its_own_thread(bench, mode, code):
    assert begin(bench.stream, mode) == 0
    address = ctypes.c_uint64()
    assert driver("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4)) == code
    assert end(bench.stream)[0] == (901 if code else 0)


def test_memory_runs_out(gpu, device, bench):
    gpu.set(memory=1 << 20)
    with pytest.raises(bench.cuda.MemoryError):
        bench.cuda.mem_alloc(1 << 20)
    free, total = bench.cuda.mem_get_info()
    assert total == 1 << 20 and free == total - 8 * SIZE


@pytest.mark.parametrize("code", [214, 700, 716, 719, 999])
@pytest.mark.breaks
def test_some_errors_stay(gpu, bench, code):
    gpu.fail("work", code)
    bench.cuda.memset_d32_async(bench.x, 0, SIZE, bench.stream)
    for call in (bench.stream.synchronize, lambda: bench.cuda.mem_alloc(4), lambda: bench.cuda.Stream(1)):
        with pytest.raises(bench.cuda.Error):
            call()


@pytest.mark.breaks
def test_another_context_does_not_know_the_stream(gpu, device, bench):
    other = device.cuda.Device(0).make_context()  # as pycuda.autoinit does
    with pytest.raises(bench.cuda.LogicError, match="invalid resource handle"):
        bench.stream.synchronize()
    other.pop()
    other.detach()
    assert any("another context" in problem for problem in gpu.problems)


def test_time_passes_between_events(bench):
    start, stop = bench.cuda.Event(), bench.cuda.Event()
    start.record(bench.stream)
    bench.cuda.memset_d32_async(bench.x, 0, SIZE, bench.stream)
    stop.record(bench.stream)
    questions = 0
    while not stop.query():
        questions += 1
    assert questions == 3 and stop.time_since(start) > 0


@pytest.mark.breaks
def test_a_context_that_stays_pushed_is_found(gpu, device):
    device._context.push()
    assert gpu.live() == {"pushed contexts": 1}
    device._context.pop()
    assert gpu.live() == {}


@pytest.mark.breaks
@pytest.mark.parametrize(("own", "code"), [(0, 900), (1, 900), (2, 0)], ids=["global", "thread", "relaxed"])
def test_a_thread_may_relax_what_its_captures_forbid(bench, own, code):
    mode = ctypes.c_int(own)
    assert begin(bench.stream) == driver("cuThreadExchangeStreamCaptureMode", ctypes.byref(mode)) == 0
    address = ctypes.c_uint64()
    assert driver("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4)) == code
    assert driver("cuThreadExchangeStreamCaptureMode", ctypes.byref(mode)) == 0 and mode.value == own
    assert end(bench.stream)[0] == (901 if code else 0)


def load_function():
    """Return a function of made-up code in the current context."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    assert driver("cuModuleLoadData", ctypes.byref(module), b"code") == 0
    assert driver("cuModuleGetFunction", ctypes.byref(function), module, b"kernel") == 0
    return function


@pytest.mark.breaks
def test_code_goes_with_its_context(gpu, device):
    numbers = []
    with device.current():
        context = ctypes.c_void_p(gpu.current_context())
        function = load_function()
        for _ in range(2):
            number = ctypes.c_uint64()
            assert driver("cuCtxGetId", context, ctypes.byref(number)) == 0
            numbers.append(number.value)
            gpu.cuda.emu_renew(context)
        assert driver("cuLaunchKernel", function, 1, 1, 1, 32, 1, 1, 0, None, None, None) == 400
    assert numbers[0] != numbers[1]
    assert gpu.problems == ["a kernel of another context, or of one that was released, is launched"]


@pytest.mark.breaks
@pytest.mark.parametrize("pageable", [0, 1])
def test_memory_of_the_host_is_the_devices_only_where_it_is_pageable(gpu, bench, pageable):
    gpu.set(pageable=pageable)
    host = np.zeros(SIZE, np.float32)
    code = driver("cuMemsetD32Async", ctypes.c_uint64(host.ctypes.data), 1, SIZE, ctypes.c_void_p(bench.stream.handle))
    bench.stream.synchronize()
    assert (code == 0) == bool(pageable) and (host.view(np.int32) == pageable).all()
    assert any("no memory of the device" in problem for problem in gpu.problems) is not bool(pageable)
