"""No test depends on those that ran before it, on chance, or on the speed of the machine."""

import os
import random
import signal
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
import torch

from tests.processes import is_running

DRAWN, THREADS = [], []


@pytest.mark.parametrize("turn", range(2))
def test_every_test_draws_the_same_numbers(turn):
    DRAWN.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert DRAWN[:1] * len(DRAWN) == DRAWN


@pytest.mark.parametrize("turn", range(2))
def test_every_test_has_the_same_number_of_threads(turn):
    THREADS.append(torch.get_num_threads())
    assert THREADS[:1] * len(THREADS) == THREADS
    torch.set_num_threads(THREADS[0] + 1)


def test_generated_examples_are_always_the_same_and_have_no_limit_of_time():
    assert hypothesis.settings.default.deadline is None and hypothesis.settings.default.derandomize


def test_a_process_that_has_ended_does_not_run_though_nobody_has_waited_for_it():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_running(process.pid) and is_running(os.getpid())
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(process.pid)
    assert not is_running(process.pid)
