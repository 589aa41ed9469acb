"""A real server tells the service manager that it is ready, alive and ending."""

from __future__ import annotations

import os
import socket
import threading

from tests.serving.process import served


def test_the_server_is_ready_alive_and_ending(tiny_bundle, tmp_path):
    name, messages = str(tmp_path / "notify"), []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(name)

        def listen() -> None:
            while (message := door.recv(99)) != b"end":
                messages.append(message.decode())

        thread = threading.Thread(target=listen)
        thread.start()
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"}
        with served(tiny_bundle, environment={**os.environ, **environment}) as server:
            assert server.ready["models"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", name)
        thread.join()
    assert messages.count("READY=1") == messages.count("STOPPING=1") == 1
    assert messages[0] == "WATCHDOG=1" and messages.count("WATCHDOG=1") > 2
    assert messages.index("READY=1") < messages.index("STOPPING=1")
