"""A bundle with engines of the double, on the emulated GPU."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from spair.export.passes.pixels import TakePixels
from spair.export.passes.threshold import ask_for_threshold
from spair.runtime import Restorer
from spair.runtime.bundle.engine_key import EngineKey
from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.engine.opening import PARTS
from spair.runtime.machine.gpu import find_device
from spair.runtime.shipped import resolve_model
from spair.runtime.trust import trust_bundle
from tests.emulated.double.world import World
from tests.emulated.fixtures import *  # noqa: F403

MOST = (48, 64)
"""Largest height and width of the engine of the whole network."""
MOST_PART = (512, 512)
"""Largest height and width of the engines of the parts."""
WritePlan = Callable[..., bytes]


class OneLibrary:
    """Registry's side of a plugin library that loads, and that no plan needs."""

    def load(self, path: str, log: object) -> object:
        return object() if Path(path).read_bytes() == b"library" else None

    def executor(self, plan: object, handles: object) -> None:
        return None


class AnyLibrary(OneLibrary):
    """Registry's side of a plugin library, whatever is in it."""

    def load(self, path: str, log: object) -> object:
        return object() if Path(path).is_file() else None


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of the shipped weights for rain."""
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPAIR_CACHE", str(folder))
        return resolve_model("rain")


@pytest.fixture(scope="session")
def plans(shipped: Path, write_plan: WritePlan) -> dict[str, bytes]:
    """Plan of each part."""
    bundle = Bundle.open(shipped)
    return make_plans({part: onnx.load(str(bundle.graph("fp32", part))) for part in ("model", *PARTS)}, write_plan)


def make_plans(models: dict[str, onnx.ModelProto], write_plan: WritePlan) -> dict[str, bytes]:
    """Make the plans of a network's graphs; the whole one then takes pixels, and Net_L a threshold."""
    TakePixels()(models["model"])
    if "net_l" in models:
        content = ask_for_threshold(models["net_l"].SerializeToString())
        models = {**models, "net_l": onnx.load_model_from_string(content)}
    return {part: write_plan(model, [list_profile(model, part)]) for part, model in models.items()}


def list_profile(model: onnx.ModelProto, part: str) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Return the least, usual and largest shape of each input."""
    sizes = [(1, 1), (24, 32), MOST] if part == "model" else [(8, 8), (64, 64), MOST_PART]
    profile = {}
    for value in model.graph.input:
        axes = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        profile[value.name] = tuple(tuple(measure(axis, size) for axis in axes) for size in sizes)
    return profile


def measure(axis: str | int, size: tuple[int, int]) -> int:
    """Return the size of an axis such as "height/2"."""
    if isinstance(axis, int):
        return axis
    name, _, divisor = axis.partition("/")
    return {"height": size[0], "width": size[1]}.get(name, 1) // int(divisor or 1)


def name_package(trt: ModuleType) -> str:
    """Return the name that the product imports."""
    return "tensorrt_rtx" if trt.__name__.startswith("tensorrt_rtx") else "tensorrt"


class EngineBundles:
    """Bundles with engines, made in a folder of the test's own."""

    def __init__(self, folder: Path, shipped: Path, plans: dict[str, bytes], package: str, version: str) -> None:
        self._folder, self._shipped, self._plans = folder, shipped, plans
        self._package, self._version = package, version

    def copy(self) -> Bundle:
        """Copy the shipped bundle into the test's folder."""
        return Bundle.open(shutil.copytree(self._shipped, self._folder / "rain.spair"))

    def make(
        self, *, parts: bool = True, target: str = "local", key: dict | None = None, trusted: bool = True
    ) -> Bundle:
        """Make a bundle whose engines fit the emulated GPU, but for the fields of `key`."""
        return self.add(self.copy(), self._plans, parts=parts, target=target, key=key, trusted=trusted)

    def add(
        self,
        bundle: Bundle,
        plans: dict[str, bytes],
        *,
        precision: str = "fp32",
        parts: bool = True,
        target: str = "local",
        key: dict | None = None,
        trusted: bool = True,
    ) -> Bundle:
        """Add engines to a bundle that has the graphs."""
        engine: dict = {}
        entry = {"library": f"plugins/{target}/lib.so", "engines": {precision: engine}}
        files = {f"plugins/{target}/lib.so": b"library"}
        for part in ("model", *(PARTS if parts else ())):
            names = {"engine": f"engines/{target}/{part}.engine", "key": f"engines/{target}/{part}.json"}
            files[names["engine"]] = plans[part]
            facts = {"target": target, "precision": precision, "part": part, **(key or {})}
            files[names["key"]] = self._make_key(bundle, facts).to_json().encode()
            place = engine if part == "model" else engine.setdefault("parts", {})
            place.update(names if part == "model" else {part: names})
        made = extend_bundle(bundle, {"targets": {target: entry}}, files)
        if trusted:
            trust_bundle(made.path)
        return made

    def _make_key(self, bundle: Bundle, facts: dict) -> EngineKey:
        device = find_device()
        usual = {
            "graph": bundle.manifest.files[bundle.manifest.graphs[facts["precision"]][facts["part"]]],
            "library": hashlib.sha256(b"library").hexdigest(),
            "builder": self._package,
            "version": self._version,
            "machine": platform.machine(),
            "architectures": (device.architecture,),
            "device": str(device),
            "driver": ".".join(map(str, device.driver)),
        }
        return EngineKey(**{**usual, **facts})


@pytest.fixture
def engine_bundles(
    tmp_path: Path,
    shipped: Path,
    plans: dict[str, bytes],
    trt: ModuleType,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> EngineBundles:
    """Maker of bundles with engines; the list of what is trusted is the test's own."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(world, "libraries", OneLibrary())
    return EngineBundles(tmp_path, shipped, plans, name_package(trt), trt.__version__)


@pytest.fixture
def engine_bundle(engine_bundles: EngineBundles) -> Bundle:
    """Bundle whose engines fit."""
    return engine_bundles.make()


@pytest.fixture(scope="session")
def reference(shipped: Path) -> Restorer:
    """Restorer of the same network on the CPU."""
    return Restorer.open(shipped, backend="onnxruntime", threads=1)
