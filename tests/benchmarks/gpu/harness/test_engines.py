"""Engines are built and opened as the product does, and why that is not possible is a sentence."""

import pytest

from benchmarks.gpu.harness import engines
from benchmarks.gpu.harness.engines import BUNDLE, LIBRARY, find_bundle, find_reason, open_alone, open_sparse
from spair.runtime.errors import UserError
from tests.gpu.conftest import OPTIONS
from tests.runtime.engine.pictures import draw


def test_on_a_gpu_with_all_packages_there_is_no_reason(machine):
    assert find_reason() is None


def test_without_a_gpu_the_driver_is_named(machine, gpu):
    gpu.set(devices=0)
    assert "driver" in find_reason()


def test_without_tensorrt_both_packages_are_named(machine, monkeypatch):
    monkeypatch.setattr("spair.export.engines.local._DISTRIBUTIONS", {"tensorrt_of_nobody": ""})
    assert "builds engines with TensorRT or TensorRT-RTX, and neither is installed" in find_reason()


def test_without_triton_a_library_has_to_be_named(machine, monkeypatch):
    monkeypatch.setattr(engines, "advise_library", lambda target, model: "no Triton")
    assert find_reason() is None
    monkeypatch.delenv(LIBRARY)
    assert "let $SPAIR_GPU_LIBRARY name a libspair_plugins.so" in find_reason()


def test_without_a_package_for_the_driver_both_are_named(machine, monkeypatch):
    monkeypatch.setattr(engines, "no_cuda", lambda: "neither pycuda nor cuda.bindings is installed")
    assert find_reason() == "neither pycuda nor cuda.bindings is installed"


def test_the_bundle_of_the_variable_is_taken(monkeypatch, tiny_bundle):
    monkeypatch.setenv(BUNDLE, str(tiny_bundle))
    assert find_bundle() == tiny_bundle


def test_a_bundle_gets_engines_of_this_gpu_and_stays_as_it_is(machine, built):
    assert "local" not in engines.Bundle.open(find_bundle()).manifest.targets
    entries = built.get("fp16").manifest.targets["local"]["engines"]
    assert list(entries) == ["fp16"] and set(entries["fp16"]["parts"]) == {"net_l", "net_r"}
    with open_sparse(built.get("fp32"), "fp32") as engine:
        assert engine.run({"image": draw(20, 30)[None]})["mask"].shape == (1, 20, 30)


@pytest.mark.parametrize("sparse", [True, False], ids=["plugins", "bodies"])
def test_an_engine_alone_has_the_plugins_that_are_asked_for(machine, built, sparse):
    bundle = built.get("fp32")
    library = bundle.file(bundle.manifest.targets["local"]["library"]) if sparse else None
    with open_alone(bundle, "fp32", OPTIONS, library) as engine:
        assert engine.largest["image"] == (2, 48, 64, 3)
        assert engine.run({"image": draw(20, 30)[None]})["mask"].shape == (1, 20, 30)
    assert machine.jobs[-1]["library"] == (str(library) if sparse else None)


def test_what_the_builder_refuses_leaves_nothing_behind(machine, built, monkeypatch):
    monkeypatch.setattr("spair.export.engines.builder.run_worker", lambda *given: {"error": "no such layer"})
    refused = pytest.raises(UserError, match="builds no engine from .*fp32.onnx: no such layer")
    with refused, open_alone(built.get("fp32"), "fp32", OPTIONS):
        pass
