"""Scratch memory of an execution context."""

from __future__ import annotations

import ctypes

from tests.emulated.driver.gpu import EmulatedGPU

ALIGNMENT = 256
"""Bytes to which an address of scratch memory must be aligned."""


class Scratch:
    """Address and size of a context's scratch memory."""

    def __init__(self, largest: int, user_managed: bool) -> None:
        self.largest, self.user_managed = largest, user_managed
        self.address, self.size = 0, 0
        self.updated: int | None = None
        """Bytes that the last `update_device_memory_size_for_shapes` returned, until shapes change."""
        self._owned = False

    @property
    def needed(self) -> int:
        """Number of bytes that an execution takes.

        They are those of the shapes if they were asked for, else the largest.
        """
        return self.largest if self.updated is None else self.updated

    def allocate(self, gpu: EmulatedGPU) -> bool:
        """Take memory for the largest shapes.

        False if there is none.
        """
        address = ctypes.c_uint64()
        self._owned = gpu.cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(self.largest)) == 0
        self.address, self.size = address.value, self.largest
        return self._owned

    def refuse(self, address: int, size: int) -> str | None:
        """Return why memory of the user's is refused, or None."""
        if not self.user_managed:
            return "the context was not created with ExecutionContextAllocationStrategy.USER_MANAGED"
        if size < self.needed:
            return f"{size} bytes are given, {self.needed} are required"
        if not address or address % ALIGNMENT:
            return f"the address {address:#x} is null, or not aligned to {ALIGNMENT} bytes"
        return None

    def give(self, address: int, size: int) -> bool:
        """Take the user's memory.

        Return whether it is another than before.
        """
        changed = (address, size) != (self.address, self.size)
        self.address, self.size = address, size
        return changed

    def free(self, gpu: EmulatedGPU) -> None:
        """Give back what `allocate` took."""
        if self._owned:
            gpu.cuda.cuMemFree_v2(ctypes.c_uint64(self.address))
            self._owned = False
