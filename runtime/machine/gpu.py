"""GPUs of this machine, as the NVIDIA driver names them.

Only the driver is asked, so nothing of CUDA has to be installed.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ..errors import UserError

DRIVER = "libcuda.so.1"
"""Library of the NVIDIA driver."""

_MAJOR, _MINOR = 75, 76
"""Numbers of CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class Device:
    """First GPU of the machine, which TensorRT builds for."""

    name: str
    architecture: int
    """Compute capability times ten, 87 for 8.7."""
    driver: tuple[int, int]
    """Newest CUDA version that the driver supports, (12, 6) for 12.6."""

    def __str__(self) -> str:
        return f"{self.name} with a driver of CUDA {self.driver[0]}.{self.driver[1]}"


def find_device(library: str = DRIVER) -> Device:
    """Describe the GPU that TensorRT takes by default.

    Raises:
        UserError: the machine has no NVIDIA driver, or the driver finds no GPU.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise UserError(f"there is no NVIDIA driver on this machine ({error})") from error
    _call(driver, "cuInit", ctypes.c_uint(0))
    device, number = ctypes.c_int(), ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    capability = []
    for attribute in (_MAJOR, _MINOR):
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(number), ctypes.c_int(attribute), device)
        capability.append(number.value)
    _call(driver, "cuDriverGetVersion", ctypes.byref(number))  # 12060 for 12.6
    version = (number.value // 1000, number.value % 1000 // 10)
    return Device(_read_name(driver, 0), 10 * capability[0] + capability[1], version)


def list_gpus() -> tuple[list[str], str | None]:
    """List the names of the NVIDIA GPUs.

    Returns:
        The names, and None; without a GPU an empty list, and a sentence that says why.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return [], f"no NVIDIA driver on this machine ({DRIVER} is missing)"
    count = ctypes.c_int()
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return [], f"the NVIDIA driver found no usable GPU (CUDA error {code})"
    try:
        names = [_read_name(driver, index) for index in range(count.value)]
    except UserError as error:
        return [], str(error)
    return names, None if names else "there is no NVIDIA GPU"


def _read_name(driver: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    _call(driver, "cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    return name.value.decode(errors="replace")


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    result = getattr(driver, function)(*arguments)
    if result:
        raise UserError(f"the NVIDIA driver of this machine finds no GPU: {function} gives the error {result}")
