"""Frames are requests to the plane: retried while it is busy, given up at the end, refused in words."""

import asyncio
import threading

import numpy as np
import pytest

from spair.runtime.errors import UserError
from spair.serving.errors import BusyError, TooLargeError
from spair.serving.live.restoring import PlaneRestorer
from tests.serving.live.doubles import Plane, run


class FullError(BusyError):
    retry_after = 0


def restore(plane, image):
    async def work():
        return await asyncio.to_thread(PlaneRestorer(plane, "rain", asyncio.get_running_loop()), image)

    return run(work())


@pytest.mark.parametrize("type", [np.uint8, np.uint16])
def test_a_frame_is_restored_as_a_picture_of_a_client(type):
    image = (np.arange(5 * 7 * 3).reshape(5, 7, 3) * (np.iinfo(type).max // 255)).astype(type)
    plane = Plane()
    result = restore(plane, image)
    expected = np.arange(5 * 7 * 3).reshape(5, 7, 3)
    np.testing.assert_array_equal(result.image, 255 - expected)
    assert result.mask.dtype == bool and result.mask[:2].all() and not result.mask[2:].any()
    assert result.density == pytest.approx(0.4) and (result.tiles.skipped, result.tiles.dense) == (1, 3)
    (asked,) = plane.asked
    assert (asked.model, asked.door, asked.inputs[0].shape) == ("rain", "live", (1, 3, 5, 7))


def test_a_busy_model_is_asked_again():
    plane = Plane(FullError("full"), FullError("full"))
    restore(plane, np.zeros((2, 2, 3), np.uint8))
    assert len(plane.asked) == 3


def test_a_refusal_is_told_in_its_words():
    with pytest.raises(UserError, match="the picture is too large"):
        restore(Plane(TooLargeError("the picture is too large")), np.zeros((2, 2, 3), np.uint8))


def test_a_request_is_given_up_at_the_end():
    waiting = threading.Event()

    class Slow(Plane):
        async def infer(self, request):
            waiting.set()
            await asyncio.Event().wait()

    async def work():
        restorer = PlaneRestorer(Slow(), "rain", asyncio.get_running_loop())
        task = asyncio.ensure_future(asyncio.to_thread(restorer, np.zeros((2, 2, 3), np.uint8)))
        await asyncio.to_thread(waiting.wait)
        restorer.stop()
        with pytest.raises(BrokenPipeError):
            await task
        with pytest.raises(BrokenPipeError):
            await asyncio.to_thread(restorer, np.zeros((2, 2, 3), np.uint8))

    run(work())
