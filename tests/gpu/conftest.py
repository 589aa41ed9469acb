"""Engines of this machine's GPU, built once for the session; without a GPU, tests skip with the reason."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Built:
    """Bundle with engines of one package for this GPU."""

    package: str
    bundle: Bundle
    reference: Restorer
    """The same network in FP32 on the CPU."""

    @property
    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """Entries of the manifest by precision."""
        return self.bundle.manifest.targets[local.LOCAL]["engines"]


@pytest.fixture(scope="session", params=PACKAGES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Engines in FP32 and FP16; `spair build` compares them with the CPU before they are in the bundle."""
    package = request.param
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the package {package} is not installed")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(local, "_DISTRIBUTIONS", {package: local._DISTRIBUTIONS[package]})  # else TensorRT's comes first
        reason = find_reason()
        if reason is not None:
            pytest.skip(reason)
        bundle = build_bundle(tmp_path_factory.mktemp("engines"), PRECISIONS, OPTIONS)
        reference = stack.enter_context(Restorer.open(find_bundle(), backend="onnxruntime"))
        yield Built(package, bundle, reference)
