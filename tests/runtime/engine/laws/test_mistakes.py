"""Mistakes in slots are found on the emulated GPU."""

from __future__ import annotations

import gc
import re
import threading

import numpy as np
import pytest

from spair.runtime.cuda import open_cuda
from spair.runtime.engine.slot import Slot, SlotOptions
from spair.runtime.engine.tensorrt import TensorRT
from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM
from tests.emulated.setup.graphs import make_bytes_network
from tests.emulated.setup.opening import run_onnx
from tests.runtime.engine.conftest import name_package
from tests.runtime.engine.laws.mistakes import MISTAKES, AllocatesInCapture, EarlyEvent, WaitsInCapture

SCHEDULES = {LAZY: "lazy", EAGER: "eager", RANDOM: "random"}
LONGEST = 1000
"""Runs after which threads that never met each other's work in a slot give up."""
SIZES = [(12, 10)] * 4 + [(24, 32)] * 4
"""Sizes of the pictures: each comes often enough to be captured and replayed, and then a larger one comes."""


@pytest.fixture(scope="module")
def pictures():
    """Pictures, and the results of ONNX Runtime for them."""
    model, found = make_bytes_network(), []
    for seed, size in enumerate(SIZES):
        picture = np.random.default_rng(seed).integers(0, 256, (1, *size, 3), np.uint8)
        found.append((picture, run_onnx(model, {"image": picture})))
    return found


@pytest.fixture
def cuda(gpu):
    return open_cuda("pycuda")


@pytest.fixture
def open_engine(cuda, trt, write_plan):
    """Function that loads the engine; the context is current."""
    plan = write_plan(make_bytes_network(), [{"image": ((1, 1, 1, 3), (1, 24, 32, 3), (1, 48, 64, 3))}])

    def load():
        return TensorRT(name_package(trt)).open_runtime(None).load_engine(plan, "x.engine")

    return load


def run_once(cuda, open_engine, slot, pictures, graph):
    """Return errors and wrong pictures of one slot."""
    signs, made = [], None
    with cuda.current():
        try:
            made = slot(cuda, open_engine(), SlotOptions(graph=graph))
            for picture, expected in pictures:
                values = made.run({"image": picture})
                if not all(np.array_equal(values[name], value) for name, value in expected.items()):
                    signs.append("wrong picture")
                    break
        except Exception as error:
            signs.append(f"{type(error).__name__}: {error}")
        try:
            if made is not None:
                made.close()
        except Exception as error:
            signs.append(f"close: {type(error).__name__}: {error}")
    return signs


def list_signs(gpu, cuda, open_engine, slot, pictures, *, graph=True):
    """Return the signs that a slot gives under all schedules.

    They are errors, wrong pictures, broken rules, and things left behind.
    """
    signs = []
    for schedule, name in SCHEDULES.items():
        gpu.set(schedule=schedule)
        found = run_once(cuda, open_engine, slot, pictures, graph)
        with cuda.current():
            gc.collect()
            found += dict.fromkeys(gpu.problems)
            left = {kind: count for kind, count in gpu.live().items() if kind != "pushed contexts"}
        found += [f"left behind: {left}"] if left else []
        signs += [f"{name}: {sign}" for sign in found]
        gpu.forget()
    return signs


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("integrated", [0, 1])
def test_the_slot_gives_no_sign(gpu, cuda, open_engine, pictures, graph, integrated):
    gpu.set(integrated=integrated)
    assert list_signs(gpu, cuda, open_engine, Slot, pictures, graph=graph) == []


@pytest.mark.breaks
@pytest.mark.parametrize("slot", MISTAKES, ids=lambda slot: slot.__name__)
def test_a_mistake_is_found(gpu, cuda, open_engine, pictures, slot):
    signs = list_signs(gpu, cuda, open_engine, slot, pictures, graph=slot is not EarlyEvent)
    assert any(re.search(MISTAKES[slot], sign) for sign in signs), signs


@pytest.mark.breaks
@pytest.mark.parametrize("slot", [AllocatesInCapture, WaitsInCapture], ids=lambda slot: slot.__name__)
def test_a_capture_that_fails_is_named_and_the_slot_goes_on(gpu, cuda, open_engine, pictures, slot, caplog):
    assert run_once(cuda, open_engine, slot, pictures, True) == []
    assert re.search("runs without a CUDA graph: .* operation not permitted when stream is capturing", caplog.text)
    assert any("during a capture" in problem for problem in gpu.problems)


@pytest.mark.breaks
def test_two_threads_in_one_slot_are_found(gpu, cuda, open_engine, pictures):
    signs, start = [], threading.Barrier(2)
    with cuda.current():
        slot = Slot(cuda, open_engine(), SlotOptions(graph=False))

    def work(picture, expected):
        start.wait()
        for _ in range(LONGEST):
            if signs or gpu.problems:
                return
            try:
                with cuda.current():
                    values = slot.run({"image": picture})
                signs.extend([] if np.array_equal(values["restored"], expected["restored"]) else ["wrong picture"])
            except Exception as error:
                signs.append(str(error))

    threads = [threading.Thread(target=work, args=pictures[index]) for index in (0, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with cuda.current():
        slot.close()
    assert signs or gpu.problems
