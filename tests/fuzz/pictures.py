"""Small picture files of every format that is read, and repair of what guards a PNG's chunks."""

from __future__ import annotations

import random
import struct
import zlib

import numpy as np
import pyvips

from tests.fuzz.mutations import mutate_bytes

PNG = b"\x89PNG\r\n\x1a\n"


def make_pictures() -> list[bytes]:
    """Return files of some formats, depths and numbers of channels."""
    chance = np.random.default_rng(0)
    rgb = chance.integers(0, 255, (19, 23, 3), np.uint8)
    image = pyvips.Image.new_from_array(rgb).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image = image.icc_transform("srgb", input_profile="srgb")  # attaches a profile
    wide = image.cast("ushort").copy(interpretation="rgb16")
    return [
        image.pngsave_buffer(),
        image[0].pngsave_buffer(palette=True),
        image.bandjoin(image[0]).pngsave_buffer(interlace=True),
        wide.pngsave_buffer(),
        image.jpegsave_buffer(Q=80),
        image.jpegsave_buffer(interlace=True),
        image.webpsave_buffer(lossless=True),
        image.webpsave_buffer(Q=50),
        image.tiffsave_buffer(compression="deflate", predictor="horizontal"),
        wide.tiffsave_buffer(compression="lzw", tile=True, tile_width=16, tile_height=16),
        image.cast("float").tiffsave_buffer(compression="none"),
        image.colourspace("lab").tiffsave_buffer(compression="none"),
        image.gifsave_buffer(),
        image.heifsave_buffer(compression="av1", effort=0),
    ]


def mutate_picture(data: bytes, chance: random.Random) -> bytes:
    """Change bytes, of a PNG also inside its chunks with checksums that fit."""
    if data.startswith(PNG) and chance.random() < 0.6:
        return _mutate_chunks(data, chance)
    return mutate_bytes(data, chance)


def _mutate_chunks(data: bytes, chance: random.Random) -> bytes:
    chunks, place = [], len(PNG)
    while place + 12 <= len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        chunks.append([data[place + 4 : place + 8], data[place + 8 : place + 8 + size]])
        place += size + 12
    chosen = chance.choice(chunks)
    if chosen[0] == b"IHDR" and chance.random() < 0.8:
        width, height = (chance.choice((0, 1, 19, 23, 2**15, 2**31 - 1, 2**32 - 1)) for _ in range(2))
        depth, colours = chance.choice((1, 2, 3, 4, 8, 16, 17)), chance.choice((0, 1, 2, 3, 4, 6, 7))
        chosen[1] = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, chance.choice((0, 1, 2)))
    elif chosen[0] == b"IDAT" and chance.random() < 0.5:
        pixels = mutate_bytes(zlib.decompress(chosen[1]), chance) + bytes(chance.choice((0, 0, 100, 10**6)))
        chosen[1] = zlib.compress(pixels)
    else:
        chosen[1] = mutate_bytes(chosen[1], chance)
    parts = [PNG]
    for name, content in chunks:
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", zlib.crc32(name + content))]
    return b"".join(parts)
