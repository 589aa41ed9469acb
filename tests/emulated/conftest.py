"""Fixtures for the tests of the emulation itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.emulated.driver.gpu import EmulatedGPU
from tests.emulated.fixtures import *  # noqa: F403
from tests.emulated.runner.device import Device
from tests.emulated.setup.opening import Setup


@pytest.fixture
def device(gpu: EmulatedGPU, clean_gpu: None) -> Iterator[Device]:
    """Primary context by pycuda."""
    made = Device()
    yield made
    made.close()


@pytest.fixture(scope="session")
def setup(trt: ModuleType, write_plan: Callable[..., bytes]) -> Setup:
    """Plan, pictures and results."""
    return Setup(trt, write_plan)
