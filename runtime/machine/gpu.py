"""GPUs of this machine, as the NVIDIA driver names them.

Only the driver is asked, so nothing of CUDA has to be installed.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ..errors import UserError

DRIVER = "libcuda.so.1"
"""Library of the NVIDIA driver."""

_MULTIPROCESSORS, _INTEGRATED, _MAJOR, _MINOR = 16, 18, 75, 76
"""Numbers of the attributes in `CUdevice_attribute` of cuda.h."""


@dataclass(frozen=True)
class Device:
    """First GPU of the machine, which TensorRT builds for."""

    name: str
    architecture: int
    """Compute capability times ten, 87 for 8.7."""
    driver: tuple[int, int]
    """Newest CUDA version that the driver supports, (12, 6) for 12.6."""
    multiprocessors: int
    memory: int
    """Bytes of memory that the GPU can use."""
    integrated: bool = False
    """Whether the GPU shares the memory of the processor, as on a Jetson."""

    def __str__(self) -> str:
        """Describe all that an engine is tuned for.

        The name alone is not enough: every Jetson Orin calls its GPU "Orin", with 4, 8 or 16 multiprocessors.
        """
        return (
            f"{self.name} of compute capability {self.architecture // 10}.{self.architecture % 10} with "
            f"{self.multiprocessors} multiprocessors and {round(self.memory / 2**30)} GiB"
        )


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
    device, version, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    _call(driver, "cuDriverGetVersion", ctypes.byref(version))  # 12060 for 12.6
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    multiprocessors, integrated, major, minor = (
        _read_attribute(driver, number, device) for number in (_MULTIPROCESSORS, _INTEGRATED, _MAJOR, _MINOR)
    )
    return Device(
        _read_name(driver, 0),
        10 * major + minor,
        (version.value // 1000, version.value % 1000 // 10),
        multiprocessors,
        memory.value,
        bool(integrated),
    )


def read_free_memory(library: str = DRIVER) -> int:
    """Return the bytes of GPU memory that are free.

    The driver tells this inside of a context only, so one is made for the question and given back.

    Raises:
        UserError: the machine has no NVIDIA driver, or the driver finds no GPU or no memory for a context.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise UserError(f"there is no NVIDIA driver on this machine ({error})") from error
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _call(driver, "cuInit", ctypes.c_uint(0))
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        _call(driver, "cuCtxPushCurrent_v2", context)
        try:
            _call(driver, "cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)
    return free.value


def read_place(library: str = DRIVER) -> str | None:
    """Return the first GPU's place on the PCI bus.

    Args:
        library: library of the NVIDIA driver.

    Returns:
        None where there is no driver, or no GPU.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return None
    return None if driver.cuInit(ctypes.c_uint(0)) else ask_place(driver)


def ask_place(driver: ctypes.CDLL) -> str | None:
    """Ask a driver for the place of its first GPU.

    The driver was started before. The order of NVIDIA's other programs and libraries is another one than that of CUDA.
    """
    name = ctypes.create_string_buffer(32)
    code = driver.cuDeviceGetPCIBusId(name, ctypes.c_int(len(name)), ctypes.c_int(0))
    return None if code else name.value.decode()


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


def _read_attribute(driver: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(number), device)
    return value.value


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    result = getattr(driver, function)(*arguments)
    if result:
        raise UserError(f"the NVIDIA driver of this machine finds no GPU: {function} gives the error {result}")
