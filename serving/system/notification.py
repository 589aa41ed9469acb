"""Messages to systemd, which starts, watches and ends the server.

They are datagrams on the socket that systemd names, see its manual page sd_notify(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


class ServiceManager:
    """Service manager that started this process, if any did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read where messages go, and how often one is expected.

        Args:
            environment: environment variables of this process.
        """
        self._place = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.interval = int(microseconds) / 2e6 if microseconds.isdigit() and watched and self._place else None
        """Seconds between two signs of life, half of those after which systemd acts; None: none is expected."""

    def tell(self, message: str) -> None:
        """Send a message.

        Without a service manager, or when it does not listen, nothing happens.
        """
        if not self._place:
            return
        address = "\0" + self._place[1:] if self._place.startswith("@") else self._place
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(message.encode(), address)

    async def stay_alive(self) -> None:
        """Give signs of life while the event loop turns."""
        while self.interval:
            self.tell(ALIVE)
            await asyncio.sleep(self.interval)
