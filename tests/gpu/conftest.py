"""Fixtures of the tests that need an NVIDIA GPU; all of them skip, with the reason, where there is none."""

from collections.abc import Iterator

import pytest

from benchmarks.gpu.harness.engines import Setup, find_reason, make_setup


@pytest.fixture(scope="session")
def setup_on_gpu() -> Iterator[Setup]:
    """The shipped checkpoint's bundle and the plugin library for this GPU."""
    reason = find_reason()
    if reason is not None:
        pytest.skip(reason)
    with make_setup() as setup:
        yield setup
