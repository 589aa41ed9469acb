"""Every mistake in a slot is found."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.emulated.driver.gpu import EAGER, LAZY, RANDOM
from tests.emulated.runner.mistakes import (
    MISTAKES,
    AllocatesInCapture,
    EarlyEvent,
    ForgottenMemory,
    NoWarmUp,
    WaitsInCapture,
)
from tests.emulated.runner.slot import Slot
from tests.emulated.setup.opening import open_runner

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 1000
"""Runs after which threads that never met each other's work in a slot give up."""
NAMES = {LAZY: "lazy", EAGER: "eager", RANDOM: "random"}


def use(gpu, setup, device, slot, **options):
    """Return the signs that a slot gives under all schedules.

    Signs are refusals, wrong pictures, broken rules, and things left behind.
    """
    signs = []
    for schedule, name in NAMES.items():
        gpu.set(schedule=schedule)
        found = run_once(setup, device, slot, options)
        with device.current():
            gc.collect()
            left = gpu.live()
        found += [
            *dict.fromkeys(gpu.problems),
            *([f"left behind: {left}"] if left.keys() - {"pushed contexts"} else []),
        ]
        signs += [f"{name}: {sign}" for sign in found]
        gpu.forget()
    return signs


def run_once(setup, device, slot, options):
    """Return errors and wrong pictures of one runner."""
    signs, runner = [], None
    try:
        runner = open_runner(setup, device, slot, **options)
        for picture, expected in zip(setup.pictures, setup.expected, strict=True):
            if not np.array_equal(runner.run({"image": picture})["restored"], expected):
                signs.append("wrong picture")
                break
    except Exception as error:
        signs.append(f"{type(error).__name__}: {error}")
    try:
        if runner is not None:
            runner.close()
    except Exception as error:
        signs.append(f"close: {type(error).__name__}: {error}")
    return signs


def test_a_slot_without_a_mistake_gives_no_sign(gpu, setup, device):
    assert use(gpu, setup, device, Slot) == []


@pytest.mark.breaks
@pytest.mark.parametrize("slot", MISTAKES, ids=lambda slot: slot.__name__)
def test_a_mistake_is_found(gpu, setup, device, slot):
    signs = use(gpu, setup, device, slot, graph=slot is not EarlyEvent)
    assert any(re.search(MISTAKES[slot], sign) for sign in signs), signs


@pytest.mark.breaks
@pytest.mark.parametrize("slot", [AllocatesInCapture, WaitsInCapture, NoWarmUp], ids=lambda slot: slot.__name__)
def test_a_capture_that_fails_is_named_and_the_runner_goes_on(gpu, setup, device, slot, caplog):
    runner = open_runner(setup, device, slot)
    assert not runner.slots[0].captured
    assert "runs without a CUDA graph: " in caplog.text
    np.testing.assert_array_equal(runner.run({"image": setup.pictures[0]})["restored"], setup.expected[0])
    runner.close()
    assert any("during a capture" in problem for problem in gpu.problems)


class NoLock:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


@pytest.mark.breaks
def test_two_threads_without_a_lock_are_found(gpu, setup, device):
    runner = open_runner(setup, device, graph=False)
    runner.slots[0]._lock = NoLock()
    signs = []
    start = threading.Barrier(2)

    def work(index):
        start.wait()
        for _ in range(LONGEST):
            if signs or gpu.problems:
                return
            try:
                out = runner.run({"image": setup.pictures[index]})["restored"]
                signs.extend([] if np.array_equal(out, setup.expected[index]) else ["wrong picture"])
            except Exception as error:
                signs.append(str(error))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner.close()
    assert signs or gpu.problems


def test_a_wrong_slot_is_found(setup, device):
    runner = open_runner(setup, device, slots=2)
    first, second = runner.slots
    first._outputs, second._outputs = second._outputs, first._outputs
    wrong = [
        not np.array_equal(runner.run({"image": picture})["restored"], expected)
        for picture, expected in zip(setup.pictures, setup.expected, strict=True)
    ]
    first._outputs, second._outputs = second._outputs, first._outputs
    runner.close()
    assert any(wrong)


def test_memory_that_was_forgotten_is_found(gpu, setup, device):
    runner = open_runner(setup, device, ForgottenMemory)
    (slot,) = runner.slots
    runner.close()
    assert gpu.live() == {"device": 3, "pinned": 3}
    with device.current():
        for buffer in slot.kept:
            buffer.free()


LEAVES = """
import sys, threading
from tests.emulated.driver.gpu import load_gpu
from tests.emulated.setup.pycuda_wheel import find_pycuda
load_gpu()
sys.path.insert(0, str(find_pycuda()))
from tests.emulated.runner.device import Device
device = Device()
thread = threading.Thread(target=device._context.push)
thread.start()
thread.join()
print("alive")
"""


def test_a_thread_that_leaves_the_context_current_ends_the_process(gpu):
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == -6 and "context stack was not empty" in done.stderr
