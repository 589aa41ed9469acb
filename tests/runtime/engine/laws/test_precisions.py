"""Engines of fewer bits, picture to picture, equal ONNX Runtime on the same graphs."""

import copy

import numpy as np
import pytest

from spair.calibration.conversion.convert import ConvertPrecision
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.variants import Variant
from spair.runtime import Restorer
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.engine.opening import PARTS
from tests.runtime.contract import Subject, check
from tests.runtime.engine.conftest import make_plans
from tests.runtime.engine.pictures import draw

SCALE = 0.03125
"""Scale of every INT8 tensor, which covers values up to 4: any will do to compare two runtimes."""


SLACK = {"fp16": {}, "int8": {"step": 255 * SCALE + 1, "flipped": 0.01}}
"""The graph of the whole network rounds sums of floats in another order than those of its parts. Where a value lies
between two INT8 steps, that makes a whole step of it."""


@pytest.fixture(params=["fp16", "int8"])
def subject(request, engine_bundles, write_plan):
    """Engines and graphs of one precision in one bundle."""
    precision, bundle = request.param, engine_bundles.copy()
    network = Variant(bundle, threads=1)
    layers = {layer.name: precision for layer in network.layers}
    scales = {use.key: SCALE for layer in network.layers for use in layer.uses}
    models = {part: copy.deepcopy(network.models[part]) for part in ("model", *PARTS)}
    for part, model in models.items():
        ConvertPrecision(PrecisionPlan(layers, "fp16", scales), part)(model)
    names = {part: f"graphs/{precision}/{part}.onnx" for part in models}
    files = {names[part]: model.SerializeToString() for part, model in models.items()}
    bundle = extend_bundle(bundle, {"graphs": {precision: names}}, files)
    bundle = engine_bundles.add(bundle, make_plans(models, write_plan), precision=precision)

    def open_restorer():
        return Restorer.open(bundle.path, backend="tensorrt", precision=precision)

    with Restorer.open(bundle.path, backend="onnxruntime", precision=precision, threads=1) as reference:
        yield Subject(open_restorer, reference, "tensorrt", **SLACK[precision])


@pytest.mark.parametrize("size", [(1, 1), (24, 32), (37, 53), (49, 65), (130, 90)])
def test_pictures_equal_those_of_the_graphs(subject, size):
    """Sizes within the engine, and above it through the parts."""
    picture = draw(*size)
    with subject.open() as restorer:
        check(subject, restorer(picture), subject.reference(picture), picture)


def test_given_masks_and_floats(subject):
    picture, mask = draw(30, 41, dtype=np.float32), np.random.default_rng(5).random((30, 41)) < 0.3
    with subject.open() as restorer:
        check(subject, restorer(picture), subject.reference(picture), picture)
        check(subject, restorer(picture, mask=mask), subject.reference(picture, mask=mask), picture)
