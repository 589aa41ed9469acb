"""Plugin libraries for the double."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulated.double.listeners import ILogger
from tests.emulated.double.plan import Plan
from tests.emulated.driver.gpu import EmulatedGPU
from tests.emulated.plugins.cutting import DOMAIN
from tests.emulated.plugins.executor import PluginExecutor
from tests.plugins.emulated.driver import Kernels, Launch
from tests.plugins.emulated.memory import DeviceMemory
from tests.plugins.emulated.plugin import PluginHost


@dataclass
class LoadedLibrary:
    """Library on the emulated GPU, as `PluginHost` asks for it."""

    library: ctypes.CDLL
    launches: list[Launch]
    problems: list[BaseException] = field(default_factory=list)


class PluginLibraries:
    """Loader of real plugin libraries for the double."""

    def __init__(self, gpu: EmulatedGPU, harness: Path, threads: int = 1) -> None:
        self._gpu, self._harness, self._threads = gpu, harness, threads
        self.launches: list[Launch] = []
        """Launches of all kernels."""

    def load(self, path: str, log: ILogger) -> PluginHost | None:
        """Open a library that launches kernels on the GPU."""
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            log.log(ILogger.Severity.ERROR, str(error))
            return None
        kernels = Kernels(self._gpu, library)
        self.launches = kernels.launches
        return PluginHost(self._harness, LoadedLibrary(library, kernels.launches), DeviceMemory(self._gpu))

    def executor(self, plan: Plan, handles: Sequence[Any]) -> PluginExecutor | None:
        """Return an executor of a plan.

        It is that of the first library with all plugins.
        """
        names = {node.op_type for node in plan.graph.graph.node if node.domain == DOMAIN}
        for host in handles:
            handle = ctypes.c_void_p(host.driver.library._handle)
            if all(host.c.find_creator(handle, name.encode()) for name in names):
                return PluginExecutor(self._gpu, plan, host, self._threads)
        return None
