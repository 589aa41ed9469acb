"""Frames are read off a pipe one by one, whole or not at all."""

import io

import pytest

from spair.runtime.live.sources.newest import NewestItem
from spair.runtime.live.window.program import SIZE, read_frames

FRAME = SIZE.pack(2, 1) + b"abcdef"


@pytest.mark.parametrize(
    ("data", "count"), [(b"", 0), (FRAME, 1), (FRAME * 3, 3), (FRAME[:-1], 0), (FRAME + FRAME[:5], 1)]
)
def test_what_is_cut_short_is_no_frame(data, count):
    newest = NewestItem()
    read_frames(io.BytesIO(data), newest)
    assert newest.put_count == count and newest.ended
    assert newest.take(0) == (b"P6 2 1 255\nabcdef" if count else None)
