"""The copy of a library without machine code that the tests on a GPU load."""

import ctypes

from tests.gpu.plugins.machine_code import NO_DEVICE, without_machine_code
from tests.plugins.emulated.tensorrt import read_images


def test_a_copy_keeps_all_but_what_its_machine_code_is_for(plugin_library, tmp_path):
    copy = ctypes.CDLL(str(without_machine_code(plugin_library, tmp_path / "copy.so")))
    images = read_images(ctypes.CDLL(str(plugin_library)))
    for image, changed in zip(images, read_images(copy), strict=True):
        assert (image.variant, image.ptx, image.size, image.symbol) == (
            changed.variant,
            changed.ptx,
            changed.size,
            changed.symbol,
        )
        assert changed.sm == (image.sm if image.ptx else NO_DEVICE)
