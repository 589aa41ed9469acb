"""Files are read upright in RGB or gray, and damaged ones are refused."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from spair.runtime import Picture, UserError, read_image, write_image
from tests.runtime.images.samples import make_jpeg, pixels

TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_orientation_is_applied_once_and_then_gone(tmp_path, orientation, suffix):
    source = make_jpeg(tmp_path / "a.jpg", orientation=orientation)
    stored = pyvips.Image.new_from_file(str(source)).numpy()
    upright = read_image(source)
    np.testing.assert_array_equal(upright.pixels, TURNED[orientation](stored))
    write_image(tmp_path / f"b{suffix}", upright)
    raw = pyvips.Image.new_from_file(str(tmp_path / f"b{suffix}"))
    assert raw.get_typeof("orientation") == 0 or raw.get("orientation") == 1
    assert (raw.height, raw.width) == upright.pixels.shape[:2]
    assert read_image(tmp_path / f"b{suffix}").pixels.shape == upright.pixels.shape


def test_cmyk_becomes_srgb_with_its_profile(tmp_path):
    image = pyvips.Image.new_from_array(pixels(channels=3)).icc_transform("cmyk", input_profile="srgb")
    image.tiffsave(str(tmp_path / "a.tif"))
    picture = read_image(tmp_path / "a.tif")
    assert picture.pixels.shape == (13, 17, 3) and picture.pixels.dtype == np.uint8
    assert picture.icc is not None and picture.icc[16:20] == b"RGB "


def test_lab_becomes_srgb(tmp_path):
    array = np.full((5, 6, 3), 128, np.uint8)
    pyvips.Image.new_from_array(array).copy(interpretation="srgb").colourspace("lab").tiffsave(str(tmp_path / "a.tif"))
    picture = read_image(tmp_path / "a.tif")
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels.astype(int) - 128).max() <= 2


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_palette_and_low_depth_pngs_become_8_bit(tmp_path, depth):
    array = pixels(channels=1) // 128 * np.uint8(255)
    image = pyvips.Image.new_from_array(array[..., 0]).copy(interpretation="b-w")
    image.pngsave(str(tmp_path / "a.png"), bitdepth=depth)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels[..., :1], array)
    pyvips.Image.new_from_array(np.repeat(array, 3, 2)).pngsave(str(tmp_path / "p.png"), palette=True)
    back = read_image(tmp_path / "p.png").pixels
    assert back.dtype == np.uint8 and back.shape[:2] == array.shape[:2]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif"])
def test_several_pages_are_refused_rather_than_lost(tmp_path, name):
    frames = pyvips.Image.new_from_array(np.repeat(np.uint8([10, 200]), 8 * 8 * 3).reshape(16, 8, 3)).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 8)
    frames.write_to_file(str(tmp_path / name))
    with pytest.raises(UserError, match="it holds 2 pages or frames; split it into one file each"):
        read_image(tmp_path / name)


def test_brackets_in_names_are_letters_and_not_options(tmp_path):
    array = pixels()
    write_image(tmp_path / "a[page=1].png", Picture(array))
    write_image(tmp_path / "b.png[Q=1].png", Picture(array))
    for name in ("a[page=1].png", "b.png[Q=1].png"):
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, array)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    whole, cut = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_image(whole, Picture(pixels(64, 64)))
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cannot read .* give a complete") as caught:
        read_image(cut)
    assert "\n" not in str(caught.value)


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path):
    write_image(tmp_path / "a.png", Picture(pixels(64, 64)))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"damaged or truncated"):
        read_image(tmp_path / "a.png")


def make_bad(path: Path, what: str) -> Path:
    if what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("this is no picture\n" * 20)
    elif what == "svg":
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"></svg>')
    elif what == "folder":
        path.mkdir()
    elif what == "gray alpha":
        pyvips.Image.new_from_array(pixels(channels=2)).copy(interpretation="b-w").pngsave(str(path))
    elif what == "five":
        pyvips.Image.new_from_array(pixels(channels=5)).tiffsave(str(path))
    elif what == "signed":
        pyvips.Image.new_from_array(pixels().astype(np.int16)).tiffsave(str(path))
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", "does not exist; give the path"),
        ("folder", "is a folder; give the path"),
        ("empty", r"empty \(0 bytes\)"),
        ("text", "not a picture; give a complete PNG, JPEG"),
        ("svg", "svg are not supported; give PNG"),
        ("gray alpha", r"2 channels, expected 1 \(gray\), 3 \(RGB\) or 4 \(RGBA\); convert"),
        ("five", "5 channels"),
        ("signed", "samples are short, expected unsigned"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, what, message):
    path = make_bad(tmp_path / "bad.png", what)
    with pytest.raises(UserError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    write_image(tmp_path / "a.png", Picture(pixels(20, 30)))
    with pytest.raises(UserError, match=r"30x20 is more than 599 pixels"):
        read_image(tmp_path / "a.png", max_pixels=599)
    assert read_image(tmp_path / "a.png", max_pixels=600).width == 30


@pytest.mark.parametrize("compression", ["none", "jpeg", "lzw"])
def test_a_tiff_cut_short_is_refused(tmp_path, compression):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 50, 3), np.uint8)
    path = tmp_path / "a.tif"
    pyvips.Image.new_from_array(pixels).write_to_file(str(path), compression=compression)
    read_image(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot read .*a.tif"):
        read_image(path)
