"""The engines of the runtime's own tests, on the emulated GPU, and made-up times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.cuda.marks import RunTimes
from spair.runtime.engine.network import EngineNetwork
from spair.runtime.engine.opening import open_engines
from tests.runtime.engine.conftest import *  # noqa: F403


@pytest.fixture
def network(engine_bundle: Bundle) -> Iterator[EngineNetwork]:
    """Network on the engines, closed at the end."""
    with closing(open_engines(engine_bundle, "fp32").open_network()) as made:
        yield made


def make_run(start: float = 0.0, h2d: float = 1.0, compute: float = 4.0, d2h: float = 0.5) -> RunTimes:
    """Return the times of a plain run, whose host takes a quarter of a millisecond."""
    ends = [start, start + h2d, start + h2d + compute, start + h2d + compute + d2h]
    return RunTimes((start, start + 0.25), (ends[0], ends[3]), *itertools.pairwise(ends))


def make_replay(start: float = 0.0, total: float = 5.0) -> RunTimes:
    """Return the times of a replayed graph."""
    return RunTimes((start, start + 0.125), (start, start + total))
