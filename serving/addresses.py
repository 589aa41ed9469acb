"""Addresses to listen on, and the files of TLS."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import UserError


@dataclass(frozen=True)
class Address:
    """Address of an interface, as numbers."""

    host: str
    family: socket.AddressFamily

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    def name(self, port: int) -> str:
        """Write the address with a port, as in URLs."""
        return f"[{self.host}]:{port}" if self.family == socket.AF_INET6 else f"{self.host}:{port}"


@dataclass(frozen=True)
class TlsFiles:
    """Certificate and private key, in PEM."""

    certificate: Path
    key: Path

    def load(self) -> ssl.SSLContext:
        """Load both for the HTTP door.

        Raises:
            UserError: a file cannot be read, or the key does not fit the certificate.
        """
        self.read()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key, password=self._refuse_password)
        except (ssl.SSLError, OSError) as error:
            raise UserError(
                f"cannot use the certificate {self.certificate} with the key {self.key}: "
                f"{' '.join(str(error).split())}; give a certificate and its own private key, both in PEM"
            ) from error
        return context

    def read(self) -> tuple[bytes, bytes]:
        """Read the content of the certificate and of the key.

        Raises:
            UserError: a file cannot be read.
        """
        contents = []
        for option, file in (("--cert", self.certificate), ("--key", self.key)):
            try:
                contents.append(file.read_bytes())
            except OSError as error:
                raise UserError(
                    f"cannot read {file} of {option}: {error.strerror or error}; give a PEM file"
                ) from error
        return contents[0], contents[1]

    def _refuse_password(self) -> str:
        raise UserError(
            f"the key {self.key} is encrypted, and nobody is there to type a password; give one that is not"
        )


def resolve_host(host: str) -> Address:
    """Find the address of a host's name or numbers.

    Raises:
        UserError: there is none.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(
            f"cannot find the address of the host {host!r}: {error}; give an address of this machine"
        ) from error
    return Address(str(place[0]), socket.AddressFamily(family))


def bind_socket(address: Address, port: int, option: str) -> socket.socket:
    """Bind a listening socket before any long work.

    Args:
        address: address of an interface.
        port: port; 0 for a free one.
        option: name of the option that the port came from.

    Raises:
        UserError: the port is in use, or this machine has no such address.
    """
    # With the protocol named: else asyncio leaves TCP_NODELAY off, and answers wait 40 ms for an acknowledgement.
    bound = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, port))
        bound.listen()  # until then another process may bind the port as well
    except OSError as error:
        bound.close()
        raise UserError(
            f"cannot listen on {address.name(port)}: {error.strerror or error}; "
            f"give another {option}, or 0 for a free one"
        ) from error
    return bound
