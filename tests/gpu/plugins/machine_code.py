"""A plugin library without its machine code, so that the driver compiles the PTX whatever the GPU."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from tests.plugins.emulated.tensorrt import KernelImage, read_images

NO_DEVICE = 9990
"""A compute capability that no GPU has."""


def without_machine_code(library: Path, path: Path) -> Path:
    """A copy of a library whose machine code says that it is for no GPU there is.

    Args:
        library: the original; it is loaded, to find its table.
        path: where the copy is written.
    """
    loaded = ctypes.CDLL(str(library.resolve()))
    images = read_images(loaded)
    place = _find_in_file(library, ctypes.addressof(images[0]))
    content = bytearray(library.read_bytes())
    for index, image in enumerate(images):
        at = place + index * ctypes.sizeof(KernelImage) + KernelImage.sm.offset
        assert int.from_bytes(content[at : at + 4], "little") == image.sm, "the table is elsewhere in the file"
        if not image.ptx:
            content[at : at + 4] = NO_DEVICE.to_bytes(4, "little")
    path.write_bytes(content)
    return path


def _find_in_file(library: Path, address: int) -> int:
    """The offset in a loaded library's file of what lies at an address."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        found = re.match(r"(\w+)-(\w+) \S+ (\w+) \S+ \S+ +(.*)", line)
        if found and found[4] == str(library.resolve()):
            start, end, offset = (int(found[index], 16) for index in (1, 2, 3))
            if start <= address < end:
                return address - start + offset
    raise AssertionError(f"{library} is not mapped at {address:#x}")
