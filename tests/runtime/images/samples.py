"""Pixels and JPEG files for the tests of picture files."""

import numpy as np
import pyvips

from spair.runtime import Picture, write_image

RANDOM = np.random.default_rng(0)


def pixels(height=13, width=17, channels=3, kind="uint8"):
    if kind == "float32":
        return RANDOM.uniform(0, 1, (height, width, channels)).astype(np.float32)
    return RANDOM.integers(0, np.iinfo(kind).max, (height, width, channels), dtype=kind, endpoint=True)


def make_jpeg(path, orientation=None, make=None, icc=None, array=None):
    """A JPEG written by libvips itself, not by the code under test."""
    image = pyvips.Image.new_from_array(pixels() if array is None else array).copy()
    if orientation:
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if make:
        image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", make)
    if icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    path.write_bytes(image.jpegsave_buffer(Q=100, subsample_mode="off"))
    return path


def make(path, value=10, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Picture(np.full((4, 6, channels), value, np.uint8)))
    return path
