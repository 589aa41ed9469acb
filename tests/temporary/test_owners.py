"""An owner is known as alive, as dead, or as out of sight."""

import os
import signal

import pytest

from spair.temporary import owners
from spair.temporary.owners import Owner, is_alive, this_process

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork to make a copy of this process")


def test_this_process_is_alive():
    assert is_alive(this_process()) is True
    assert this_process().process == os.getpid()


@needs_fork
def test_a_child_has_a_name_of_its_own_and_is_dead_once_it_ended():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, repr(tuple(this_process())).encode())
        signal.pause()
    owner = Owner(*eval(os.read(reader, 200)))
    assert owner.process == child and owner.place == this_process().place and is_alive(owner)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it ended, but nobody has asked for its exit code
    if this_process().start:  # only Linux says so
        assert is_alive(owner) is False
    os.waitpid(child, 0)
    assert is_alive(owner) is False


def test_a_number_that_was_given_to_another_process_is_no_owner(monkeypatch):
    here = this_process()
    monkeypatch.setattr(owners, "_read_start", lambda process: here.start + 1)
    assert is_alive(here) is False


def test_a_process_of_another_user_is_alive(monkeypatch):
    def refuse(process, number):
        raise PermissionError

    monkeypatch.setattr(owners.os, "kill", refuse)
    monkeypatch.setattr(owners, "_read_start", lambda process: None)
    assert is_alive(this_process()) is True


@pytest.mark.parametrize("process", [1, 2**31 - 1])
def test_what_ran_elsewhere_cannot_be_known(process):
    assert is_alive(Owner(process, 5, "00000000")) is None


def test_a_system_without_start_times_still_names_owners(monkeypatch, tmp_path):
    monkeypatch.setattr(owners, "_PROC", tmp_path / "absent")
    owners._this_place.cache_clear()
    try:
        here = this_process()
        assert here.start == 0 and is_alive(here) is True and len(here.place) == 8
    finally:
        owners._this_place.cache_clear()
