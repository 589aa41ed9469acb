"""Refusals, problems and reports of the double."""

from __future__ import annotations

import ctypes
import json
import os
from contextlib import contextmanager

import numpy as np
import pytest

from tests.emulated.fixtures import BINDINGS
from tests.emulated.setup.graphs import make_network, make_part
from tests.emulated.setup.opening import MOST, SIZE

SHAPE = (1, 3, *SIZE)


def make_log(trt):
    """Return a logger that remembers."""

    class Log(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.heard = []

        def log(self, severity, msg):
            self.heard.append(msg)

    return Log()


class Bench:
    """Engine and context with device memory for each tensor."""

    def __init__(self, trt, device, plan, shapes, strategy="STATIC"):
        self.trt, self.cuda, self.log = trt, device.cuda, make_log(trt)
        self.runtime = trt.Runtime(self.log)
        self.engine = self.runtime.deserialize_cuda_engine(plan)
        self.context = self.engine.create_execution_context(getattr(trt.ExecutionContextAllocationStrategy, strategy))
        self.stream, self.memory = device.cuda.Stream(1), []
        for name, shape in shapes.items():
            assert self.context.set_input_shape(name, shape)
        for name in map(self.engine.get_tensor_name, range(self.engine.num_io_tensors)):
            shape = tuple(self.context.get_tensor_shape(name))
            dtype = trt.nptype(self.engine.get_tensor_dtype(name))
            self.context.set_tensor_address(name, self.allocate(int(np.prod(shape)) * np.dtype(dtype).itemsize))

    def allocate(self, size):
        """Return the address of new memory.

        It is freed at the end.
        """
        self.memory.append(self.cuda.mem_alloc(size))
        self.cuda.memset_d8(self.memory[-1], 0, size)
        return int(self.memory[-1])

    def execute(self):
        """Return whether an execution is taken; waits for it."""
        taken = self.context.execute_async_v3(self.stream.handle)
        self.stream.synchronize()
        return taken

    def close(self):
        """Free everything, in order."""
        self.context = self.engine = self.runtime = None
        for memory in self.memory:
            memory.free()
        self.stream = None


@pytest.fixture
def open_bench(device, trt, setup):
    """Context manager (plan, shapes, strategy) -> Bench."""

    @contextmanager
    def open_one(plan=setup.plan, shapes=None, strategy="STATIC"):
        with device.current():
            bench = Bench(trt, device, plan, shapes or {"image": SHAPE}, strategy)
            try:
                yield bench
            finally:
                bench.close()

    return open_one


def is_told(bench, words):
    """Return whether the log has a message with these words."""
    return any(words in line for line in bench.log.heard)


# Plans


def test_a_plan_begins_with_the_magic_and_the_version(trt, setup, write_plan):
    numbers = [int(part) for part in trt.__version__.split(".")]
    assert setup.plan[:4] in (b"ftrt", b"vtrt")
    assert list(setup.plan[24 : 24 + len(numbers)]) == numbers
    assert write_plan(setup.model, [], version="10.9.0.34")[24:28] == bytes([10, 9, 0, 34])
    assert write_plan(setup.model, [], rtx=True)[:4] == b"vtrt"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda plan: b"no plan", "Magic tag does not match"),
        (lambda plan: plan[:24] + b"\x09\x01\x00\x00" + plan[28:], "Version tag does not match"),
        (lambda plan: plan[:-200], "damaged"),
        (lambda plan: plan[:29], "damaged"),
    ],
    ids=["magic", "version", "cut", "header"],
)
def test_a_damaged_plan_is_refused_with_a_message(trt, device, setup, damage, words):
    log = make_log(trt)
    with device.current():
        assert trt.Runtime(log).deserialize_cuda_engine(damage(setup.plan)) is None
    assert any(words in line for line in log.heard)


def test_a_plan_with_plugins_needs_their_library(trt, device, setup, write_plan):
    log = make_log(trt)
    plan = write_plan(setup.model, [{"image": (SHAPE,) * 3}], plugins=True)
    with device.current():
        assert trt.Runtime(log).deserialize_cuda_engine(plan) is None
    assert any("Cannot find plugin" in line for line in log.heard)


# Scratch memory


def test_a_user_gives_scratch_memory_for_the_shapes_at_hand(open_bench):
    with open_bench(strategy="USER_MANAGED") as bench:
        assert not bench.execute() and is_told(bench, "device memory of the context is not set")
        size = bench.context.update_device_memory_size_for_shapes()
        assert 0 < size < bench.engine.device_memory_size_v2
        bench.context.set_device_memory(bench.allocate(size), size)
        assert bench.execute()


def test_scratch_memory_is_written(gpu, open_bench):
    with open_bench(strategy="USER_MANAGED") as bench:
        size = bench.context.update_device_memory_size_for_shapes()
        address = bench.allocate(size)
        bench.context.set_device_memory(address, size)
        assert bench.execute()
        assert (gpu.view(address, (size,), np.uint8, "scratch")[8:-8] == 0xFF).all()


@pytest.mark.parametrize(("less", "shift"), [(1, 0), (0, 8)], ids=["small", "not aligned"])
def test_wrong_scratch_memory_is_refused(open_bench, less, shift):
    with open_bench(strategy="USER_MANAGED") as bench:
        size = bench.context.update_device_memory_size_for_shapes()
        bench.context.set_device_memory(bench.allocate(size + 8) + shift, size - less)
        assert is_told(bench, "setDeviceMemory") and not bench.execute()


def test_without_an_update_scratch_memory_has_the_largest_size(open_bench):
    with open_bench(strategy="USER_MANAGED") as bench:
        size = bench.context.update_device_memory_size_for_shapes()
        assert bench.context.set_input_shape("image", (1, 3, 8, 8))
        bench.context.set_device_memory(bench.allocate(size), size)
        assert is_told(bench, f"{bench.engine.device_memory_size_v2} are required")


@pytest.mark.breaks
@pytest.mark.parametrize("mistake", ["small", "freed"])
def test_scratch_memory_that_lies_about_its_size_is_found(gpu, open_bench, mistake):
    with open_bench(strategy="USER_MANAGED") as bench:
        size = bench.context.update_device_memory_size_for_shapes()
        address = bench.allocate(size // 2 if mistake == "small" else size)
        bench.context.set_device_memory(address, size)
        if mistake == "freed":
            bench.memory.pop().free()
        with pytest.raises(bench.cuda.Error, match="illegal memory access"):
            bench.execute()
        words = {"small": "bytes at 0 of memory of", "freed": "used after it was freed"}[mistake]
        assert any("scratch memory" in line and words in line for line in gpu.problems)
        gpu.heal()


@pytest.mark.breaks
def test_two_contexts_on_one_scratch_memory_are_found(gpu, open_bench):
    with open_bench(strategy="USER_MANAGED") as one, open_bench(strategy="USER_MANAGED") as two:
        size = one.context.update_device_memory_size_for_shapes()
        address = one.allocate(two.context.update_device_memory_size_for_shapes())
        for bench in (one, two):
            bench.context.set_device_memory(address, size)
            assert bench.context.execute_async_v3(bench.stream.handle)
        for _ in range(2):  # both begin before one of them ends
            one.stream.is_done(), two.stream.is_done()
        one.stream.synchronize(), two.stream.synchronize()
        assert "scratch memory of an execution was overwritten while it ran" in gpu.problems


def test_a_context_with_its_own_memory_takes_no_other(open_bench):
    with open_bench() as bench:
        size = bench.engine.device_memory_size_v2
        bench.context.set_device_memory(bench.allocate(size), size)
        assert is_told(bench, "USER_MANAGED") and bench.execute()


# Shapes and profiles


def test_profiles_are_told_and_chosen(open_bench, write_plan):
    small, large = (((1, 3, 1, 1), (1, 3, *size), (1, 3, *size)) for size in (SIZE, MOST))
    plan = write_plan(make_network(), [{"image": small}, {"image": large}])
    with open_bench(plan) as bench:
        assert bench.engine.num_optimization_profiles == 2
        assert [tuple(shape) for shape in bench.engine.get_tensor_profile_shape("image", 1)] == list(large)
        assert not bench.context.set_input_shape("image", (1, 3, *MOST))
        assert bench.context.set_optimization_profile_async(1, bench.stream.handle)
        assert not bench.execute() and is_told(bench, "shape or address of image")
        assert bench.context.active_optimization_profile == 1
        assert bench.context.set_input_shape("image", (1, 3, *MOST))
        assert tuple(bench.context.get_tensor_shape("restored")) == (1, 3, *MOST)


@pytest.mark.breaks
def test_a_profile_that_is_absent_is_an_error(gpu, open_bench):
    if os.environ.get(BINDINGS) == "10.3":
        pytest.skip("these bindings end the process here, see test_bindings.py")
    with open_bench() as bench:
        with pytest.raises(RuntimeError, match="Error in set optimization profile async"):
            bench.context.set_optimization_profile_async(1, bench.stream.handle)
        assert any("profile 1 of 1" in problem for problem in gpu.problems)


def test_shapes_that_contradict_each_other_are_refused(open_bench, write_plan):
    shapes = {"x": (1, 3, 8, 8), "mask": (1, 1, 8, 8), "keys": (1, 8, 5, 5), "shift": (1, 3, 1, 1)}
    profile = {name: ((1, *shape[1:]), shape, (1, shape[1], 9, 9)) for name, shape in shapes.items()}
    profile["shift"] = (shapes["shift"],) * 3
    with open_bench(write_plan(make_part(), [profile]), shapes) as bench:
        assert bench.execute()
        assert bench.context.set_input_shape("mask", (1, 1, 8, 9))
        assert not bench.execute() and is_told(bench, "axis W is 8 and 9")


# Reports


def make_profiler(trt):
    """Return a profiler that remembers."""

    class Profiler(trt.IProfiler):
        def __init__(self):
            trt.IProfiler.__init__(self)
            self.heard = []

        def report_layer_time(self, layer_name, ms):
            self.heard.append((layer_name, ms))

    return Profiler()


def test_a_profiler_hears_every_layer(trt, setup, open_bench):
    names = [node.name for node in setup.model.graph.node]
    with open_bench() as bench:
        profiler = bench.context.profiler = make_profiler(trt)
        assert bench.execute()
        assert [name for name, _ in profiler.heard] == names and all(ms > 0 for _, ms in profiler.heard)
        bench.context.enqueue_emits_profile = False
        profiler.heard.clear()
        assert bench.execute() and profiler.heard == []
        assert bench.context.report_to_profiler() and [name for name, _ in profiler.heard] == names


@pytest.mark.breaks
def test_a_report_before_the_work_ended_is_found(gpu, trt, open_bench):
    with open_bench() as bench:
        bench.context.profiler = make_profiler(trt)
        bench.context.enqueue_emits_profile = False
        assert bench.context.execute_async_v3(bench.stream.handle)
        assert not bench.context.report_to_profiler()
        bench.stream.synchronize()
        assert gpu.problems == ["report_to_profiler is called before the execution ended"]


@pytest.mark.breaks
def test_a_profiler_that_is_called_at_once_breaks_a_capture(gpu, trt, open_bench):
    with open_bench() as bench:
        assert bench.execute()
        bench.context.profiler = make_profiler(trt)
        stream, graph = ctypes.c_void_p(bench.stream.handle), ctypes.c_void_p()
        assert gpu.cuda.cuStreamBeginCapture_v2(stream, 1) == 0
        assert not bench.context.execute_async_v3(bench.stream.handle)
        assert gpu.cuda.cuStreamEndCapture(stream, ctypes.byref(graph)) == 901


@pytest.mark.parametrize("detailed", [True, False])
def test_an_inspector_lists_the_layers(trt, setup, write_plan, open_bench, detailed):
    with open_bench(write_plan(setup.model, [{"image": (SHAPE,) * 3}], detailed=detailed)) as bench:
        inspector = bench.engine.create_engine_inspector()
        told = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
        names = [node.name for node in setup.model.graph.node]
        assert [layer["Name"] if detailed else layer for layer in told["Layers"]] == names
        assert told["Bindings"] == ["image", "restored", "mask"]
        line = inspector.get_layer_information(0, trt.LayerInformationFormat.ONELINE)
        assert "first_layer" in line
        del inspector
