"""Laws of interruption by Ctrl-C and SIGTERM.

The run ends at the next step, whatever it is doing, and its exit code says so.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from spair.cli.shared.process.termination import ending_cleanly
from spair.training.loop.interruption import TERMINATED, Interruption
from spair.training.loop.module import RestorationModule
from spair.training.loop.state import read_run_state
from spair.training.run import STATE, train


@pytest.fixture(autouse=True)
def ctrl_c():
    """As in a terminal, even where the tests themselves run in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def steps(monkeypatch):
    """`steps(at, action)`: do something in a step; returns the list of the steps that were begun."""
    step = RestorationModule.training_step
    begun = []

    def arrange(at, action):
        def watched(self, batch, index):
            begun.append(self.global_step)
            if self.global_step == at:
                action()
            return step(self, batch, index)

        monkeypatch.setattr(RestorationModule, "training_step", watched)
        return begun

    return arrange


def swallow():
    """Ctrl-C while a destructor runs: Python prints the exception and goes on."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_that_was_swallowed_stops_the_next_step(configure, folder, steps):
    begun = steps(2, swallow)
    with pytest.raises(KeyboardInterrupt):
        train(configure(stages=[("net_l", 9)]), folder / "runs", progress=False)
    assert begun == [0, 1, 2]
    assert read_run_state(folder / "runs" / "test" / STATE).steps == 2  # epochs have two steps
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("around", [contextlib.nullcontext, ending_cleanly], ids=["alone", "in the command"])
def test_sigterm_stops_with_an_exit_code_of_its_own(configure, folder, steps, around):
    begun = steps(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as caught, around():
        train(configure(stages=[("net_l", 9)]), folder / "runs", progress=False)
    assert caught.value.code == TERMINATED == 143
    assert begun in ([0, 1, 2], [0, 1, 2, 3])
    assert read_run_state(folder / "runs" / "test" / STATE).steps in (2, 4)
    assert [path for path in folder.rglob(".*") if path.name.endswith(".tmp")] == []


def test_a_sigterm_that_workers_get_too_ends_alike(configure, folder, steps):
    def terminate_all():
        os.kill(os.getpid(), signal.SIGTERM)
        workers = [str(worker.pid) for worker in multiprocessing.active_children()]
        # From outside: of its parent's a worker ends without complaint. Not every system has a program kill.
        subprocess.run(["sh", "-c", 'kill "$@"', "sh", *workers], check=True)
        time.sleep(10.0)  # a long step: the loader notices the dead worker in it

    steps(2, terminate_all)
    with pytest.raises(SystemExit) as caught:
        config = configure(("workers = 0", "workers = 1"), ("epoch = 2", "epoch = 200"), stages=[("net_l", 100)])
        train(config, folder / "runs", progress=False)
    assert caught.value.code == TERMINATED


def test_a_dead_worker_is_an_error_unless_there_was_a_sigterm():
    interruption = Interruption()
    for received, expected in ((False, RuntimeError), (True, SystemExit)):
        interruption.setup(SimpleNamespace(received_sigterm=received), None, "fit")
        with pytest.raises(expected), interruption.listening():
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")


def test_an_error_that_a_ctrl_c_caused_is_a_ctrl_c():
    with pytest.raises(KeyboardInterrupt), Interruption().listening():
        swallow()
        raise RuntimeError("DataLoader worker (pid 1) exited unexpectedly")
    with pytest.raises(RuntimeError, match="own"), Interruption().listening():
        raise RuntimeError("an error of its own")


def test_a_ctrl_c_that_others_handle_is_theirs():
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a command in the background of a script
        with Interruption().listening():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_the_main_thread_nothing_listens():
    seen = []

    def work():
        with Interruption().listening():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
