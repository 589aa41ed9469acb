"""State of the NVIDIA driver."""

from __future__ import annotations

from .gpu import DRIVER
from .packages import ask_package
from .probes import Probe
from .remedies import NO_DRIVER

_QUESTION = """
(lambda driver, number: (
    driver.cuDriverGetVersion(module.byref(number)), number.value,
    driver.cuInit(0),
    driver.cuDeviceGetCount(module.byref(number)), number.value,
))(module.CDLL({library!r}), module.c_int())
"""

_NO_DEVICE = (
    "the driver finds no GPU: look for one with lspci | grep -i nvidia; in a container, start it with --gpus all, and "
    "CUDA_VISIBLE_DEVICES must not be empty"
)
_ERRORS = {
    34: "libcuda.so.1 is the toolkit's stub, not the driver: take the folder stubs out of LD_LIBRARY_PATH",
    100: _NO_DEVICE,
    802: "the GPUs are not ready: sudo systemctl start nvidia-fabricmanager",
    803: "the driver's library and its kernel module have different versions: reboot, or give the container the host's",
    804: "the forward-compatibility library of CUDA does not support this GPU: take the folder compat out of "
    "LD_LIBRARY_PATH",
    999: "the driver's kernel module is in a bad state: sudo modprobe nvidia_uvm, or reboot",
}
"""Error number of cuInit: sentence."""


def probe_driver(library: str = DRIVER) -> tuple[Probe, Probe]:
    """Probe the driver and its GPUs, in another process.

    Args:
        library: the driver's library.

    Returns:
        The driver, whose version is the newest CUDA version that it supports, and the GPUs, whose version is their
        number.
    """
    answer = ask_package("ctypes", _QUESTION.format(library=library).strip())
    if answer.error is not None:
        missing = "cannot open shared object" in answer.error
        reason = NO_DRIVER if missing else f"the NVIDIA driver's library does not load: {answer.error}; {NO_DRIVER}"
        return Probe(False, None, reason), Probe(False, None, "without a driver no GPU can be asked for")
    _, version, error, _, count = answer.value
    driver = Probe(True, f"CUDA {version // 1000}.{version % 1000 // 10}", None)
    if error:
        return driver, Probe(
            False, None, _ERRORS.get(error, f"the driver refuses to start (CUDA error {error}): reboot")
        )
    return driver, Probe(count > 0, str(count), None if count else _NO_DEVICE)
