"""Graphs are rewritten and engines built on machines without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spair.export import operators

ROOM = Path(operators.__file__).parents[1]


@pytest.mark.parametrize("room", ["operators", "passes", "packed", "engines"])
def test_a_room_that_needs_no_torch_loads_none(room):
    modules = [f"spair.export.{room}.{path.stem}" for path in (ROOM / room).glob("[!_]*.py")]
    assert len(modules) > 1
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, env=os.environ.copy(), check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
