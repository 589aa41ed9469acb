"""The suite of all backends, on those that run graphs."""

import pytest

from spair.runtime import Restorer
from spair.runtime.backends.registry import BACKENDS
from spair.runtime.shipped import resolve_model
from tests.runtime.contract import *  # noqa: F403
from tests.runtime.contract import Subject


@pytest.fixture(scope="module")
def reference():
    with Restorer.open(resolve_model("rain"), backend="onnxruntime", threads=1, tile_path="dense") as restorer:
        yield restorer


@pytest.fixture(scope="module", params=BACKENDS, ids=lambda backend: backend.name)
def subject(request, reference):
    """Backend of the registry."""
    reason = request.param.unavailable()
    if reason:
        pytest.skip(f"the backend {request.param.name} is not available: {reason}")

    def open_restorer(**options):
        return Restorer.open(resolve_model("rain"), backend=request.param.name, threads=1, **options)

    return Subject(open_restorer, reference, request.param.name)


@pytest.fixture(scope="module")
def restorer(subject):
    """One restorer for all pictures, whatever it restored before."""
    with subject.open() as opened:
        yield opened
