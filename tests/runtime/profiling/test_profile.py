"""Pictures of a profile, cut to size and written in a format that holds them."""

import numpy as np
import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.profiling.profile import Size, as_float, choose_suffix, fit, open_checked
from tests.runtime.bundle.samples import make_older


@pytest.mark.parametrize(
    ("suffix", "kind", "channels", "chosen"),
    [
        (".jpg", np.uint8, 3, ".jpg"),
        (".jpeg", np.uint8, 4, ".png"),
        (".avif", np.uint8, 3, ".png"),
        (".png", np.float32, 3, ".tif"),
        (".tif", np.uint16, 4, ".tif"),
    ],
)
def test_files_are_timed_in_a_format_that_holds_the_picture(suffix, kind, channels, chosen):
    assert choose_suffix(suffix, np.zeros((2, 2, channels), kind)) == chosen


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_pixels_become_floats_up_to_one(kind):
    top = 1 if kind is np.float32 else np.iinfo(kind).max
    floats = as_float(np.array([[[0, top]]], kind))
    assert floats.dtype == np.float32 and floats.ravel().tolist() == [0, 1]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (6, 4), (7, 4), (30, 2), (41, 33)])
def test_a_picture_is_cut_or_mirrored_never_scaled(size):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    fitted = fit(pixels, Size(*size))
    assert fitted.shape == (size[1], size[0], 3) and fitted.flags.c_contiguous
    assert {tuple(pixel) for pixel in fitted.reshape(-1, 3)} <= {tuple(pixel) for pixel in pixels.reshape(-1, 3)}
    if size == (5, 3):
        assert (fitted == pixels[:3, :5]).all()
    if size == (41, 33):
        assert (
            (fitted[:4, :6] == pixels).all() and (fitted[4] == fitted[3]).all() and (fitted[:, 6] == fitted[:, 5]).all()
        )


def test_a_bundle_of_an_older_version_is_refused(tiny_bundle, tmp_path):
    """Its dense baseline would restore the border of a picture otherwise."""
    open_checked(tiny_bundle, ["fp32"])
    older = make_older(Bundle.open(tiny_bundle), tmp_path / "older.spair")
    with pytest.raises(UserError, match="was exported by an older version, .*; export the bundle again"):
        open_checked(older.path, ["fp32"])
