"""The suite of all backends, on kernels of our own."""

import pytest

from spair.export.engines.gate.differences import REACH
from spair.runtime import Restorer
from tests.runtime.contract import *  # noqa: F403
from tests.runtime.contract import Subject


@pytest.fixture(scope="module")
def reference(tiny_bundle):
    with Restorer.open(tiny_bundle, backend="onnxruntime", threads=1, tile_path="dense") as restorer:
        yield restorer


@pytest.fixture(scope="module", params=[1, 2], ids=lambda threads: f"{threads} threads")
def subject(request, reference, tiny_bundle, compiler):
    """Kernels with one and with two threads."""

    def open_restorer(**options):
        return Restorer.open(tiny_bundle, backend="cpu", threads=request.param, **options)

    refusals = {"tile_path=dense": "computes rows only"}
    # On some processor a logit may lie on the threshold, where the order of sums decides on a pixel of the mask.
    return Subject(open_restorer, reference, "cpu", few=1, reach=REACH, refusals=refusals)


@pytest.fixture(scope="module")
def restorer(subject):
    """One restorer for all pictures, whatever it restored before."""
    with subject.open() as opened:
        yield opened
