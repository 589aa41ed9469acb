"""The small runner equals ONNX Runtime under every schedule."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM
from tests.emulated.runner.device import RunError, is_fatal
from tests.emulated.runner.engine_runner import EngineRunner
from tests.emulated.setup.graphs import make_bytes_network, make_network, make_part
from tests.emulated.setup.opening import MOST, open_runner, run_onnx

SCHEDULES = [pytest.param(LAZY, id="lazy"), pytest.param(EAGER, id="eager"), pytest.param(RANDOM, id="random")]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("graph", [True, False], ids=["graph", "plain"])
@pytest.mark.parametrize("slots", [1, 2])
def test_pictures_equal_onnx_runtime(gpu, setup, device, schedule, graph, slots):
    gpu.set(schedule=schedule)
    runner = open_runner(setup, device, graph=graph, slots=slots)
    assert all(slot.captured == graph for slot in runner.slots)
    for picture, expected in zip(setup.pictures, setup.expected, strict=True):
        np.testing.assert_array_equal(runner.run({"image": picture})["restored"], expected)
    runner.close()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_bytes_go_in_and_out(gpu, trt, write_plan, device, schedule):
    gpu.set(schedule=schedule)
    picture = np.random.default_rng(0).integers(0, 256, (2, 17, 23, 3), np.uint8)
    plan = write_plan(make_bytes_network(), [{"image": ((1, 1, 1, 3), (1, 17, 23, 3), (2, 32, 32, 3))}])
    runner = EngineRunner(trt, device, plan, {"image": picture.shape})
    out = runner.run({"image": picture})
    runner.close()
    planes = picture.transpose(0, 3, 1, 2).astype(np.float32) / 255
    expected = run_onnx(make_network(), {"image": planes})
    restored = np.rint(np.clip(expected["restored"] * np.float32(255), 0, 255)).astype(np.uint8).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(out["restored"], restored)
    np.testing.assert_array_equal(out["mask"], expected["mask"][:, 0])
    assert out["restored"].dtype == out["mask"].dtype == np.uint8 and 0 < out["mask"].mean() < 1


def test_parts_have_many_inputs_and_sizes_that_names_do_not_say(trt, write_plan, device):
    model, random = make_part(), np.random.default_rng(0)
    shapes = {"x": (1, 3, 18, 26), "mask": (1, 1, 18, 26), "keys": (1, 8, 5, 5), "shift": (1, 3, 1, 1)}
    profile = {
        "x": ((1, 3, 8, 8), (1, 3, 16, 16), (1, 3, 32, 32)),
        "mask": ((1, 1, 8, 8), (1, 1, 16, 16), (1, 1, 32, 32)),
        "keys": ((1, 8, 5, 5),) * 3,
        "shift": ((1, 3, 1, 1),) * 3,
    }
    runner = EngineRunner(trt, device, write_plan(model, [profile]), shapes)
    feeds = {name: random.random(shape, np.float32) for name, shape in shapes.items()}
    out, expected = runner.run(feeds), run_onnx(model, feeds)
    runner.close()
    assert out["features"].shape == (1, 8, 9, 13)
    for name, value in expected.items():
        np.testing.assert_array_equal(out[name], value)


def test_threads_share_slots(setup, device):
    runner = open_runner(setup, device, slots=2)
    found = [None] * 8

    def work(index):
        found[index] = runner.run({"image": setup.pictures[index % 4]})["restored"]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner.close()
    for index, out in enumerate(found):
        np.testing.assert_array_equal(out, setup.expected[index % 4])


def test_a_shape_outside_of_the_profile_is_refused(setup, device):
    with pytest.raises(RunError, match="takes no image of shape"):
        open_runner(setup, device, size=(MOST[0] + 1, MOST[1]))


@pytest.mark.breaks
def test_an_illegal_address_is_fatal_and_stays(gpu, setup, device):
    runner = open_runner(setup, device)
    gpu.fail("work", 700)
    for _ in range(2):
        with pytest.raises(Exception, match="illegal memory access") as caught:
            runner.run({"image": setup.pictures[0]})
        assert is_fatal(caught.value)
    gpu.heal()  # a real process would have to end
    np.testing.assert_array_equal(runner.run({"image": setup.pictures[0]})["restored"], setup.expected[0])
    runner.close()


@pytest.mark.parametrize("after", range(5))
@pytest.mark.parametrize(
    "call", ["cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuGraphInstantiateWithFlags"]
)
def test_a_failure_while_opening_leaves_nothing_behind(gpu, setup, device, call, after):
    """pycuda collects garbage and tries once more when device memory is short, so it has to fail twice."""
    gpu.fail(call, 2, after=after, times=2)
    try:
        open_runner(setup, device).close()
    except Exception as error:
        assert not is_fatal(error)
