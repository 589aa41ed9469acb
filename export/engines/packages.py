"""Packages and GPUs that engines are built with."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import re

from ...plugins.compiler.targets import Target
from ...runtime.errors import UserError
from ...runtime.machine.board.memory import SMALL, read_board_memory
from ...runtime.machine.gpu import Device, find_device, read_free_memory

NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
"""Names of the packages for messages."""
_SHARE, _SHARE_OF_SHARED = 0.8, 0.5
"""Shares of the free memory that a builder's layers may use. Where processor and GPU have the same memory, the builder
itself needs some of it, and the system ends processes when none is left."""
_MOST_ON_SMALL = 2 << 30
"""Most bytes that layers may use in a build on a board of 8 GB, where TensorRT and the system need the rest."""


class ElsewhereError(UserError):
    """Refusal of a machine that is not the target.

    The engines have to be built on another one.
    """


def builder_of(target: Target) -> tuple[str, str]:
    """Return the package that builds a target's engines.

    The second value is its version.

    Raises:
        ElsewhereError: the package is not installed, or this machine or its GPU is not the target's. The message says
            where to build.
        UserError: this is the target's machine, but its TensorRT or its driver is too old for it.
    """
    if target.rtx:
        package, name = "tensorrt_rtx", "tensorrt-rtx-cu13"
    elif target.machine == platform.machine():
        package, name = "tensorrt", "tensorrt"
    else:
        raise ElsewhereError(
            f"engines for {target.name} are built on the target itself, this machine is {platform.machine()}"
        )
    if importlib.util.find_spec(package) is None:
        remedy = "pip install 'spair-rt[rtx]'" if target.rtx else "it is part of JetPack and of NVIDIA's packages"
        raise ElsewhereError(
            f"engines for {target.name} are built by the package {name}, which is not installed; {remedy}"
        )
    device = find_target_device(target)
    version = read_version(package, name)
    _check_versions(target, package, version, device)
    return package, version


def find_target_device(target: Target) -> Device | None:
    """Return this machine's GPU that a target's engines need.

    It is None for a target whose engines are built without a GPU.

    Raises:
        ElsewhereError: the machine has no GPU, or a GPU that the target does not have.
    """
    if target.rtx:
        return None
    try:
        device = find_device()
    except UserError as error:
        raise ElsewhereError(f"engines for {target.name} are built on the target itself: {error}") from error
    if device.architecture not in target.architectures:
        names = " or ".join(f"{sm // 10}.{sm % 10}" for sm in target.architectures)
        raise ElsewhereError(
            f"engines for {target.name} are built on the target itself: this machine's {device.name} has compute "
            f"capability {device.architecture // 10}.{device.architecture % 10}, expected {names}"
        )
    return device


def find_obstacle(target: Target) -> str | None:
    """Say why this machine cannot run a target's engines.

    Returns:
        A phrase; None where it can.
    """
    try:
        device = find_device()
    except UserError:
        return "no GPU here"
    if target.machine != platform.machine() or device.architecture not in target.architectures:
        return f"this machine's {device.name} does not run them"
    return None


def read_version(package: str, name: str) -> str:
    """Return the version of an installed package.

    Args:
        package: name of the module.
        name: name of the distribution.
    """
    for distribution in (package, name):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return str(importlib.import_module(package).__version__)  # Debian's packages have no metadata


def parse_version(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version.

    They are (10, 3) for "10.3.0.26".
    """
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    return (*numbers, 0, 0)[0], (*numbers, 0, 0)[1]


def find_memory_limit(device: Device, free: int | None = None) -> int:
    """Return the bytes that layers may use in a build.

    They are a share of what is free now. Without a limit, TensorRT may take all memory, and the system then ends the
    build, or other processes.

    Args:
        device: the GPU.
        free: free bytes of its memory; None asks the driver.
    """
    free = read_free_memory() if free is None else free
    if not device.integrated:
        return int(_SHARE * free)
    available = read_board_memory().available
    share = int(_SHARE_OF_SHARED * (free if available is None else min(free, available)))
    return min(share, _MOST_ON_SMALL) if device.memory <= SMALL else share


def _check_versions(target: Target, package: str, version: str, device: Device | None) -> None:
    """Refuse a TensorRT or a driver that is too old.

    Both are known before minutes of compiling and building, whose result would not load.

    Raises:
        UserError: one is too old; the message has both versions.
    """
    remedy = "update it, or build with --target local, which takes this machine as it is"
    if parse_version(version) < target.tensorrt:
        raise UserError(
            f"{target.name} has {NAMES[package]} {target.tensorrt[0]}.{target.tensorrt[1]} or later, this machine has "
            f"{version}; {remedy}"
        )
    if device is not None and device.driver < target.cuda:
        raise UserError(
            f"{target.name} has drivers of CUDA {target.cuda[0]}.{target.cuda[1]} or later, this machine's driver is "
            f"of CUDA {device.driver[0]}.{device.driver[1]}; {remedy}"
        )
