"""Threads share slots, memory is bounded, and a lost GPU is one sentence."""

import gc
import threading

import numpy as np
import pytest

from spair.runtime.cuda import CudaError, open_cuda
from spair.runtime.engine.errors import EngineError, LostGpuError
from spair.runtime.engine.pool import SlotPool
from spair.runtime.engine.slot import Slot, SlotOptions
from spair.runtime.engine.tensorrt import TensorRT
from tests.runtime.engine.conftest import name_package
from tests.runtime.engine.pictures import draw


@pytest.fixture
def make_pool(gpu, trt, plans):
    cuda, made = open_cuda("pycuda"), []

    def make(slots=2, **options):
        with cuda.current():
            engine = TensorRT(name_package(trt)).open_runtime(None).load_engine(plans["model"], "x.engine")
        made.append(SlotPool(cuda, engine, lead="image", slots=slots, options=SlotOptions(**options)))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def feed(height=24, width=32, seed=0):
    return {"image": draw(height, width, seed)[None]}


def count_made(pool):
    return sum(pool._made.values())


def test_one_thread_needs_one_slot_for_a_range_of_sizes(make_pool):
    pool = make_pool()
    for size in [(24, 32), (30, 20), (25, 26), (48, 16)]:
        pool.run(feed(*size))
    assert count_made(pool) == 1
    pool.run(feed(48, 64))  # another bucket
    pool.run(feed(1, 1))
    assert count_made(pool) == 3


def test_small_pictures_do_not_hold_the_memory_of_large_ones(gpu, make_pool):
    pool, held = make_pool(), []
    for size in [(1, 1), (48, 64)]:
        pool.run(feed(*size))
        (slot,) = pool._idle[pool._find_bound(size[0] * size[1] * 3)]
        held.append(sum(buffer.size for buffer in slot._buffers.values()))
    assert held[0] * 16 < held[1]


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_slots_are_made_than_allowed(make_pool, reference, slots):
    pool, wrong = make_pool(slots), []
    barrier = threading.Barrier(6)
    expected = [reference(draw(24, 32, seed)).image for seed in range(6)]

    def work(seed):
        barrier.wait()
        for _ in range(3):
            values = pool.run(feed(seed=seed))
            if np.abs(values["restored"][0].astype(int) - expected[seed].astype(int)).max() > 1:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and 1 <= count_made(pool) <= slots


def test_idle_slots_make_room_when_memory_is_short(gpu, make_pool):
    pool = make_pool()
    pool.run(feed(1, 1))
    gpu.fail("cuMemHostAlloc", 2)
    pool.run(feed(48, 64))
    assert count_made(pool) == 1  # the small one was freed


def test_too_little_memory_is_a_memory_error_and_the_pool_goes_on(gpu, make_pool):
    pool = make_pool()
    gpu.fail("cuMemHostAlloc", 2, times=8)
    with pytest.raises(MemoryError, match=r"^the GPU has too little memory \(.*out of memory\); restore a smaller"):
        pool.run(feed())
    gpu.heal()
    pool.run(feed())
    assert count_made(pool) == 1


@pytest.mark.breaks
def test_a_lost_gpu_stays_lost_for_all_threads(gpu, make_pool):
    pool = make_pool()
    pool.run(feed())
    gpu.fail("work", 700)
    for _ in range(2):
        with pytest.raises(LostGpuError, match=r"the GPU was lost \(.*illegal memory.*in this process; start it again"):
            pool.run(feed())
    pool.close()


def test_a_context_that_cannot_be_made_current_is_no_reason_not_to_close(make_pool, monkeypatch, caplog):
    pool = make_pool()

    def refuse():
        raise CudaError("cuCtxPushCurrent failed: context is destroyed", 709)

    with monkeypatch.context() as patch:
        patch.setattr(type(pool._cuda), "current", lambda driver: refuse())
        pool.close()
    assert "context is destroyed" in caplog.text
    with pytest.raises(EngineError, match="the restorer was closed"):
        pool.run(feed())


def test_an_engine_error_costs_its_slot_alone(make_pool, monkeypatch):
    pool, enqueue = make_pool(), Slot._enqueue
    pool.run(feed())

    def fail(self, mark):
        raise EngineError("x.engine does not run: of one's own")

    monkeypatch.setattr(Slot, "_enqueue", fail)
    with pytest.raises(EngineError, match="of one's own"):
        pool.run(feed())
    monkeypatch.setattr(Slot, "_enqueue", enqueue)
    assert count_made(pool) == 0
    pool.run(feed())


def test_a_closed_pool_refuses(gpu, make_pool):
    pool = make_pool()
    pool.run(feed())
    pool.close()
    pool.close()
    with pytest.raises(EngineError, match="the restorer was closed"):
        pool.run(feed())
    gc.collect()
    assert gpu.live() == {}


def test_a_slot_of_ones_own_is_closed_and_is_none_of_the_pools(gpu, make_pool):
    pool = make_pool()
    with pool.own_slot(SlotOptions(graph=False)) as slot:
        slot.run(feed())
        assert count_made(pool) == 0
    assert {kind for kind in gpu.live() if kind != "pushed contexts"} == set()
    pool.close()
    with pytest.raises(EngineError, match="the restorer was closed"), pool.own_slot(SlotOptions()):
        raise AssertionError("made")


@pytest.mark.breaks
def test_a_slot_of_ones_own_tells_of_a_lost_gpu(gpu, make_pool):
    pool = make_pool()
    gpu.fail("work", 700)
    with pytest.raises(LostGpuError, match="the GPU was lost"), pool.own_slot(SlotOptions()) as slot:
        slot.run(feed())
    with pytest.raises(LostGpuError, match="the GPU was lost"):
        pool.run(feed())


def test_closing_while_threads_wait_and_run(gpu, make_pool, monkeypatch):
    pool, wait = make_pool(slots=1), Slot._wait
    entered, leave, ends = threading.Event(), threading.Event(), []

    def slow(self):
        entered.set()
        leave.wait()
        wait(self)

    def work():
        try:
            pool.run(feed())
            ends.append("done")
        except EngineError as error:
            ends.append(str(error))

    monkeypatch.setattr(Slot, "_wait", slow)
    threads = [threading.Thread(target=work) for _ in range(2)]
    threads[0].start()
    entered.wait()
    threads[1].start()
    pool.close()
    leave.set()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["done", "the restorer was closed"]
    with open_cuda("pycuda").current():
        gc.collect()
    assert {kind for kind in gpu.live() if kind != "pushed contexts"} == set()
