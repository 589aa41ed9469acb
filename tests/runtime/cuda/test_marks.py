"""Marks tell the steps of a run apart, by the GPU's time and the host's."""

import itertools

import pytest

from spair.runtime.cuda import CudaError, open_cuda
from spair.runtime.cuda.marks import COMPUTED, COPIED_IN, COPIED_OUT, START, Marks
from tests.runtime.cuda.doubles import TimedCuda, TimedStream


@pytest.fixture
def stream():
    return TimedStream()


def make_marks(stream, readings=()):
    clock = itertools.chain(readings, itertools.repeat(0.0))
    return Marks(TimedCuda(), stream, clock.__next__)


def test_the_steps_of_a_run_follow_each_other(stream):
    marks = make_marks(stream)
    for mark, spent in ((START, 1.0), (COPIED_IN, 4.0), (COMPUTED, 0.5), (COPIED_OUT, 0.0)):
        marks.set(mark)
        stream.now += spent
    times = marks.read()
    assert (times.copy_in, times.compute, times.copy_out) == ((0.0, 1.0), (1.0, 5.0), (5.0, 5.5))
    assert times.total == (0.0, 5.5)


def test_times_count_from_the_origin_of_all_runs(stream):
    stream.now = 100.0
    marks = make_marks(stream)
    stream.now += 7.0
    marks.set(START)
    marks.set(COPIED_OUT)
    assert marks.read().total == (7.0, 7.0)


def test_enqueuing_is_the_host_between_two_marks(stream):
    # Readings: the origin, then before and after each mark.
    readings = iter([10.0, 11.0, 11.1, 11.2, 11.3, 11.7, 11.8, 12.0, 12.1])
    marks = make_marks(stream, readings)
    for mark in (START, COPIED_IN, COMPUTED, COPIED_OUT):
        marks.set(mark)
    assert marks.read().enqueue == pytest.approx((1300.0, 1700.0))


def test_a_graph_has_one_span_and_its_launch(stream):
    marks = make_marks(stream, iter([10.0, 11.0, 11.1, 11.7, 11.8]))
    marks.set(START)
    stream.now += 3.0
    marks.set(COPIED_OUT)
    times = marks.read()
    assert times.total == (0.0, 3.0) and times.enqueue == pytest.approx((1100.0, 1700.0))
    assert (times.copy_in, times.compute, times.copy_out) == (None, None, None)


def test_a_run_forgets_the_marks_of_the_one_before(stream):
    marks = make_marks(stream)
    for mark in (START, COPIED_IN, COMPUTED, COPIED_OUT, START, COPIED_OUT):
        marks.set(mark)
    assert marks.read().compute is None


@pytest.mark.parametrize("package", ["pycuda", "cuda.bindings"])
def test_the_drivers_marks_are_in_order_and_given_back(gpu, package):
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    cuda = open_cuda(package)
    with cuda.current():
        stream = cuda.make_stream()
        marks = Marks(cuda, stream, iter(range(99)).__next__)
        for mark in (START, COPIED_IN, COMPUTED, COPIED_OUT):
            marks.set(mark)
        stream.synchronize()
        times = marks.read()
        assert 0 <= times.total[0] <= times.compute[0] <= times.compute[1] <= times.total[1]
        marks.close()
        marks.close()
        stream.close()


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("call", ["cuEventCreate", "cuEventRecord"])
def test_marks_that_cannot_be_made_leave_nothing(gpu, call, after):
    cuda = open_cuda("pycuda")
    with cuda.current():
        stream = cuda.make_stream()
        gpu.fail(call, 2, after=after)
        try:
            Marks(cuda, stream, lambda: 0.0).close()
        except CudaError as error:
            assert error.out_of_memory
        stream.close()
