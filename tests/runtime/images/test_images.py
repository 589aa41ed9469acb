"""Real small files in every format: round trips, orientation, profiles, damage, and failures that undo themselves."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from spair.runtime import Picture, UserError, read_image, write_image

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


def srgb_profile():
    image = pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb")
    return bytes(image.icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


LOSSLESS = [
    *[(".png", c, k) for c in (1, 3, 4) for k in ("uint8", "uint16")],
    *[(".tif", c, k) for c in (1, 3, 4) for k in ("uint8", "uint16", "float32")],
    *[(".webp", c, "uint8") for c in (3, 4)],
    (".TIFF", 3, "uint8"),
]


@pytest.mark.parametrize(("suffix", "channels", "kind"), LOSSLESS)
@pytest.mark.parametrize("size", [(1, 1), (13, 17)], ids=str)
def test_lossless_formats_give_back_every_bit(tmp_path, suffix, channels, kind, size):
    array = pixels(*size, channels, kind)
    write_image(tmp_path / f"a{suffix}", Picture(array))
    back = read_image(tmp_path / f"a{suffix}")
    assert back.pixels.dtype == array.dtype
    np.testing.assert_array_equal(back.pixels, array)


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_pixels_in_the_other_byte_order_are_written_as_their_values(tmp_path, kind):
    array = pixels(13, 17, 3, kind)
    for order in "<>":
        write_image(tmp_path / "a.tif", Picture(array.astype(array.dtype.newbyteorder(order))))
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, array)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close_and_keeps_full_chroma(tmp_path, suffix, channels):
    array = np.zeros((16, 16, channels), np.uint8)
    array[:, ::2] = [200, 30, 30][:channels]  # one-pixel columns vanish in subsampled chroma
    write_image(tmp_path / f"a{suffix}", Picture(array))
    back = read_image(tmp_path / f"a{suffix}").pixels
    assert back.shape == array.shape
    assert np.abs(back.astype(int) - array).max() < 24


def test_gray_webp_reads_back_as_equal_rgb(tmp_path):
    array = pixels(channels=1)
    write_image(tmp_path / "a.webp", Picture(array))
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp").pixels, np.repeat(array, 3, axis=2))


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


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_other_exif_is_kept(tmp_path, suffix):
    source = make_jpeg(tmp_path / "a.jpg", orientation=6, make="Acme & Söhne")
    write_image(tmp_path / f"b{suffix}", read_image(source))
    first, second = (pyvips.Image.new_from_file(str(p)) for p in (source, tmp_path / f"b{suffix}"))
    assert "Acme" in second.get("exif-ifd0-Make")
    kept = {n for n in first.get_fields() if n.startswith("exif-ifd") and not n.startswith("exif-ifd1")}
    assert kept <= set(second.get_fields()) | {"exif-ifd0-Orientation"}


def test_the_old_thumbnail_is_dropped(tmp_path):
    image = pyvips.Image.new_from_array(pixels()).copy()
    image.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", make_jpeg(tmp_path / "t.jpg").read_bytes())
    (tmp_path / "a.jpg").write_bytes(image.jpegsave_buffer())
    assert pyvips.Image.new_from_file(str(tmp_path / "a.jpg")).get_typeof("jpeg-thumbnail-data")
    write_image(tmp_path / "b.jpg", read_image(tmp_path / "a.jpg"))
    assert not pyvips.Image.new_from_file(str(tmp_path / "b.jpg")).get_typeof("jpeg-thumbnail-data")


def test_pictures_without_exif_get_none(tmp_path):
    write_image(tmp_path / "a.jpg", Picture(pixels()))
    assert b"Exif" not in (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_the_profile_is_kept_byte_for_byte(tmp_path, suffix):
    profile = srgb_profile()
    picture = read_image(make_jpeg(tmp_path / "a.jpg", icc=profile))
    assert picture.icc == profile
    write_image(tmp_path / f"b{suffix}", picture)
    assert read_image(tmp_path / f"b{suffix}").icc == profile


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_resolution_is_kept(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Picture(pixels(), dpi=(300.0, 150.0)))
    back = read_image(tmp_path / f"a{suffix}")
    assert back.dpi == pytest.approx((300.0, 150.0), abs=0.5)


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


@pytest.mark.parametrize(
    ("name", "channels", "kind", "message"),
    [
        ("a.bmp", 3, "uint8", "unknown suffix '.bmp', expected one of .png, .jpg"),
        ("a", 3, "uint8", "unknown suffix ''"),
        ("a.jpg", 3, "uint16", "JPEG does not hold uint16 pixels; write PNG or TIFF instead"),
        ("a.png", 3, "float32", "PNG does not hold float32 pixels; write TIFF instead"),
        ("a.jpg", 4, "uint8", "JPEG has no alpha channel; write PNG or WebP or TIFF instead"),
        ("no/such/folder/a.png", 3, "uint8", "give an existing folder that can be written"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, channels, kind, message):
    with pytest.raises(UserError, match=message):
        write_image(tmp_path / name, Picture(pixels(channels=channels, kind=kind)))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot write"):
        write_image(tmp_path / "file" / "a.png", Picture(pixels()))


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_failed_write_leaves_the_existing_file_and_nothing_else(tmp_path, monkeypatch, step):
    target = tmp_path / "a.png"
    write_image(target, Picture(pixels()))
    before = target.read_bytes()

    def full(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(UserError, match=r"No space left on device"):
        write_image(target, Picture(pixels()))
    monkeypatch.undo()
    assert target.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["a.png"]


def test_too_large_for_the_format_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .* as WebP"):
        write_image(tmp_path / "a.webp", Picture(np.zeros((1, 16384, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 2), (0, 4, 3)])
def test_pictures_check_their_pixels(shape):
    with pytest.raises(ValueError, match=r"a picture is HxWx1"):
        Picture(np.zeros(shape, np.uint8))


@pytest.mark.data
def test_real_photos_survive(data_dir, tmp_path):
    photos = sorted((data_dir / "rain" / "real").iterdir())[:5]
    assert photos
    for photo in photos:
        picture = read_image(photo)
        write_image(tmp_path / "copy.png", picture)
        np.testing.assert_array_equal(read_image(tmp_path / "copy.png").pixels, picture.pixels)


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
