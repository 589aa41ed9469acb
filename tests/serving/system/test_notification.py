"""Messages reach a socket as systemd opens it, and nothing happens where there is none."""

import asyncio
import os
import socket

import pytest

from spair.serving.system.notification import ALIVE, READY, STOPPING, ServiceManager


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    """A socket, and the variables that name it."""
    name = f"@spair-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind("\0" + name[1:] if name.startswith("@") else name)
        door.settimeout(60)
        yield door, {"NOTIFY_SOCKET": name}


def test_messages_arrive(manager):
    door, variables = manager
    ServiceManager(variables).tell(READY)
    ServiceManager(variables).tell(STOPPING)
    assert [door.recv(99).decode() for _ in range(2)] == ["READY=1", "STOPPING=1"]


def test_signs_of_life_come_while_the_loop_turns(manager):
    door, variables = manager
    door.setblocking(False)

    async def live():
        service = ServiceManager({**variables, "WATCHDOG_USEC": "2000"})
        task = asyncio.ensure_future(service.stay_alive())
        for _ in range(3):
            assert await asyncio.get_running_loop().sock_recv(door, 99) == ALIVE.encode()
        task.cancel()

    asyncio.run(asyncio.wait_for(live(), 60))


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_signs_are_given_where_they_are_expected(variables, interval):
    assert (ServiceManager({"NOTIFY_SOCKET": "/x", **variables}).interval or None) == interval
    assert ServiceManager(variables).interval is None, "nobody listens"


def test_without_a_service_manager_nothing_happens(tmp_path):
    ServiceManager({}).tell(READY)
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "absent")}).tell(READY)
    asyncio.run(asyncio.wait_for(ServiceManager({}).stay_alive(), 60))
