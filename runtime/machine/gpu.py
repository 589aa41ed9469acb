"""The GPU of this machine, asked of the driver alone: nothing of CUDA has to be installed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from ..errors import UserError

DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class Device:
    """The first GPU, which TensorRT builds for."""

    name: str
    architecture: int
    """Compute capability, 87 for 8.7."""
    driver: tuple[int, int]
    """The CUDA version that the driver knows."""

    def __str__(self) -> str:
        return f"{self.name} with a driver of CUDA {self.driver[0]}.{self.driver[1]}"


def find_device(library: str = DRIVER) -> Device:
    """The GPU that TensorRT takes by default.

    Raises:
        UserError: there is no driver, or it has no GPU.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise UserError(f"there is no NVIDIA driver on this machine ({error})") from error
    _call(driver, "cuInit", ctypes.c_uint(0))
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    _call(driver, "cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(number), ctypes.c_int(attribute), device)
        capability.append(number.value)
    _call(driver, "cuDriverGetVersion", ctypes.byref(number))  # 12060 for 12.6
    version = (number.value // 1000, number.value % 1000 // 10)
    return Device(name.value.decode(errors="replace"), 10 * capability[0] + capability[1], version)


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    result = getattr(driver, function)(*arguments)
    if result:
        raise UserError(f"the NVIDIA driver of this machine finds no GPU: {function} gives the error {result}")


def list_gpus() -> tuple[list[str], str | None]:
    """Names of the NVIDIA GPUs, asked of the driver; and why there is none."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver on this machine (libcuda.so.1 is missing)"
    count, code = ctypes.c_int(), cuda.cuInit(0)
    if code == 0:
        code = cuda.cuDeviceGetCount(ctypes.byref(count))
    if code != 0:
        return [], f"the NVIDIA driver found no usable GPU (CUDA error {code})"
    return [_gpu_name(cuda, index) for index in range(count.value)], None if count.value else "there is no NVIDIA GPU"


def _gpu_name(cuda: Any, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    return name.value.decode(errors="replace")
