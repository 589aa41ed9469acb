"""End of a connection whose client is still sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """Transport that reads on after its end was written.

    Closing a socket with unread bytes makes the system reset the connection, and the client then loses the answer that
    it has not read yet. So where `is_sending` says that more is to come, `close` ends this side alone; what still comes
    goes to the protocol, which drops it and closes for good with `cut`. All else is passed to the real transport.
    """

    def __init__(
        self, transport: asyncio.Transport, *, is_sending: Callable[[], bool], begin: Callable[[], None]
    ) -> None:
        """Stand before a transport.

        Args:
            transport: the real one.
            is_sending: whether the client has not sent all that it began.
            begin: called when the transport begins to linger.
        """
        self._transport, self._is_sending, self._begin = transport, is_sending, begin
        self.is_lingering = False
        """Whether this side has ended and the other has not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close after what was written, or begin to linger."""
        if self.is_closing():
            return
        if not self._is_sending():
            self._transport.close()
            return
        self.is_lingering = True
        if self._transport.can_write_eof():  # TLS cannot; there the length of the answer tells its end
            self._transport.write_eof()
        self._transport.resume_reading()
        self._begin()

    def cut(self) -> None:
        """Close for good."""
        self._transport.close()
