"""Figures of the long run."""

import json
import os
from pathlib import Path

import pytest

from tests.faults.tally import read_tally


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was injected to the file that $SPAIR_FAULTS names."""
    name = os.environ.get("SPAIR_FAULTS", "")
    if name.endswith(".json"):
        Path(name).write_text(json.dumps({"faults": read_tally(), "failures": session.testsfailed}, indent=1) + "\n")
