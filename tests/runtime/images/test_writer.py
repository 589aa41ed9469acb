"""Written files hold the pixels and the metadata, and failures undo themselves."""

from pathlib import Path

import numpy as np
import pytest
import pyvips

from spair.runtime import Picture, UserError, read_image, write_image
from spair.runtime.images import check_encodable, encode_image, list_dropped
from spair.runtime.images.containers import Extras
from spair.runtime.images.containers.items import Item
from tests.runtime.images.samples import make_jpeg, pixels


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


@pytest.mark.parametrize(("suffix", "form"), [(".png", "PNG"), (".jpg", "JPEG"), (".webp", "WebP"), (".tif", "TIFF")])
def test_files_in_memory_are_those_that_are_written(tmp_path, suffix, form):
    picture = Picture(pixels(), icc=srgb_profile(), dpi=(150.0, 150.0))
    write_image(tmp_path / f"a{suffix}", picture)
    assert encode_image(picture, form) == (tmp_path / f"a{suffix}").read_bytes()


def test_files_in_memory_have_the_quality_that_is_asked_for(tmp_path):
    picture = Picture(pixels())
    write_image(tmp_path / "a.jpg", picture, quality=30)
    assert encode_image(picture, "JPEG", quality=30) == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.parametrize(
    ("form", "channels", "kind", "message"),
    [
        ("GIF", 3, "uint8", "cannot write x as GIF: that format is not written, expected one of PNG, JPEG, WebP, TIFF"),
        ("png", 3, "uint8", "cannot write x as png: that format is not written"),
        ("JPEG", 3, "uint16", "cannot write x: JPEG does not hold uint16 pixels; write PNG or TIFF instead"),
        ("JPEG", 4, "uint8", "cannot write x: JPEG has no alpha channel; write PNG or WebP or TIFF instead"),
        ("PNG", 3, "float32", "cannot write x: PNG does not hold float32 pixels; write TIFF instead"),
    ],
)
def test_what_no_format_in_memory_holds_is_refused_before_and_while_it_is_made(form, channels, kind, message):
    picture = Picture(pixels(channels=channels, kind=kind))
    for make in (check_encodable, encode_image):
        with pytest.raises(UserError, match=message):
            make(picture, form, name="x")


def test_what_can_be_made_is_not_refused_before():
    check_encodable(Picture(pixels(channels=4, kind="uint16")), "TIFF")


@pytest.mark.data
def test_real_photos_survive(data_dir, tmp_path):
    photos = sorted((data_dir / "rain" / "real").iterdir())[:5]
    assert photos
    for photo in photos:
        picture = read_image(photo)
        write_image(tmp_path / "copy.png", picture)
        np.testing.assert_array_equal(read_image(tmp_path / "copy.png").pixels, picture.pixels)


def test_a_quality_makes_files_smaller(tmp_path):
    for suffix in (".jpg", ".webp"):
        write_image(tmp_path / f"a{suffix}", Picture(pixels(64, 64)))
        write_image(tmp_path / f"b{suffix}", Picture(pixels(64, 64)), quality=30)
        assert (tmp_path / f"b{suffix}").stat().st_size < (tmp_path / f"a{suffix}").stat().st_size / 1.5


PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf tiff:Orientation='6'/></x:xmpmeta>"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_xmp_is_kept_with_its_orientation_reset(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", Picture(pixels(), xmp=PACKET))
    assert read_image(tmp_path / f"a{suffix}").xmp == PACKET.replace(b"'6'", b"'1'")


def test_what_a_format_does_not_keep_is_listed():
    extras = Extras("PNG", (Item("text", b"tEXt", b"a\0b"), Item("gamma", b"gAMA", bytes(4))))
    picture = Picture(pixels(), exif=b"Exif\0\0", dpi=(72.0, 72.0), extras=extras)
    assert list_dropped(picture, "PNG") == []
    assert list_dropped(picture, "TIFF") == ["EXIF", "text", "gamma"]
    assert list_dropped(picture, "WebP") == ["resolution", "text", "gamma"]
