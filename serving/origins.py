"""Refusal of foreign web pages where no token is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from .errors import ForbiddenError


class Origins:
    """Check of the headers `Host` and `Origin`.

    A browser lets every web page send requests to this machine. Such a page cannot name a loopback address as its own
    origin; and where it made its own name stand for this machine, that name is in `Host`.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        """Name the server.

        Args:
            host: host that it listens on, as a name or an address; its own name is let in beside loopback names.
        """
        self._host = host.lower()

    def check(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Let a request in.

        Programs that are no browsers send no `Origin`, and may leave out `Host`.

        Args:
            hosts, origins: values of all headers of that name.

        Raises:
            ForbiddenError: the request is for another host, or comes from a page of another origin.
        """
        asked = {host.lower() for host in hosts if host}
        for host in asked:
            if not self._is_ours(host):
                raise ForbiddenError(
                    f"the request is for the host {host[:100]!r}, and without a token this server answers requests for "
                    "127.0.0.1 and localhost only; ask for one of them, or start the server with --token-file"
                )
        for origin in origins:
            if origin.partition("://")[2].lower() not in asked:
                raise ForbiddenError(
                    f"the request comes from a web page of {origin[:100]!r}, and without a token this server answers "
                    "its own page only; start the server with --token-file"
                )

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if name in ("localhost", self._host) or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False
