"""Drivers of both packages on the emulated GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spair.runtime.cuda import Cuda, open_cuda
from tests.emulated.fixtures import *  # noqa: F403


@pytest.fixture(params=["pycuda", "cuda.bindings"])
def cuda(request: pytest.FixtureRequest, gpu: object) -> Iterator[Cuda]:
    """Driver with its context current."""
    if request.param == "cuda.bindings":
        pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    driver = open_cuda(request.param)
    with driver.current():
        yield driver
