"""Table of the software stacks of Jetson boards.

It is data with its sources. Nothing of it was run on a board by this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stack:
    """Software that a JetPack brings to a board."""

    name: str
    """JetPack's versions."""
    boards: tuple[str, ...]
    """Families of boards, "Orin" and "Thor"."""
    releases: Mapping[str, str]
    """JetPack by version of L4T."""
    python: tuple[int, int]
    """Python that JetPack's packages are for."""
    cuda: tuple[int, int]
    tensorrt: tuple[int, int]
    targets: tuple[str, ...]
    """Targets of `spair build`, one for each family of boards."""
    sources: tuple[str, ...]
    """Files, issues and pull requests that say so."""

    @property
    def l4t(self) -> str:
        """Versions of L4T in words."""
        names = list(self.releases)
        if not names:
            return "an upgrade"
        return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


_RELEASES = "rbonghi/jetson_stats 7.2.2: jtop/core/jetson_variables.py"
_CONTAINERS = "dusty-nv/jetson-containers: cudastack/config.py"

STACKS = (
    Stack(
        "6.1 to 6.2.3",
        ("Orin",),
        {
            "36.4.0": "6.1",
            "36.4.2": "6.1",
            "36.4.3": "6.2",
            "36.4.4": "6.2.1",
            "36.4.7": "6.2.1",
            "36.5.0": "6.2.2",
            "36.5.2": "6.2.3",
        },
        (3, 10),
        (12, 6),
        (10, 3),
        ("jetson-orin-jp6",),
        (_CONTAINERS, "pytorch/TensorRT pull request 3453", _RELEASES),
    ),
    Stack(
        "6 with TensorRT 10.7",
        ("Orin",),
        {},  # an upgrade, which no release brings
        (3, 10),
        (12, 6),
        (10, 7),
        ("jetson-orin-jp6",),
        ("dusty-nv/jetson-containers: tensorrt/config.py", "ultralytics/ultralytics pull request 24368"),
    ),
    Stack(
        "7.0 and 7.1",
        ("Thor",),
        {"38.2.0": "7.0", "38.2.1": "7.0", "38.2.2": "7.0", "38.4.0": "7.1"},
        (3, 12),
        (13, 0),
        (10, 13),
        ("jetson-thor",),
        ("roboflow/inference pull request 1935", _RELEASES),
    ),
    Stack(
        "7.2",
        ("Orin", "Thor"),
        {"39.2.0": "7.2", "39.2.1": "7.2.1", "39.2.2": "7.2.2"},
        (3, 12),
        (13, 2),
        (10, 16),
        ("jetson-orin-jp7", "jetson-thor"),
        ("roboflow/inference pull request 2531", "OE4T/meta-tegra pull request 2224", _RELEASES),
    ),
)
"""Stacks, by version; the second one is an upgrade of the first."""


def find_stack(l4t: str) -> Stack | None:
    """Find the stack of a version of L4T.

    A release that is not listed gets the stack of its own series, such as 36.4, and no other.

    Returns:
        The stack as JetPack brings it; None where the table has none.
    """
    for stack in STACKS:
        if l4t in stack.releases:
            return stack
    series = _series(l4t)
    return next((stack for stack in STACKS if series in map(_series, stack.releases)), None)


def name_jetpack(l4t: str) -> str | None:
    """Name the JetPack of a version of L4T.

    Returns:
        "6.2.1", say; only the major version, "6", for releases that the table does not have; None for other majors.
    """
    for stack in STACKS:
        if l4t in stack.releases:
            return stack.releases[l4t]
    major = l4t.partition(".")[0]
    known = (
        jetpack for stack in STACKS for number, jetpack in stack.releases.items() if number.startswith(f"{major}.")
    )
    return next((jetpack.partition(".")[0] for jetpack in known), None)


def list_stacks(target: str) -> list[Stack]:
    """List the stacks that a target of `spair build` runs on."""
    return [stack for stack in STACKS if target in stack.targets]


def _series(l4t: str) -> tuple[str, ...]:
    return tuple(l4t.split(".")[:2])
