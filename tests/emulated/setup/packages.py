"""Packages that only tests of the emulated GPU may import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType


class Packages:
    """Modules that come into sys.modules together.

    Other tests of the same process look for `tensorrt` and `pycuda` as well, and must find what is installed.
    """

    def __init__(self) -> None:
        self._own: dict[str, ModuleType] = {}
        self._replaced: dict[str, ModuleType] = {}
        self._visible = False

    def add(self, name: str, load: Callable[[], ModuleType]) -> ModuleType:
        """Return the package `name`.

        `load` makes it the first time, while it is absent from sys.modules.
        """
        if name not in self._own:
            self.show()
            self._set_aside(name)
            self._own[name] = sys.modules[name] = load()
        return self._own[name]

    def show(self) -> None:
        """Let them be imported."""
        if not self._visible:
            for name in self._own:
                self._set_aside(name)
            sys.modules.update(self._own)
            self._visible = True

    def hide(self) -> None:
        """Take them away, and bring back what stood there.

        Modules inside of them go along.
        """
        if self._visible:
            for name in [name for name in sys.modules if name.partition(".")[0] in self._own]:
                self._own[name] = sys.modules.pop(name)
            sys.modules.update(self._replaced)
            self._replaced.clear()
            self._visible = False

    def _set_aside(self, name: str) -> None:
        for found in [part for part in sys.modules if part == name or part.startswith(f"{name}.")]:
            if self._own.get(found) is not sys.modules[found]:
                self._replaced[found] = sys.modules.pop(found)
