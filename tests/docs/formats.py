"""Tables of the page of formats, made by writing and reading files.

`python -m tests.docs.formats` writes them into docs/formats.md.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyvips

from spair.runtime import Picture, UserError, read_image, write_image
from spair.runtime.images import FORMATS, FileFormat, decode_image, encode_image
from spair.runtime.images.containers import CONTAINERS
from spair.runtime.images.kinds import list_unread

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
HEADS = ("format", "suffixes", "depth", "gray", "alpha", "ICC", "EXIF", "XMP", "resolution", "upright", "kept besides")
DEPTHS = {"uint8": "8", "uint16": "16", "float32": "float"}
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
READ_ONLY = {"GIF": (".gif", {}), "AVIF": (".avif", {"compression": "av1", "effort": 0})}
"""Suffix and options of libvips for each format that is read and not written."""


def make_tables(folder: Path) -> dict[str, str]:
    """Make all tables of the page by name."""
    rows = [describe_format(form, folder) for form in FORMATS]
    rows += [describe_read_only(name, *how) for name, how in READ_ONLY.items()]
    return {"kept": draw_table(HEADS, rows), "unread": ", ".join(list_unread())}


def describe_format(form: FileFormat, folder: Path) -> list[str]:
    """Describe what a file keeps, by writing one and reading it back."""
    base = Picture(np.full((4, 6, 3), 9, form.types[0]))
    gray = encode_and_read(replace(base, pixels=base.pixels[..., :1]), form.name).pixels.shape[2] == 1
    exif = find_exif(folder)
    cells = [
        accepts(replace(base, pixels=np.zeros((4, 6, 4), np.uint8)), form.name),
        encode_and_read(replace(base, icc=find_profile()), form.name).icc == find_profile(),
        b"Ada" in (encode_and_read(replace(base, exif=exif), form.name).exif or b""),
        encode_and_read(replace(base, xmp=XMP), form.name).xmp == XMP,
        encode_and_read(replace(base, dpi=(300.0, 300.0)), form.name).dpi is not None,
        is_upright(form, folder),
    ]
    kept = dict.fromkeys(CONTAINERS[form.name].KEPT.values()) if form.name in CONTAINERS else ()
    return [
        form.name, " ".join(form.suffixes), ", ".join(DEPTHS[kind] for kind in form.types), "yes" if gray else "as RGB",
        *("yes" if cell else "no" for cell in cells), ", ".join(kept) or "nothing",
    ]  # fmt: skip


def describe_read_only(name: str, suffix: str, options: dict[str, object]) -> list[str]:
    """Describe a format whose results are PNG files."""
    pixels = np.full((64, 64, 4), 200, np.uint8)
    pixels[:32, :, 3] = 0
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    picture = decode_image(image.write_to_buffer(suffix, **options))
    return [
        name,
        suffix,
        DEPTHS[picture.pixels.dtype.name],
        "",
        "yes" if picture.has_alpha else "no",
        *[""] * 5,
        "written as PNG",
    ]


def encode_and_read(picture: Picture, format: str) -> Picture:
    return decode_image(encode_image(picture, format))


def accepts(picture: Picture, format: str) -> bool:
    try:
        return encode_and_read(picture, format).has_alpha
    except UserError:
        return False


def find_exif(folder: Path) -> bytes:
    """Make an EXIF block that names an artist."""
    image = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ada")
    (folder / "artist.jpg").write_bytes(image.jpegsave_buffer())
    found = read_image(folder / "artist.jpg").exif
    assert found is not None
    return found


def find_profile() -> bytes:
    image = pyvips.Image.black(4, 4, bands=3).copy(interpretation="srgb")
    return bytes(image.icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


def is_upright(form: FileFormat, folder: Path) -> bool:
    """Tell whether a file that lies on its side is read upright, and stays so."""
    path = folder / f"side{form.suffixes[0]}"
    image = pyvips.Image.black(6, 4, bands=3).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.write_to_file(str(path))
    for _ in range(2):
        picture = read_image(path)
        if (picture.width, picture.height) != (4, 6):
            return False
        write_image(path, picture)
    return True


def draw_table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def insert(page: str, name: str, text: str) -> str:
    """Put a text between the marks of its name."""
    marks = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
    return re.sub(marks, lambda found: f"{found[1]}{text}{found[2]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    import tempfile

    content = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as made:
        for title, table in make_tables(Path(made)).items():
            content = insert(content, title, table)
    PAGE.write_text(content, encoding="utf-8")
