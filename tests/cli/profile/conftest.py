"""The engines of the runtime's own tests, on the emulated GPU, and no meter but those that a test gives."""

import pytest

from spair.runtime.profiling.energy import report
from tests.runtime.engine.conftest import *  # noqa: F403


@pytest.fixture(autouse=True)
def no_meters(monkeypatch):
    """As if no meter of this machine could be read."""
    monkeypatch.setattr(report, "find_meters", lambda place: ([], ["no counter here"]))
