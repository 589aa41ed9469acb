"""Free ports and certificates of localhost."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from spair.serving.addresses import TlsFiles

PORTS = range(10_000, 30_000)
"""Ports below those that systems hand out themselves, to clients and for port 0."""
_NUMBERS = itertools.count(101 * os.getpid())


def find_ports(count: int) -> list[int]:
    """Find ports of the loopback device that are free, each another one.

    A program opens them later, so they are none that the system could give to somebody else meanwhile, and tests of
    another process get others.
    """
    found: list[int] = []
    while len(found) < count:
        port = PORTS[next(_NUMBERS) % len(PORTS)]
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


def make_certificate(folder: Path, name: str) -> TlsFiles:
    """Make a certificate for localhost and its key, or skip the test."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return TlsFiles(certificate, key)
