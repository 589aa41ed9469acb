"""The emulated GPU in the place of this machine's, with a builder of engines for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.harness.engines import LIBRARY, find_bundle
from spair.export.engines import builder as building
from spair.export.engines.gate import staging
from spair.export.engines.gate.check import Answer
from spair.export.engines.gate.pictures import Sample
from spair.runtime import Restorer
from tests.benchmarks.gpu.builder import AnyLibrary, EmulatedBuilder
from tests.emulated.double.world import World
from tests.emulated.driver.gpu import USUAL, EmulatedGPU
from tests.emulated.fixtures import *  # noqa: F403
from tests.emulated.fixtures import PACKAGES
from tests.gpu.conftest import PRECISIONS, Built
from tests.plugins.conftest import BuiltPlugins, kernel_settings, plugins  # noqa: F401

SM = 89
"""Compute capability of the library that the tests have."""


def run_here(
    bundle: Path, options: dict[str, Any], package: str, samples: Sequence[Sample], **more: object
) -> list[Answer]:
    """Run the gate's pictures in this process, which has the emulated GPU."""
    with Restorer.open(bundle, **options) as restorer:
        results = [restorer(sample.picture, mask=sample.mask) for sample in samples]
    return [(result.image, result.mask) for result in results]


class Machine:
    """Emulated GPU with the builder, which stand in for this machine's while a patch lasts."""

    def __init__(self, gpu: EmulatedGPU, world: World, library: Path, builder: EmulatedBuilder) -> None:
        self.gpu, self._world, self._library, self._builder = gpu, world, library, builder

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """Builds that were asked for, in order."""
        return self._builder.jobs

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Put the GPU and the builder in place; the GPU is one that the library has kernels for."""
        PACKAGES.show()  # a fixture of the session comes before that of the module, which shows them else
        self.gpu.set(**{**USUAL, "sm": SM})
        patch.setenv(LIBRARY, str(self._library))
        patch.setattr(building, "run_worker", self._builder)
        patch.setattr(staging, "run_in_child", run_here)
        patch.setattr(self._world, "libraries", AnyLibrary())


@pytest.fixture(scope="session")
def made(
    gpu: EmulatedGPU,
    world: World,
    write_plan: Callable[..., bytes],
    plugins: BuiltPlugins,  # noqa: F811
) -> Machine:
    """The machine, not in place."""
    return Machine(gpu, world, plugins.path, EmulatedBuilder(write_plan))


@pytest.fixture
def machine(made: Machine, gpu: EmulatedGPU, clean_gpu: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine, in place for one test."""
    made.enter(monkeypatch)
    return made


@pytest.fixture(scope="session")
def built(made: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """In place of the fixture of `tests/gpu`: engines for the emulated GPU."""
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        with Restorer.open(find_bundle(), backend="onnxruntime") as reference:
            engines = Built("tensorrt", reference, lambda: tmp_path_factory.mktemp("engines"))
            for precision in PRECISIONS:
                engines.get(precision)
            patch.undo()
            yield engines
