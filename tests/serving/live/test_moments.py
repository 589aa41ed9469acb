"""Pictures of a frame: restored, with its mask, as it came; each is made once."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from spair.runtime.live.sinks import LiveFrame
from spair.serving.live import moments
from spair.serving.live.moments import Moment, draw_jpeg
from tests.serving.live.doubles import run

SIZE = (24, 40)


def make_frame(scale=1, type=np.uint8, has_mask=True):
    height, width = SIZE
    top = np.iinfo(type).max
    before = np.zeros((height, width, 3), type)
    restored = np.full((height * scale, width * scale, 3), top, type)
    mask = np.zeros(SIZE, bool)
    mask[:, :20] = True
    return LiveFrame(7, 1.5, None, before, restored, mask if has_mask else None)


def read(data):
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG"
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("type", [np.uint8, np.uint16])
def test_each_picture_shows_what_its_name_says(type):
    frame = make_frame(type=type)
    assert abs(read(draw_jpeg(frame, "before"))).max() <= 3
    assert abs(read(draw_jpeg(frame, "restored")) - 255).max() <= 3
    seen = read(draw_jpeg(frame, "mask"))
    assert abs(seen[4:20, 2:14] - [255, 150, 187]).max() <= 6, "white, half of it the colour of the mask"
    assert abs(seen[:, 26:] - 255).max() <= 6


def test_the_mask_of_a_network_that_enlarges_is_enlarged():
    seen = read(draw_jpeg(make_frame(scale=2), "mask"))
    assert seen.shape == (48, 80, 3) and abs(seen[8:40, 4:30] - [255, 150, 187]).max() <= 6
    assert abs(seen[:, 48:] - 255).max() <= 6


def test_without_a_mask_every_pixel_was_restored():
    frame = make_frame(has_mask=False)
    assert abs(read(draw_jpeg(frame, "mask")) - 255).max() <= 3 and Moment(frame).density == 1.0
    assert Moment(make_frame()).density == 0.5


def test_viewers_share_a_picture_and_one_who_leaves_takes_it_from_nobody(monkeypatch):
    made = []
    monkeypatch.setattr(moments, "draw_jpeg", lambda one, show: made.append(show) or b"x")

    async def look():
        moment = Moment(make_frame())
        leaving = asyncio.ensure_future(moment.encode("mask"))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await asyncio.gather(*(moment.encode("mask") for _ in range(5))) == [b"x"] * 5
        await moment.encode("before")

    run(look())
    assert made == ["mask", "before"]
