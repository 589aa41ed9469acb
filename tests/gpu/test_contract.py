"""The suite of all backends, on engines of a real GPU; it has run on an emulated GPU only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.gpu.harness.precisions import make_twins
from spair.calibration.variants import Variant
from spair.export.engines.gate.check import NOISE
from spair.export.engines.gate.differences import FREE, REACH, Differences, list_limits, measure
from spair.export.engines.local import LOCAL
from spair.runtime import Restorer
from spair.runtime.bundle.engine_key import read_key
from tests.gpu.conftest import PRECISIONS, Built
from tests.runtime.contract import *  # noqa: F403
from tests.runtime.contract import Subject
from tests.runtime.engine.pictures import draw

pytestmark = pytest.mark.gpu

DRAWN = (
    *((*size, seed) for size in ((37, 53), (48, 64), (100, 75)) for seed in range(3)),
    *((20 + 3 * seed, 32, seed) for seed in range(8)),
)
"""Height, width and seed of the pictures of which the tolerances of FP16 are derived; the suite has them too."""
FEW = 4
"""Pixels whose masks may always differ: how many lie on the edge is chance where a picture is small."""
ONE_PATH = "engines have one path only"


def derive_limits(built: Built, precision: str) -> dict[str, float]:
    """Derive the differences that engines may have.

    FP32 engines may be off by the tolerance of the export, which is less than a step of 8 bits. Those of fewer bits may
    differ from FP32 by twice as much as graphs on the CPU do that round as a GPU does.
    """
    if precision == "fp32":
        return {"unequal": FREE["unequal"], "worst": FREE["worst"] + 255 * NOISE}
    bundle = built.get(precision)
    network = Variant(bundle, threads=1)
    worst = Differences(0.0, 0.0, 0.0, 0, 0)
    with network.opened(make_twins(bundle, precision)) as graphs:
        twin = network.restorer(graphs)
        for drawn in DRAWN:
            found, expected = (run(draw(*drawn)) for run in (twin, built.reference))
            natural = measure((found.image, found.mask), (expected.image, expected.mask), gated=True)
            most = {name: max(getattr(worst, name), getattr(natural, name)) for name in ("unequal", "worst")}
            worst = replace(worst, **most)
    return list_limits(worst, 64 * 48, given=False)


@pytest.fixture(scope="session", params=PRECISIONS)
def subject(request: pytest.FixtureRequest, built: Built) -> Subject:
    """Engines of one package and precision, within derived tolerances."""
    bundle, limits = built.get(request.param), derive_limits(built, request.param)

    def open_restorer(**options: object) -> Restorer:
        return Restorer.open(bundle.path, backend="tensorrt", precision=request.param, trust_code=True, **options)

    return Subject(
        open_restorer,
        built.reference,
        "tensorrt",
        step=limits["worst"],
        flipped=limits["unequal"],
        few=FEW,
        reach=REACH,
        refusals={"tile_path=dense": ONE_PATH, "tile_path=packed": ONE_PATH},
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_engines_are_those_of_the_package(built, precision):
    bundle = built.get(precision)
    (entry,) = bundle.manifest.targets[LOCAL]["engines"].values()
    entries = [entry, *entry["parts"].values()]
    keys = [read_key(bundle.file(one["key"]).read_text(), one["key"]) for one in entries]
    assert [key.part for key in keys] == ["model", "net_l", "net_r"]
    assert {(key.builder, key.precision) for key in keys} == {(built.package, precision)}
    assert bundle.file(entry["gate"]).is_file()
