"""What TensorRT refuses becomes an error in its own words."""

import logging
import sys

import numpy as np
import onnx
import pytest

from spair.runtime import UserError
from spair.runtime.bundle.reader import Bundle
from spair.runtime.cuda import open_cuda
from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.tensorrt import TensorRT, find_packages
from tests.runtime.engine.conftest import list_profile, name_package


@pytest.fixture
def package(trt, gpu):
    return TensorRT(name_package(trt))


@pytest.fixture
def engine(package, plans):
    with open_cuda("pycuda").current():
        yield package.open_runtime(None).load_engine(plans["model"], "x.engine")


def test_the_installed_packages_are_found(trt, gpu):
    assert name_package(trt) in find_packages()


def test_a_package_that_does_not_import_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UserError, match="cannot import tensorrt: .*; `spair doctor` says what is missing"):
        TensorRT("tensorrt")


def test_tensors_have_their_types_and_largest_shapes(engine):
    found = {tensor.name: (tensor.dtype, tensor.is_input, tensor.largest) for tensor in engine.tensors}
    assert found == {
        "image": (np.uint8, True, (1, 48, 64, 3)),
        "restored": (np.uint8, False, ()),
        "mask": (np.uint8, False, ()),
        "total": (np.float32, False, ()),
    }


def test_code_of_the_host_inside_engines_stays_off(package, monkeypatch, trt):
    made = []

    class Runtime(trt.Runtime):
        def __init__(self, log):
            super().__init__(log)
            self.engine_host_code_allowed = True
            made.append(self)

    monkeypatch.setattr(package._module, "Runtime", Runtime)
    package.open_runtime(None)
    assert made[0].engine_host_code_allowed is False


def test_a_library_that_does_not_load_is_refused(package, tmp_path):
    with pytest.raises(
        EngineError, match=rf"TensorRT {package.version} does not load the plugin library .*lib\.so: its log"
    ):
        package.open_runtime(tmp_path / "lib.so")


def test_every_runtime_has_libraries_of_its_own(package, tmp_path, monkeypatch, world):
    class Libraries:
        def load(self, path, log):
            return object()

    monkeypatch.setattr(world, "libraries", Libraries())
    for _ in range(2):  # one registry refuses the second
        package.open_runtime(tmp_path / "lib.so")


def test_an_engine_that_does_not_load_is_refused_in_its_words(package, plans):
    damaged = plans["model"][:60]
    with (
        open_cuda("pycuda").current(),
        pytest.raises(EngineError, match=r"does not load x\.engine: .*archive is damaged"),
    ):
        package.open_runtime(None).load_engine(damaged, "x.engine")


def test_an_engine_of_another_version_does_not_reach_tensorrt(package, plans):
    if package.package == "tensorrt_rtx":
        pytest.skip("engines of TensorRT-RTX do not say their version where it is known")
    other = plans["model"][:24] + bytes((10, 9, 0, 34)) + plans["model"][28:]
    with pytest.raises(UserError, match=rf"built by TensorRT 10\.9\.0, and {package.version} is installed"):
        package.open_runtime(None).load_engine(other, "x.engine")


def test_shapes_outside_of_the_engine_are_refused(engine):
    context = engine.make_context()
    with pytest.raises(EngineError, match=r"x\.engine takes no image of shape \(1, 49, 64, 3\): .*profile"):
        context.set_shape("image", (1, 49, 64, 3))
    context.set_shape("image", (1, 7, 9, 3))
    assert context.read_shape("mask") == (1, 7, 9)


def test_names_that_the_engine_does_not_have_are_refused(engine):
    with pytest.raises(EngineError, match=r"takes no address for other: .*other"):
        engine.make_context().set_address("other", 64)


def test_a_run_without_addresses_is_refused(engine):
    stream = open_cuda("pycuda").make_stream()
    with pytest.raises(EngineError, match=r"x\.engine does not run: .*not set"):
        engine.make_context().enqueue(stream.handle)
    stream.close()


def test_a_context_that_cannot_be_made_is_refused(engine, monkeypatch):
    monkeypatch.setattr(type(engine._engine), "create_execution_context", lambda *arguments: None)
    with pytest.raises(EngineError, match=r"makes no execution context for x\.engine"):
        engine.make_context()


def test_working_memory_grows_with_the_shapes(engine):
    context, sizes = engine.make_context(), []
    for shape in ((1, 1, 1, 3), (1, 24, 32, 3), (1, 48, 64, 3)):
        context.set_shape("image", shape)
        sizes.append(context.measure_scratch())
    assert 0 < sizes[0] < sizes[1] < sizes[2] == engine.scratch_size


def test_layers_are_described(engine):
    assert '"Layers"' in engine.describe_layers()


@pytest.mark.parametrize("detailed", [True, False])
def test_an_engine_says_whether_it_tells_more_than_names(package, shipped, write_plan, detailed):
    model = onnx.load(str(Bundle.open(shipped).graph("fp32", "model")))
    plan = write_plan(model, [list_profile(model, "model")], detailed=detailed)
    with open_cuda("pycuda").current():
        assert package.open_runtime(None).load_engine(plan, "x.engine").detailed is detailed


def test_the_inspector_is_told_the_shapes(engine, trt, monkeypatch):
    told, make = [], engine._engine.create_engine_inspector
    monkeypatch.setattr(type(engine._engine), "create_engine_inspector", lambda self: told.append(make()) or told[-1])
    context = engine.make_context()
    engine.describe_layers(context)
    assert told[0].execution_context is context._context
    told.clear()


def test_a_profiler_passes_the_times_on(engine):
    found = []
    engine.make_profiler(lambda name, ms: found.append((name, ms))).report_layer_time("conv", 0.5)
    assert found == [("conv", 0.5)]


def test_warnings_reach_the_log_of_python(package, caplog):
    log, severity = package._log, package._module.ILogger.Severity
    with caplog.at_level(logging.DEBUG, logger="spair.tensorrt"):
        log.log(severity.VERBOSE, "much")
        log.log(severity.WARNING, "beware")
        assert package.last_words() == "its log does not say why"
        log.log(severity.INTERNAL_ERROR, "of\n two lines")
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert package.last_words() == "of two lines"
