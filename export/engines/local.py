"""Target that is this machine with its own GPU."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping

from ...plugins.compiler.targets import ARCHITECTURES, FIRST_SPECIFIC, MACHINES, TARGETS, Target
from ...plugins.compiler.tools import FIRST_CUDA
from ...runtime.errors import UserError, quote
from ...runtime.machine.gpu import Device, find_device
from .packages import parse_version, read_version

LOCAL = "local"
"""Name of the target."""
_OLDEST_FALLBACK = 80
_OLDEST_CUDA, _NEWEST_CUDA = (12, 0), (13, 99)
"""CUDA versions whose PTX versions are known. A driver runs the code of older ones, so a newer one counts as the
newest."""
_DISTRIBUTIONS: Mapping[str, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx-cu13"}


def make_local_target(model: str) -> Target:
    """Describe this machine as a target.

    TensorRT is preferred to TensorRT-RTX where both are installed.

    Args:
        model: name of the bundle for messages.

    Raises:
        UserError: the machine has no GPU, a GPU or processor that the plugins have no kernels for, too old a driver, or
            neither of the packages. The message says which commands are possible.
    """
    try:
        device = find_device()
    except UserError as error:
        names = ", ".join(target.name for target in TARGETS if not target.rtx)
        raise UserError(
            f"--target {LOCAL} builds engines on this machine's own GPU, but {error}; possible here: "
            f"spair build {quote(model)} --target rtx, which builds engines ahead of time, or --target with one of "
            f"{names}, which compiles the plugins and prints the command for the other machine"
        ) from error
    _check_device(device)
    package = next((name for name in _DISTRIBUTIONS if importlib.util.find_spec(name) is not None), None)
    if package is None:
        raise UserError(
            f"--target {LOCAL} builds engines with TensorRT or TensorRT-RTX, and neither is installed; "
            "on a Jetson TensorRT is part of JetPack (make the environment with --system-site-packages), "
            "elsewhere: pip install tensorrt, or pip install 'spair-rt[rtx]'"
        )
    libc, version = platform.libc_ver()
    return Target(
        LOCAL,
        f"This machine, {device.name}",
        (device.architecture,),
        device.architecture if device.architecture < FIRST_SPECIFIC else _OLDEST_FALLBACK,
        min(device.driver, _NEWEST_CUDA),
        platform.machine(),
        parse_version(read_version(package, _DISTRIBUTIONS[package])),
        parse_version(version) if libc == "glibc" else (2, 35),
        rtx=package == "tensorrt_rtx",
    )


def advise_library(target: Target, model: str) -> str | None:
    """Say where to get a library without Triton.

    Triton, which compiles the kernels, exists for some machines only.

    Returns:
        A sentence for a machine without Triton, else None.
    """
    if importlib.util.find_spec("triton") is not None:
        return None
    names = [
        other.name
        for other in TARGETS
        if other.machine == target.machine and {*target.architectures} <= {*other.architectures}
    ]
    name = names[0] if names else "TARGET"
    return (
        "this machine compiles no plugins, because Triton is not installed; on an x86-64 machine with "
        f"spair-rt[plugins]: spair build {quote(model)} --target {quote(name)} --no-engines, then copy the bundle here "
        f"and give --library {quote(f'{model}/plugins/{name}/libspair_plugins.so')}"
    )


def _check_device(device: Device) -> None:
    """Refuse a machine that the plugins have no kernels for.

    Raises:
        UserError: its GPU, processor or driver does not fit; the message has what is expected.
    """
    capability = f"{device.architecture // 10}.{device.architecture % 10}"
    if device.architecture not in ARCHITECTURES:
        known = ", ".join(f"{number // 10}.{number % 10}" for number in ARCHITECTURES)
        raise UserError(
            f"--target {LOCAL} cannot build for this machine's {device.name} of compute capability {capability}; "
            f"the plugins have kernels for {known}"
        )
    if platform.machine() not in MACHINES:
        raise UserError(
            f"--target {LOCAL} cannot build for the processor {platform.machine()}; expected {' or '.join(MACHINES)}"
        )
    first = max(FIRST_CUDA[device.architecture], _OLDEST_CUDA)
    if device.driver < first:
        raise UserError(
            f"--target {LOCAL} needs a driver of CUDA {first[0]}.{first[1]} or later for {device.name}, this machine's "
            f"is of CUDA {device.driver[0]}.{device.driver[1]}; update the driver"
        )
