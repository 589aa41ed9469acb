"""A signal that asks the process to end is an exception, once."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from spair.cli.shared.process.termination import Terminated, ending_cleanly

NAMES = ["SIGTERM", "SIGHUP"]


@pytest.fixture(autouse=True)
def usual(request):
    """Signals end the process as usual, whatever the tests were started from."""
    before = {name: signal.signal(getattr(signal, name), signal.SIG_DFL) for name in NAMES}
    before["SIGINT"] = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_unwinds_blocks_with_its_exit_code(name):
    number, cleaned = getattr(signal, name), []
    with pytest.raises(Terminated) as ended, ending_cleanly():
        try:
            os.kill(os.getpid(), number)
            pytest.fail("it went on")
        finally:
            os.kill(os.getpid(), number)  # as `timeout` does; the cleaning goes on
            cleaned.append(True)
    assert ended.value.code == 128 + number and cleaned
    assert signal.getsignal(number) is signal.SIG_DFL


def test_an_exception_that_a_destructor_drops_comes_again():
    class Dropping:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # the handler runs here at the latest

    with pytest.raises(Terminated), ending_cleanly():
        thing = Dropping()
        del thing
        for _ in range(1000):
            time.sleep(0.01)
        pytest.fail("it went on")


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_exception_that_a_library_in_c_drops_comes_again(number, kind):
    """As in the log of libvips, which is a function of Python that C calls."""

    @ctypes.CFUNCTYPE(None)
    def log():
        os.kill(os.getpid(), number)
        time.sleep(0)

    with pytest.raises(kind), ending_cleanly():
        log()
        for _ in range(1000):
            time.sleep(0.01)
        pytest.fail("it went on")


def test_a_dropped_ctrl_c_that_other_code_handles_is_reported(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_type))
    before = signal.signal(signal.SIGINT, lambda number, frame: None)

    class Failing:
        def __del__(self):
            raise KeyboardInterrupt

    try:
        with ending_cleanly():
            thing = Failing()
            del thing
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [KeyboardInterrupt]


def test_other_dropped_exceptions_are_reported_as_before(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: seen.append(dropped.exc_type))

    class Failing:
        def __del__(self):
            raise ValueError

    with ending_cleanly():
        thing = Failing()
        del thing
    assert seen == [ValueError]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None], ids=["nohup", "other code"])
def test_signals_that_others_handle_are_left_alone(handler):
    signal.signal(signal.SIGHUP, handler)
    with ending_cleanly():
        assert signal.getsignal(signal.SIGHUP) is handler
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is handler


def test_other_threads_change_no_handler():
    found = []

    def work():
        with ending_cleanly():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_children_end_by_signals_as_usual():
    with contextlib.suppress(Terminated), ending_cleanly():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            child.terminate()
            assert child.wait() == -signal.SIGTERM
