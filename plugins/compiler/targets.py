"""Targets, the kinds of machines that libraries run on.

A target is data only, so that a new machine is a new record.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from ..errors import PluginError

FIRST_SPECIFIC = 90
"""First architecture whose PTX from Triton is for one architecture only ("sm_90a"), so that no later GPU takes it."""

ARCHITECTURES = (80, 86, 87, 89, 90, 100, 110, 120)
"""Compute capabilities (87 is 8.7) whose tensor cores Triton uses for FP16 and INT8; it leaves those of 75 idle."""

MACHINES = ("x86_64", "aarch64")
"""Processors that libraries are built for."""


_GLIBCXX = {(2, 35): (3, 4, 30), (2, 39): (3, 4, 33)}
"""Version of the C++ library's symbols beside each C library: in Ubuntu 22.04 and 24.04, and so in JetPack 6 and 7."""


@dataclass(frozen=True)
class Target:
    """Kind of machine that runs the library."""

    name: str
    description: str
    architectures: tuple[int, ...]
    """Compute capabilities that get machine code of their own."""
    fallback: int
    """Compute capability of the embedded PTX, below `FIRST_SPECIFIC`; the driver compiles it for any later GPU."""
    cuda: tuple[int, int]
    """CUDA version of the oldest driver on such machines."""
    machine: str
    """Processor, as `platform.machine()` names it."""
    tensorrt: tuple[int, int]
    """Oldest TensorRT version on such machines."""
    glibc: tuple[int, int]
    """Version of the C library on such machines."""
    rtx: bool = False
    """Whether the machine runs TensorRT-RTX, whose engines are built ahead of time without a GPU."""

    def __post_init__(self) -> None:
        unknown = {*self.architectures, self.fallback} - set(ARCHITECTURES)
        if unknown or not self.architectures:
            raise ValueError(f"architectures must be among {ARCHITECTURES}, got {self.architectures}, {self.fallback}")
        if self.fallback >= FIRST_SPECIFIC:
            raise ValueError(f"fallback must be below {FIRST_SPECIFIC}, whose PTX later GPUs take, got {self.fallback}")
        if self.machine not in MACHINES:
            raise ValueError(f"machine must be one of {', '.join(MACHINES)}, got {self.machine!r}")

    @property
    def glibcxx(self) -> tuple[int, int, int] | None:
        """Newest symbol version of the C++ library.

        None: not known.
        """
        return _GLIBCXX.get(self.glibc)

    @property
    def ptx(self) -> tuple[int, int]:
        """Newest PTX version that the oldest driver compiles."""
        return newest_ptx(self.cuda)


TARGETS = (
    Target("jetson-orin-jp6", "Jetson Orin, JetPack 6", (87,), 87, (12, 6), "aarch64", (10, 3), (2, 35)),
    Target("jetson-orin-jp7", "Jetson Orin, JetPack 7", (87,), 87, (13, 2), "aarch64", (10, 16), (2, 39)),
    Target("jetson-thor", "Jetson Thor, JetPack 7", (110,), 87, (13, 0), "aarch64", (10, 13), (2, 39)),
    Target("l4", "L4 servers", (89,), 89, (12, 6), "x86_64", (10, 3), (2, 35)),
    Target(
        "ada", "Ada workstations and servers (RTX 4000 and 6000, L40)", (89,), 89, (12, 6), "x86_64", (10, 3), (2, 35)
    ),
    Target("hopper", "H100 and H200 servers", (90,), 80, (12, 6), "x86_64", (10, 3), (2, 35)),
    Target("blackwell", "B200 servers and RTX PRO 6000", (100, 120), 80, (12, 8), "x86_64", (10, 8), (2, 35)),
    Target(
        "rtx",
        "GeForce RTX 30, 40 and 50 with TensorRT-RTX",
        (86, 89, 120),
        89,
        (12, 8),
        "x86_64",
        (1, 0),
        (2, 35),
        True,
    ),
)
"""Targets that `spair build` knows."""


def find_target(name: str) -> Target:
    """Find a target by its name.

    Raises:
        PluginError: no target has this name; the message lists all names.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    names = [target.name for target in TARGETS]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise PluginError(f"there is no target {name!r}: {hint}the targets are {', '.join(names)}, and local, this machine")


def newest_ptx(cuda: tuple[int, int]) -> tuple[int, int]:
    """Look up the PTX version of a CUDA version.

    CUDA 12.6 came with PTX 8.5, 12.9 with 8.8, 13.0 with 9.0. Source: table "PTX release history" of NVIDIA's PTX ISA
    manual. From 12.3 on each CUDA version brought one PTX version, but 12.6 brought no new one.
    """
    major, minor = cuda
    if major == 12:
        return (8, minor if minor < 6 else minor - 1)
    if major == 13:
        return (9, minor)
    raise ValueError(f"CUDA must be 12 or 13, got {major}.{minor}")


def specific_name(architecture: int) -> str:
    """Name the machine code that Triton's PTX is for.

    Compilers call it "sm_87" or "sm_90a".
    """
    return f"sm_{architecture}a" if architecture >= FIRST_SPECIFIC else f"sm_{architecture}"
