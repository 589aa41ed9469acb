"""Engines of this machine's GPU, built once for the session; without a GPU, tests skip with the reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.gpu.harness.engines import build_bundle, find_bundle, find_reason
from spair.export.engines import local
from spair.export.engines.options import EngineOptions
from spair.runtime import Restorer
from spair.runtime.bundle.reader import Bundle
from spair.runtime.engine.tensorrt import PACKAGES

OPTIONS = EngineOptions((64, 48), (64, 48), batch=2)
"""Small engines: many pictures of the suite are larger, and go through those of the parts."""
PRECISIONS = ("fp32", "fp16")


class Built:
    """Bundles with engines of one package for this GPU, one for each precision, built when they are first asked for."""

    def __init__(self, package: str, reference: Restorer, make_folder: Callable[[], Path]) -> None:
        self.package, self.reference, self._make_folder = package, reference, make_folder
        self._bundles: dict[str, Bundle] = {}

    def get(self, precision: str) -> Bundle:
        """Return the bundle; `spair build` compares its engines with the CPU before they are in it."""
        if precision not in self._bundles:
            self._bundles[precision] = build_bundle(self._make_folder(), [precision], OPTIONS)
        return self._bundles[precision]


@pytest.fixture(scope="session", params=PACKAGES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Engines of each package that is installed."""
    package = request.param
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(local, "_DISTRIBUTIONS", {package: local._DISTRIBUTIONS[package]})  # else TensorRT's comes first
        reason = find_reason()
        if reason is not None:
            pytest.skip(reason)
        reference = stack.enter_context(Restorer.open(find_bundle(), backend="onnxruntime"))
        yield Built(package, reference, lambda: tmp_path_factory.mktemp("engines"))
