"""A server that gets twice what it can do refuses in time, keeps its memory, and never answers wrongly.

The default run takes eight seconds of load; `make overload` sets $SPAIR_LOAD_SECONDS to an hour.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from spair.runtime import Restorer
from tests.serving.fuzz.mutations import make_pixels
from tests.serving.load.generator import make_http_send, run_closed, run_open
from tests.serving.process import served

pytestmark = pytest.mark.early

SECONDS = float(os.environ.get("SPAIR_LOAD_SECONDS", "8"))
CLIENTS = 32
GROWTH_BYTES = 100 * 1024**2


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (1, 3, 160, 200), np.uint8)


def test_twice_the_capacity_gets_only_right_answers_and_refusals(tiny_bundle, image):
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        expected = restorer(np.ascontiguousarray(image[0].transpose(1, 2, 0))).image.transpose(2, 0, 1).tobytes()
    wire = make_pixels(tiny_bundle.name.removesuffix(".spair"), image).wire()
    with served(tiny_bundle, "--threads", "1", "--max-queue", "8") as server:

        def make_send():
            return make_http_send(server.http, wire.path, dict(wire.headers), wire.body, [expected])

        capacity = run_closed(make_send, clients=4, seconds=2.0)
        assert set(capacity.statuses) == {200}, capacity.problems
        memory, descriptors = server.measure_memory(), server.count_descriptors()
        # More connections than the queue has places, or the clients themselves would wait in line. Their requests come
        # together, since a machine that had other work while the capacity was measured may now keep up with the rate.
        report = run_open(make_send, rate=2 * capacity.rate, seconds=SECONDS, clients=CLIENTS, burst=CLIENTS)
        assert report.problems == []
        assert set(report.statuses) == {200, 503}, report.statuses
        assert report.statuses[200] > 10
        assert server.measure_memory() - memory < GROWTH_BYTES
        assert server.count_descriptors() <= descriptors + CLIENTS
        assert not [line for line in server.lines if "Traceback" in line]
        assert server.stop() == 0
