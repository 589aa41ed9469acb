"""Fixtures for the backend of own kernels."""

import shutil

import numpy as np
import onnx
import pytest

from spair.calibration.conversion.convert import convert
from spair.calibration.conversion.layers import find_layers
from spair.calibration.conversion.plan import PrecisionPlan
from spair.calibration.conversion.weights import half_scale
from spair.export.rows.bundle import describe_rows
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.cpu.library.compiling import find_compiler
from tests.plugins.cpu.machine import library  # noqa: F401


@pytest.fixture(scope="session")
def compiler() -> str:
    """The compiler that the kernels are compiled with."""
    found = find_compiler()
    if found is None:
        pytest.skip("a C++ compiler is not installed")
    return found


@pytest.fixture
def pool(library):  # noqa: F811
    """Two threads."""
    opened = library.open_pool(2)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def int8_bundle(tiny_bundle, tmp_path_factory):
    """The tiny bundle with graphs and a row program in which most layers are int8, with made-up ranges."""
    copy = tmp_path_factory.mktemp("int8") / "rain-tiny.spair"
    shutil.copytree(tiny_bundle, copy)
    bundle = Bundle.open(copy)
    models = {part: onnx.load(bundle.graph("fp32", part)) for part in ("net_l", "net_r")}
    layers = find_layers(models)
    random = np.random.default_rng(8)
    scales = {use.key: half_scale(random.uniform(1.0, 3.0)) for layer in layers for use in layer.uses}
    kept = (
        "net_l.encode_half.second",
        "net_l.up_half",
        "net_r.lateral_half",
        "net_r.snl.value",
        "net_r.scm.1.pairs.0.first",
    )
    plan = PrecisionPlan({layer.name: "fp16" if layer.name in kept else "int8" for layer in layers}, "fp16", scales)
    graphs = {part: convert(model, plan, part)[0] for part, model in models.items()}
    fields, files = describe_rows(graphs, bundle, "int8")
    paths = {part: f"graphs/int8/{part}.onnx" for part in graphs}
    files |= {paths[part]: graph.SerializeToString() for part, graph in graphs.items()}
    extend_bundle(bundle, {**fields, "graphs": {"int8": paths}}, files)
    return copy
