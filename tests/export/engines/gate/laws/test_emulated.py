"""A whole build for this machine on the emulated GPU: its graphs, shapes and keys are what the runtime runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from spair.export.engines import packages as engine_packages
from spair.export.engines import parts
from spair.export.engines import target as engine_target
from spair.export.engines.builder import Engine
from spair.export.engines.gate import staging
from spair.export.engines.options import EngineOptions
from spair.export.engines.target import build_target
from spair.plugins.compiler.build import take_library
from spair.runtime import Bundle, Restorer
from spair.runtime.errors import GateError
from spair.runtime.trust import list_trusted
from tests.plugins.conftest import HOST_TARGET, kernel_settings, plugins  # noqa: F401
from tests.runtime.engine.conftest import *  # noqa: F403
from tests.runtime.engine.conftest import AnyLibrary

SMALL = EngineOptions((64, 48), (96, 72))


@pytest.fixture
def machine(trt, world, write_plan, shipped, tmp_path, monkeypatch) -> Path:
    """A bundle, on a machine whose builder writes plans of the double, and whose gate runs in this process."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(world, "libraries", AnyLibrary())
    monkeypatch.setattr(engine_packages, "read_version", lambda package, name: trt.__version__)
    # The library has kernels for the GPU of the tests; the emulated one has another capability, and runs none.
    monkeypatch.setattr(engine_target, "take_library", lambda path, target: take_library(path, HOST_TARGET))

    def build(graph, library, target, options, *, profile, **more):
        shapes = {name: tuple(map(tuple, three)) for name, three in profile.items()}
        return Engine(write_plan(onnx.load(graph), [shapes]), 9, 3)

    def run(bundle, options, package, samples, **more):
        answers = []
        with Restorer.open(bundle, **options) as restorer:
            for sample in samples:
                result = restorer(sample.picture, mask=sample.mask)
                answers.append((result.image, result.mask))
        return answers

    monkeypatch.setattr(parts, "build_engine", build)
    monkeypatch.setattr(staging, "run_in_child", run)
    return Path(shutil.copytree(shipped, tmp_path / "rain.spair"))


def test_engines_of_a_build_restore_as_the_cpu_does(machine, plugins, gpu):  # noqa: F811
    report = build_target(machine, "local", SMALL, library=plugins.path)
    assert len(report["gate"]["fp32"]["samples"]) == 9 and report["notes"] == []
    worst = [sample["found"]["worst"] for sample in report["gate"]["fp32"]["samples"]]
    assert max(worst) <= 1
    opened = Bundle.open(machine)
    assert set(opened.manifest.targets) == {"local"}
    with Restorer.open(machine, backend="tensorrt") as restorer:  # without trust_code: the build has trusted it
        assert restorer.has_mask


def test_an_engine_with_one_wrong_weight_is_refused_and_not_trusted(machine, plugins, gpu, monkeypatch):  # noqa: F811
    build = parts.build_engine

    def spoil(graph, *given, **more):
        model = onnx.load(graph)
        for tensor in model.graph.initializer:
            if "net_r.out.weight" in tensor.name:
                tensor.raw_data = bytes(len(tensor.raw_data))
        onnx.save(model, graph)
        return build(graph, *given, **more)

    monkeypatch.setattr(parts, "build_engine", spoil)
    before = (machine / "manifest.json").read_bytes()
    with pytest.raises(GateError, match="the fp32 engine does not restore the picture .* as ONNX Runtime does"):
        build_target(machine, "local", SMALL, library=plugins.path)
    assert (machine / "manifest.json").read_bytes() == before
    assert list_trusted() == {}
    monkeypatch.setattr(parts, "build_engine", build)
    report = build_target(machine, "local", SMALL, library=plugins.path)
    assert report["estimate"]["cached"] == 0, "the wrong engine is not taken from the cache"
