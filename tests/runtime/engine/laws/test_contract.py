"""The suite of all backends, on engines of the emulated GPU."""

import pytest

from spair.runtime import Restorer
from spair.runtime.cuda.driver import PACKAGES
from tests.runtime.contract import *  # noqa: F403
from tests.runtime.contract import Subject

pytestmark = pytest.mark.sampled(2)


@pytest.fixture(params=["pycuda", "cuda.bindings"])
def subject(request, engine_bundle, reference, monkeypatch):
    """Engines of the double, through both packages of the driver; the double computes by ONNX Runtime."""
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    monkeypatch.setattr("spair.runtime.cuda.driver.PACKAGES", {request.param: PACKAGES[request.param]})

    def open_restorer(**options):
        return Restorer.open(engine_bundle.path, backend="tensorrt", **options)

    one_path = "engines have one path only"
    return Subject(
        open_restorer, reference, "tensorrt", refusals={"tile_path=dense": one_path, "tile_path=packed": one_path}
    )
