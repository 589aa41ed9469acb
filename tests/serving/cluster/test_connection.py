"""A cluster that cannot be reached, and a Ray that is not installed, are one sentence each."""

import os
import socket
import sys
from types import SimpleNamespace

import pytest

from spair.runtime.errors import UserError
from spair.serving.cluster.connection import connect, list_nodes, load_ray
from spair.serving.cluster.placement import Node


class Double:
    """Ray's functions for connections, which note their calls."""

    def __init__(self, *, connected=False, failure=None):
        self.connected, self.failure, self.calls = connected, failure, []

    def is_initialized(self):
        return self.connected

    def init(self, **options):
        self.calls.append(("init", options["address"]))
        if self.failure is not None:
            raise self.failure

    def shutdown(self):
        self.calls.append(("shutdown",))


@pytest.fixture
def double(monkeypatch):
    def put(**options):
        made = Double(**options)
        monkeypatch.setattr("spair.serving.cluster.connection.load_ray", lambda: made)
        return made

    return put


def test_a_missing_ray_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(UserError, match=r"--ray needs the Python package ray.*pip install 'spair-rt\[ray\]'"):
        load_ray()


def test_ray_reports_to_nobody_unless_the_user_wants_it(monkeypatch):
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(data=None))
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    load_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    load_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"


def test_a_connection_ends_with_its_block_even_after_an_interrupt(double):
    ray = double()
    with pytest.raises(KeyboardInterrupt), connect("local"):
        raise KeyboardInterrupt
    assert ray.calls == [("init", "local"), ("shutdown",)]


def test_a_connection_of_the_caller_stays(double):
    ray = double(connected=True)
    with connect("auto") as found:
        assert found is ray
    assert ray.calls == []


@pytest.mark.parametrize(
    "failure", [ConnectionError("no cluster"), RuntimeError("of another version"), ValueError("x")]
)
def test_no_cluster_is_one_sentence(double, failure):
    double(failure=failure)
    match = rf"no Ray cluster answers at auto \({failure}\); start one with ray start"
    with pytest.raises(UserError, match=match), connect("auto"):
        pass


def test_a_port_where_nobody_listens_is_told_at_once(double):
    ray = double()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no Ray cluster answers at {address} .*refused"), connect(address):
            pass
    assert ray.calls == []


def test_nodes_that_are_lost_do_not_count():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0, "memory": 5.0}},
        {"Alive": False, "Resources": {}},
        {"Alive": True, "Resources": {}},
    ]
    assert list_nodes(SimpleNamespace(nodes=lambda: nodes)) == [Node(4.0, 1.0), Node(0.0, 0.0)]
