"""Fixtures that run the real Triton on a repository of `spair repository`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving.triton.server import RunningServer, running
from tests.serving.triton.setup import SetupError, find_packages

USUAL = (96, 64)
PIXELS = 300_000
"""Largest number of pixels of a picture file in the tests."""


@dataclass(frozen=True)
class TritonServer:
    """Real Triton, ready, on a repository for the CPU."""

    http_address: str
    """HOST:PORT."""
    grpc_address: str
    """HOST:PORT."""
    repository: Path
    """Folder that `spair repository` wrote; its models are in the folder "models"."""
    name: str
    """Name of the model; NAME_bytes takes picture files."""
    graph: Path
    """The served ONNX file that the server computes with."""
    report: dict[str, Any]
    """Report of `spair repository`."""
    running: RunningServer


@pytest.fixture(scope="session")
def triton_packages() -> Path:
    """The server's packages; tests that need the server skip where they cannot be had."""
    try:
        return find_packages()
    except SetupError as error:
        pytest.skip(f"no real Triton: {error}")


@pytest.fixture(scope="session")
def triton_server(
    triton_packages: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """Real Triton on `tiny_bundle`; shared by the whole session, so tests leave its models alone."""
    from spair.serving.repository.settings import Settings
    from spair.serving.repository.write import write_repository

    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    settings = Settings(usual=USUAL, pixels=PIXELS, threads=1)
    report = write_repository({"rain-tiny": tiny_bundle}, repository, settings)
    (folder / "work").mkdir()
    with running(report["command"], folder / "work") as server:
        graph = repository / "models" / "rain-tiny" / "1" / "model.onnx"
        yield TritonServer(server.http_address, server.grpc_address, repository, "rain-tiny", graph, report, server)
