"""Files are read upright in RGB or gray, and damaged ones are refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import pyvips

from spair.runtime import Picture, UserError, read_image, write_image
from spair.runtime.bounds import memory
from spair.runtime.images import LargePictureError, decode_image, encode_image
from spair.runtime.images.containers import png
from spair.runtime.images.containers.items import Item
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
    with pytest.raises(LargePictureError, match=r"30x20 is more than 599 pixels") as refused:
        read_image(tmp_path / "a.png", max_pixels=599)
    assert isinstance(refused.value, UserError) and refused.value.http_status == 413
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


@pytest.mark.parametrize(
    ("suffix", "form"), [(".png", "PNG"), (".jpg", "JPEG"), (".webp", "WebP"), (".tif", "TIFF"), (".gif", "GIF")]
)
def test_files_in_memory_are_read_like_files_in_folders(tmp_path, suffix, form):
    file = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        pyvips.Image.new_from_array(pixels()).gifsave(str(file))
    elif suffix == ".jpg":
        make_jpeg(file, orientation=6, make="Camera")
    else:
        write_image(file, Picture(pixels(), dpi=(300.0, 300.0)))
    from_file, from_memory = read_image(file), decode_image(file.read_bytes())
    np.testing.assert_array_equal(from_memory.pixels, from_file.pixels)
    assert from_memory.pixels.dtype == from_file.pixels.dtype and from_memory.format == from_file.format == form
    assert (from_memory.icc, from_memory.exif, from_memory.dpi) == (from_file.icc, from_file.exif, from_file.dpi)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("empty", r"cannot read the picture: the file is empty \(0 bytes\)"),
        ("text", "cannot read the picture: it is not a picture; give a complete PNG, JPEG"),
        ("svg", "cannot read the picture: files of svg are not supported; give PNG"),
        ("signed", "cannot use the picture: its samples are short, expected unsigned"),
    ],
)
def test_bad_files_in_memory_are_called_by_their_name(tmp_path, what, message):
    data = make_bad(tmp_path / "bad.png", what).read_bytes()
    with pytest.raises(UserError, match=message):
        decode_image(data)
    with pytest.raises(UserError, match=message.replace("the picture", "upload 7")):
        decode_image(data, name="upload 7")


def test_huge_pictures_in_memory_are_refused_before_they_are_decoded():
    data = encode_image(Picture(np.zeros((5000, 4000, 1), np.uint8)))
    with pytest.raises(LargePictureError, match="cannot read the picture: 4000x5000 is more than 19999999 pixels"):
        decode_image(data, max_pixels=19_999_999)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_files_in_memory_cut_short_are_refused(share):
    data = encode_image(Picture(pixels(40, 40)))
    with pytest.raises(UserError, match="cannot read the picture: the file is damaged or truncated"):
        decode_image(data[: int(len(data) * share)])


def bomb(side=20_000, bands=3, format="ushort"):
    """A small file of many pixels."""
    black = pyvips.Image.black(side, side, bands=bands).cast(format)
    space = {1: "b-w", 3: "rgb16", 4: "rgb16"}[bands]
    return black.copy(interpretation=space).tiffsave_buffer(compression="deflate", tile=True, tile_width=4096)


def test_a_small_file_may_not_ask_for_more_memory_than_is_free(monkeypatch):
    data = bomb(side=4000)
    assert len(data) < 200_000
    monkeypatch.setattr(memory, "find_free_memory", lambda: 100_000_000)
    said = r"reading the picture \(4000x4000 pixels\) needs 0.2 GB of memory and 0.1 GB are free; cut it into parts"
    with pytest.raises(memory.MemoryShortError, match=said):
        decode_image(data)
    monkeypatch.setattr(memory, "find_free_memory", lambda: 10_000_000_000)
    assert decode_image(data).pixels.shape == (4000, 4000, 3)


def test_channels_and_depth_count_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(pyvips.Image, "copy_memory", lambda self: pytest.fail("decoded"))
    many = pyvips.Image.black(40, 40, bands=9).tiffsave_buffer()
    with pytest.raises(UserError, match="it has 9 channels, expected 1"):
        decode_image(many)
    wide = pyvips.Image.black(40, 40, bands=5).cast("float").tiffsave_buffer()
    with pytest.raises(LargePictureError, match="decoded it has 32000 bytes, more than 16 for each of 1600 pixels"):
        decode_image(wide, max_pixels=1600)


def test_running_out_of_memory_in_libvips_is_called_so(monkeypatch):
    def fail(self):
        raise pyvips.Error("unable to call copy_memory", detail="vips_tracked: out of memory --- size == 33000 MB")

    monkeypatch.setattr(pyvips.Image, "copy_memory", fail)
    with pytest.raises(MemoryError, match="cannot read the picture: .*out of memory --- size == 33000 MB"):
        decode_image(encode_image(Picture(pixels())))


def test_a_file_that_could_block_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", "/dev/zero"):
        with pytest.raises(UserError, match="is no regular file; give the path of a picture file"):
            read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_gray_with_alpha_is_read_and_written(tmp_path, kind, suffix):
    given = pixels(channels=2, kind=kind)
    write_image(tmp_path / f"a{suffix}", Picture(given))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").pixels, given)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEIC, "a picture of the kind HEIC, which this installation does not read"),
        (b"\xff\x0a" + bytes(60), "kind JPEG XL"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged or truncated"),
        (b"II*\0\xff\xff\0\0", "damaged or truncated"),
    ],
    ids=["HEIC", "JPEG XL", "PNG", "TIFF"],
)
def test_kinds_are_named_and_damage_is_said_of_what_is_read_otherwise(data, words):
    with pytest.raises(UserError, match=words) as caught:
        decode_image(data)
    assert "vips" not in str(caught.value).lower(), "operations are internal"


def test_a_form_that_is_not_supported_is_not_called_damaged(tmp_path):
    lab = pyvips.Image.new_from_array(pixels()).colourspace("lab").colourspace("labs").cast("short")
    lab.copy(interpretation="labs").tiffsave(str(tmp_path / "a.tif"))
    try:
        read_image(tmp_path / "a.tif")
    except UserError as error:
        assert "damaged" not in str(error)


def test_an_animated_png_is_refused_like_other_animations(tmp_path):
    write_image(tmp_path / "a.png", Picture(pixels()))
    data = (tmp_path / "a.png").read_bytes()
    control = Item("control", b"acTL", (3).to_bytes(4, "big") + bytes(4))
    (tmp_path / "a.png").write_bytes(png.write_items(data, [control], True))
    with pytest.raises(UserError, match="holds 3 pages or frames"):
        read_image(tmp_path / "a.png")


def damaged_jpeg() -> bytes:
    """A JPEG with wrong bytes between two restart markers."""
    image = pyvips.Image.new_from_array(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = bytearray(image.jpegsave_buffer(Q=90, restart_interval=4))
    place = data.index(b"\xff\xd3") + 20
    data[place : place + 12] = b"\x55" * 12
    return bytes(data)


def test_lost_bytes_are_refused_unless_accepted(tmp_path):
    (tmp_path / "a.jpg").write_bytes(damaged_jpeg())
    with pytest.raises(UserError, match="bytes of it are lost .*--accept-damaged"):
        read_image(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", accept_damaged=True).pixels.shape == (64, 64, 3)


def test_harmless_warnings_do_not_stop_a_jpeg(tmp_path):
    make_jpeg(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data + b"bytes after the end")
    assert read_image(tmp_path / "a.jpg").width == 17


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_no_resolution_is_made_up(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Picture(pixels()))
    assert read_image(tmp_path / f"a{suffix}").dpi is None
    write_image(tmp_path / f"a{suffix}", Picture(pixels(), dpi=(72.0, 72.0)))
    assert read_image(tmp_path / f"a{suffix}").dpi == pytest.approx((72, 72), abs=0.1)


def test_a_text_that_is_not_utf8_spoils_neither_its_own_error_nor_the_next(tmp_path):
    """The decoder quotes bytes of this file; libvips keeps an error that nobody could read."""
    damaged = Path(__file__).resolve().parents[2] / "fuzz" / "seeds" / "pictures-property-not-utf8"
    with pytest.raises(UserError, match="cannot read .*pictures-property-not-utf8: .*; (convert it|give a complete)"):
        read_image(damaged)
    given = pixels()
    write_image(tmp_path / "good.webp", Picture(given), quality=100)
    assert np.abs(read_image(tmp_path / "good.webp").pixels.astype(int) - given).mean() < 64, "it is read"
    with pytest.raises(UserError) as told:
        decode_image((tmp_path / "good.webp").read_bytes()[:40])
    assert "\ufffd" not in str(told.value)
