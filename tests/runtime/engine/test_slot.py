"""A slot keeps its addresses, replays shapes that come again, and leaves nothing behind."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from spair.runtime.cuda import CudaError, open_cuda
from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.slot import Slot, SlotOptions
from spair.runtime.engine.tensorrt import TensorRT
from tests.runtime.engine.conftest import name_package
from tests.runtime.engine.pictures import draw


@pytest.fixture(params=["pycuda", "cuda.bindings"])
def cuda(gpu, request):
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    cuda = open_cuda(request.param)
    with cuda.current():
        yield cuda


@pytest.fixture
def engine(cuda, trt, plans):
    return TensorRT(name_package(trt)).open_runtime(None).load_engine(plans["model"], "x.engine")


@pytest.fixture
def make_slot(cuda, engine):
    made = []

    def make(**options):
        made.append(Slot(cuda, engine, SlotOptions(**options)))
        return made[-1]

    yield make
    for slot in made:
        slot.close()


def run(slot, reference, height=24, width=32, seed=0, growth=1.0):
    """Run a picture, and compare it with ONNX Runtime."""
    picture = draw(height, width, seed)
    values = slot.run({"image": picture[None]}, growth)
    expected = reference(picture)
    np.testing.assert_array_equal(values["mask"][0].view(bool), expected.mask)
    assert np.abs(values["restored"][0].astype(int) - expected.image.astype(int)).max() <= 1


@pytest.mark.parametrize("integrated", [0, 1])
def test_a_shape_that_comes_again_is_captured(gpu, make_slot, reference, integrated):
    gpu.set(integrated=integrated)
    slot = make_slot(warm_up=2)
    captured = []
    for seed in range(5):
        run(slot, reference, seed=seed)
        captured.append(slot.captured)
    assert captured == [False, True, True, True, True]
    assert gpu.calls.count("cuGraphLaunch") == 3
    assert ("cuMemcpyHtoDAsync_v2" in gpu.calls) is not bool(integrated)


def test_another_shape_drops_the_graph(gpu, make_slot, reference):
    slot = make_slot()
    for size in [(24, 32)] * 3 + [(32, 24)] + [(24, 32)] * 3:
        run(slot, reference, *size)
    assert slot.captured and gpu.live()["executable graphs"] == 1


def test_without_graphs_nothing_is_captured(gpu, make_slot, reference):
    slot = make_slot(graph=False)
    for _ in range(4):
        run(slot, reference)
    assert not slot.captured and "cuStreamBeginCapture_v2" not in gpu.calls


@pytest.mark.breaks
def test_a_capture_that_fails_is_told_once_and_the_slot_goes_on(gpu, make_slot, reference, caplog):
    slot = make_slot()
    gpu.fail("cuGraphInstantiateWithFlags", 901)
    for seed in range(5):
        run(slot, reference, seed=seed)
    assert not slot.captured and "cuGraphInstantiateWithFlags failed" in slot.refused
    assert caplog.text.count("x.engine runs without a CUDA graph") == 1


def test_a_capture_without_a_warm_up_is_refused_and_the_slot_goes_on(make_slot, reference, monkeypatch):
    """TensorRT cannot be captured in the first run after a change of shapes."""
    slot = make_slot(warm_up=1)
    monkeypatch.setattr(slot._options.__class__, "warm_up", 0)
    run(slot, reference)
    run(slot, reference, seed=1)


def test_memory_stays_where_it_is_until_it_must_grow(gpu, make_slot, reference):
    slot = make_slot()
    run(slot, reference, 24, 32, growth=2.0)
    gpu.heal()
    for size in [(24, 32), (12, 16), (48, 32), (32, 48), (1, 1)]:
        run(slot, reference, *size)
    assert not {"cuMemAlloc_v2", "cuMemHostAlloc"} & set(gpu.calls)
    run(slot, reference, 48, 64)
    assert {"cuMemAlloc_v2", "cuMemHostAlloc"} <= set(gpu.calls)


def test_working_memory_is_no_more_than_the_engine_needs(make_slot, engine, reference):
    slot = make_slot()
    run(slot, reference, 24, 32, growth=100.0)
    assert slot.scratch_size == engine.scratch_size


def test_inputs_of_another_type_are_refused(make_slot):
    with pytest.raises(TypeError, match="Cannot cast"):
        make_slot().run({"image": np.zeros((1, 8, 8, 3), np.float32)})


def test_a_shape_that_the_engine_does_not_take_is_refused_and_the_slot_goes_on(make_slot, reference):
    slot = make_slot()
    run(slot, reference)
    with pytest.raises(EngineError, match="takes no image of shape"):
        slot.run({"image": np.zeros((1, 49, 64, 3), np.uint8)})
    run(slot, reference)
    run(slot, reference, 7, 9)


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("call", ["cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate"])
def test_whatever_fails_leaves_nothing_behind(gpu, cuda, engine, call, after):
    gpu.fail(call, 2, after=after, times=2)
    slot = None
    try:
        slot = Slot(cuda, engine, SlotOptions())
        slot.run({"image": draw(24, 32)[None]})
    except CudaError as error:
        assert error.out_of_memory
    finally:
        if slot is not None:
            slot.close()
    assert {kind for kind in gpu.live() if kind != "pushed contexts"} == set()


@pytest.mark.breaks
def test_a_lost_gpu_is_no_reason_to_keep_anything(gpu, make_slot, reference):
    slot = make_slot()
    run(slot, reference)
    gpu.fail("work", 700)
    with pytest.raises(CudaError) as caught:
        slot.run({"image": draw(24, 32)[None]})
    assert caught.value.fatal
    slot.close()
    slot.close()  # the driver frees nothing any more, but everything was tried, once
    counts = {name: gpu.calls.count(name) for name in ("cuMemFree_v2", "cuMemFreeHost", "cuStreamDestroy_v2")}
    assert counts == {"cuMemFree_v2": 5, "cuMemFreeHost": 4, "cuStreamDestroy_v2": 1}  # four tensors


def test_the_order_of_the_end(gpu, make_slot, reference):
    slot = make_slot()
    for _ in range(3):
        run(slot, reference)
    gpu.heal()
    slot.close()
    order = [name for name in gpu.calls if name.startswith(("cuStream", "cuGraph", "cuMemFree", "cuEvent"))]
    first = {name: order.index(name) for name in order}
    names = ["cuStreamSynchronize", "cuGraphExecDestroy", "cuMemFree_v2", "cuEventDestroy_v2", "cuStreamDestroy_v2"]
    assert sorted(names, key=first.__getitem__) == names and order[-1] == names[-1]


STEPS = ("cuEventRecord", "cuMemcpy", "cuGraphLaunch", "cuEventSynchronize")


def list_steps(gpu):
    return [name for name in gpu.calls if name.startswith(STEPS)]


def test_marks_stand_around_the_copies_and_the_inference(gpu, make_slot):
    slot = make_slot(graph=False)
    slot.prepare({"image": draw(24, 32)[None]})
    slot.repeat()
    marks = slot.make_marks()
    gpu.heal()
    slot.repeat(marks)
    mark, copy_in, copy_out = "cuEventRecord", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2"
    # The inference is no call of the driver; the last mark is the one that the slot waits for.
    outputs = [copy_out] * 3
    assert list_steps(gpu) == [mark, copy_in, mark, mark, *outputs, mark, mark, "cuEventSynchronize"]
    times = marks.read()
    assert times.copy_in[1] == times.compute[0] and times.compute[1] == times.copy_out[0]
    assert times.total == (times.copy_in[0], times.copy_out[1]) and times.enqueue[0] <= times.enqueue[1]
    marks.close()


def test_a_replayed_graph_is_marked_as_a_whole(gpu, make_slot, reference):
    slot = make_slot(warm_up=2)
    slot.prepare({"image": draw(24, 32)[None]})
    marks = slot.make_marks()
    for _ in range(2):
        slot.repeat(marks)
        assert marks.read().compute is not None
    assert slot.captured
    gpu.heal()
    slot.repeat(marks)
    assert list_steps(gpu) == ["cuEventRecord", "cuGraphLaunch", "cuEventRecord", "cuEventRecord", "cuEventSynchronize"]
    assert marks.read().compute is None
    marks.close()
    run(slot, reference)


def test_layers_are_reported_in_the_engines_order_run_by_run(make_slot, engine, plans):
    slot, found = make_slot(graph=False), []
    slot.prepare({"image": draw(24, 32)[None]})
    slot.repeat()
    slot.report_layers(lambda name, ms: found.append((name, ms)))
    slot.repeat()
    once = list(found)
    slot.repeat()
    assert found == once * 2 and all(ms > 0 for _, ms in once)
    names = [layer["Name"] for layer in json.loads(slot.describe_layers())["Layers"]]
    assert [name for name, _ in once] == names and slot.detailed


def test_layers_are_never_reported_from_a_slot_that_captures(make_slot):
    with pytest.raises(AssertionError, match="inside of a graph"):
        make_slot().report_layers(print)


def test_a_profiler_is_told_engine_slot_and_picture(make_slot):
    told = []

    @contextmanager
    def annotate(name):
        told.append(name)
        yield
        told.append("end")

    slot = make_slot(annotate=annotate)
    slot.run({"image": draw(24, 32)[None]})
    slot.repeat()
    name = told[0].removesuffix("0")
    assert told == [f"{name}0", "end", f"{name}1", "end"] and name.startswith("x, slot ")
