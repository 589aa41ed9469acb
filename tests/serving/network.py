"""Free ports and certificates of localhost."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from spair.serving.addresses import TlsFiles


def find_ports(count: int) -> list[int]:
    """Find ports of the loopback device that are free now, each another one."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in found]


def make_certificate(folder: Path, name: str) -> TlsFiles:
    """Make a certificate for localhost and its key, or skip the test."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return TlsFiles(certificate, key)
