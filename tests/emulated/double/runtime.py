"""Runtime, which deserializes engines, and its registry of plugin libraries."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.emulated.double.engine import ICudaEngine
from tests.emulated.double.execution import Executor, OnnxExecutor, RefusalError
from tests.emulated.double.listeners import ILogger
from tests.emulated.double.plan import Plan, read_plan
from tests.emulated.double.world import World


class IPluginRegistry:
    """Registry of one runtime."""

    def __init__(self, world: World, logger: ILogger) -> None:
        self._world, self._logger = world, logger
        self._handles: dict[str, Any] = {}

    def load_library(self, plugin_path: str) -> Any:
        """Return a handle, or None; a library loads once."""
        if plugin_path in self._handles:
            self._logger.log(ILogger.Severity.ERROR, f"Cannot register the library {plugin_path}: exists already")
            return None
        handle = self._world.libraries.load(plugin_path, self._logger) if self._world.libraries else None
        if handle is not None:
            self._handles[plugin_path] = handle
        return handle

    def deregister_library(self, handle: Any) -> None:
        """Unload a library."""
        if any(handle in engine._handles for engine in self._world.engines):
            self._world.gpu.report("a plugin library is unloaded while an engine uses it")
        self._handles = {path: own for path, own in self._handles.items() if own is not handle}


class Runtime:
    """Deserializer of engines; `make_module` derives one for its world."""

    _world: World

    def __init__(self, logger: ILogger) -> None:
        if not getattr(logger, "_made", False):
            raise TypeError("ILogger.__init__() must be called when overriding __init__")
        self.logger, self.engine_host_code_allowed = logger, False
        self._registry = IPluginRegistry(self._world, logger)

    def get_plugin_registry(self) -> IPluginRegistry:
        """Return its own registry."""
        return self._registry

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        """Return an engine.

        None, and a message, for a plan of another version or without its plugins.
        """
        world = self._world
        context = world.gpu.current_context()
        if context is None:
            return self._refuse("CUDA initialization failure with error: 201, no context is current")
        content = bytes(serialized_engine)
        try:
            known = world.plans.get(hashlib.sha256(content).hexdigest())
            plan = known or read_plan(content, world.version, world.magic)
        except ValueError as error:
            return self._refuse(str(error))
        handles = list(self._registry._handles.values())
        try:
            return ICudaEngine(self, plan, self._find_executor(plan, handles), handles, context)
        except RefusalError as error:
            return self._refuse(str(error))

    def _find_executor(self, plan: Plan, handles: list[Any]) -> Executor:
        """Return what runs a plan.

        Raises:
            RefusalError: plugins are absent, or refuse their nodes.
        """
        libraries = self._world.libraries
        if not plan.plugins:
            return OnnxExecutor(plan.graph, self._world.threads)
        executor = libraries.executor(plan, handles) if libraries and handles else None
        if executor is None:
            raise RefusalError("IPluginRegistry::getCreator: Error Code 4: API Usage Error (Cannot find plugin)")
        return executor

    def _refuse(self, words: str) -> None:
        self.logger.log(ILogger.Severity.ERROR, words)
