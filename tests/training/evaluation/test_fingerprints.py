"""Fingerprints follow contents and names, and not places."""

import hashlib

import numpy as np

from spair.runtime.images import Picture, write_image
from spair.training.data.pairs import Pair, pair_folders
from spair.training.evaluation.fingerprints import fingerprint


def save(path, size=(6, 9), value=100):
    path.parent.mkdir(exist_ok=True)
    write_image(path, Picture(np.full((*size, 3), value, np.uint8)))
    return path


def test_fingerprint_follows_contents_and_names_not_places(tmp_path):
    folders = tmp_path
    for stem in ("10", "2", "1"):
        save(folders / "in" / f"{stem}.jpg")
        save(folders / "clean" / f"{stem}.png")
    pairs = pair_folders(folders / "in", folders / "clean")
    first = fingerprint(pairs)
    (folders / "in").rename(folders / "moved")
    moved = pair_folders(folders / "moved", folders / "clean")
    assert fingerprint(moved) == first
    assert fingerprint(moved[:2]) != first
    assert fingerprint([Pair(p.name, p.target, p.input) for p in moved]) != first
    save(folders / "clean" / "2.png", value=101)
    assert fingerprint(moved) != first


def test_fingerprint_of_plain_pairs_is_that_of_earlier_reports(tmp_path):
    for name, content in (("a.png", b"degraded"), ("b.png", b"clean"), ("m.png", b"mask")):
        (tmp_path / name).write_bytes(content)
    plain = Pair("7", tmp_path / "a.png", tmp_path / "b.png")
    masked = Pair("8", tmp_path / "a.png", tmp_path / "b.png", tmp_path / "m.png")
    expected = b"7\x008\0degraded" + b"7\x005\0clean" + b"7\x000\0"
    expected += b"8\x008\0degraded" + b"8\x005\0clean" + b"8\x004\0mask"
    assert fingerprint([plain, masked]) == hashlib.sha256(expected).hexdigest()


def test_fingerprint_knows_which_half_is_the_input(tmp_path):
    path = save(tmp_path / "1.png", (2, 4))
    sides = [Pair("1", path, path, side=side) for side in ("", "input-left", "input-right")]
    assert len({fingerprint([pair]) for pair in sides}) == 3
