"""Pieces of metadata."""

from spair.runtime.images.containers.items import Found


def test_a_file_without_metadata_has_one_picture():
    assert Found() == ((), 1, False)
