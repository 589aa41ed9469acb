"""A bundle that TensorRT-RTX built is restored through NVIDIA's bindings, on the emulated GPU.

`spair build` runs in a process of its own, since a process can have one package `tensorrt_rtx`: there the whole one,
here the bindings alone. The emulated GPU knows each plan by its hash, and computes the graph that it was built from.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from spair.export.engines.parts import prepare_part
from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.targets import find_target
from spair.runtime import Restorer, UserError
from spair.runtime.bundle.engine_key import EngineKey, read_key
from spair.runtime.bundle.reader import Bundle
from spair.runtime.engine import opening
from spair.runtime.engine.errors import EngineError
from spair.runtime.engine.plan import read_header
from tests.emulated.double.execution import OnnxExecutor
from tests.emulated.double.plan import Plan
from tests.emulated.fixtures import BINDINGS
from tests.emulated.setup.bindings_wheel import RELEASES
from tests.plugins.conftest import find_reason, kernel_settings  # noqa: F401
from tests.runtime.contract import *  # noqa: F403
from tests.runtime.contract import Subject
from tests.runtime.engine.pictures import draw

if os.environ.get(BINDINGS) != "rtx":
    pytest.skip(f"slow: make emulated BINDINGS=rtx runs it, which sets ${BINDINGS}", allow_module_level=True)

TARGET, PRECISION, LARGEST = "rtx", "fp32", "64x48"
PARTS = ("model", "net_l", "net_r")
BUILD = "from spair.cli.main import main; main()"


class CheckedLibraries:
    """Registry's side of the library that the bundle has; engines with plugins need it."""

    def __init__(self, library: bytes) -> None:
        self._library = library

    def load(self, path: str, log: object) -> object:
        return object() if Path(path).read_bytes() == self._library else None

    def executor(self, plan: Plan, handles: object) -> OnnxExecutor:
        return OnnxExecutor(plan.graph, 1)


def find_obstacle() -> str | None:
    """Say why TensorRT-RTX builds nothing here that the bindings take; None if it does."""
    release = RELEASES["rtx"]
    try:
        version = importlib.metadata.version("tensorrt-rtx-cu13")
    except importlib.metadata.PackageNotFoundError:
        return "TensorRT-RTX builds the engines: pip install 'spair-rt[rtx]'"
    if version != release.version:
        return f"TensorRT-RTX {version} is installed, and the bindings are those of {release.version}"
    return find_reason(find_target(TARGET))


@pytest.fixture(scope="module")
def built(shipped, kernel_settings, tmp_path_factory) -> Bundle:  # noqa: F811
    """The shipped network with the engines of `spair build --target rtx`; its kernels come from the tests' cache."""
    reason = find_obstacle()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("rtx")
    library = folder / "libspair_plugins.so"
    library.write_bytes(build_plugins(find_target(TARGET), kernel_settings).library)
    bundle = shutil.copytree(shipped, folder / "rain.spair")
    options = ["--target", TARGET, "--precision", PRECISION, "--usual-size", LARGEST, "--max-size", LARGEST]
    options += ["--optimization-level", "0", "--library", str(library), "--no-cache", "--json"]
    command = [sys.executable, "-c", BUILD, "build", str(bundle), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (engine,) = json.loads(done.stdout)["engines"]
    assert engine["plugin_layers"] > 0 and {"model", *engine["parts"]} == set(PARTS)
    return Bundle.open(bundle)


def find_files(bundle: Bundle, part: str) -> tuple[Path, EngineKey]:
    """Return the plan and the key of a part."""
    entry = bundle.manifest.targets[TARGET]["engines"][PRECISION]
    entry = entry if part == "model" else entry["parts"][part]
    return bundle.file(entry["engine"]), read_key(bundle.file(entry["key"]).read_text(), entry["key"])


def read_plan(bundle: Bundle, part: str) -> Plan:
    """Return what the builder got for a part, which its key names."""
    key = find_files(bundle, part)[1]
    graph = prepare_part(bundle.graph(PRECISION, part), part)
    assert hashlib.sha256(graph).hexdigest() == key.options["prepared"]
    profile = {name: tuple(map(tuple, shapes)) for name, shapes in key.options["profile"].items()}
    model = onnx.load_model_from_string(graph)
    return Plan(model, [profile], plugins=any(node.domain == "spair" for node in model.graph.node))


@pytest.fixture(autouse=True)
def emulated(gpu, trt, world, clean_gpu, built, monkeypatch):
    """The emulated GPU as a card of the target, with the bundle's plans and library."""
    gpu.set(sm=89)
    plans = {hashlib.sha256(find_files(built, part)[0].read_bytes()).hexdigest(): part for part in PARTS}
    monkeypatch.setattr(world, "plans", {digest: read_plan(built, part) for digest, part in plans.items()})
    library = built.file(built.manifest.targets[TARGET]["library"])
    monkeypatch.setattr(world, "libraries", CheckedLibraries(library.read_bytes()))
    return world


@pytest.fixture
def subject(built, reference):
    def open_restorer(**options):
        return Restorer.open(built.path, backend="tensorrt", trust_code=True, **options)

    one_path = "engines have one path only"
    return Subject(
        open_restorer, reference, "tensorrt", refusals={"tile_path=dense": one_path, "tile_path=packed": one_path}
    )


def test_the_plans_are_those_of_the_builder(built):
    for part in PARTS:
        plan, key = find_files(built, part)
        assert read_header(plan.read_bytes(), str(plan)).package == key.builder == "tensorrt_rtx"
        assert key.version == RELEASES["rtx"].version


def test_every_engine_runs(built, subject, monkeypatch):
    loaded, load = [], opening.EngineOpening.open

    def watch(own, stored, *more):
        loaded.append(stored)
        return load(own, stored, *more)

    monkeypatch.setattr(opening.EngineOpening, "open", watch)
    with subject.open() as restorer:
        picture = draw(40, 60)
        restorer(picture)
        restorer(picture, mask=picture[..., 0] > 150)
    assert [stored.key.part for stored in loaded] == list(PARTS)


def test_another_plan_is_not_known(emulated, subject, monkeypatch):
    monkeypatch.setattr(emulated, "plans", {})
    with pytest.raises(EngineError, match=r"TensorRT does not load .*rtx/fp32\.engine"):
        subject.open()


def test_a_gpu_of_another_target_is_refused(gpu, subject):
    gpu.set(sm=90)
    with pytest.raises(UserError, match=r"architectures is \(86, 89, 120\), expected "):
        subject.open()
