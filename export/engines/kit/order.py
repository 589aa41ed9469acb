"""Facts that a kit is written from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ....plugins.compiler.targets import Target
from ....runtime.machine.board.stacks import Stack, list_stacks
from ..options import EngineOptions
from ..programs.commands import list_build_words

CHIPS = {87: "tegra234", 110: "tegra264"}
"""Chip in a board's device tree, by the compute capability of its GPU."""


@dataclass(frozen=True)
class KitOrder:
    """Target, and the engines that are built on it."""

    target: Target
    precisions: tuple[str, ...]
    options: EngineOptions
    served: bool = False
    tuned: bool = False

    @property
    def stacks(self) -> list[Stack]:
        """Stacks of the target; none for other machines than boards."""
        return list_stacks(self.target.name)

    @property
    def chip(self) -> str:
        """Chip of the board."""
        return CHIPS[self.target.architectures[0]]

    @property
    def python(self) -> str:
        """Version of the Python that JetPack's packages are for."""
        major, minor = self.stacks[0].python
        return f"{major}.{minor}"

    @property
    def series(self) -> list[str]:
        """Series of L4T, such as 36.4."""
        releases = (release for stack in self.stacks for release in stack.releases)
        return list(dict.fromkeys(re.sub(r"\.\d+$", "", release) for release in releases))

    @property
    def requirements(self) -> list[str]:
        """Packages in the versions that the board's stack takes."""
        twelve = self.stacks[0].cuda < (13, 0)
        return ["numpy<2", "cuda-bindings==12.9.*"] if twelve else ["cuda-bindings==13.*"]

    @property
    def words(self) -> list[str]:
        """Words of the build's command after its library."""
        return list_build_words(self.precisions, self.options, served=self.served, tuned=self.tuned)
