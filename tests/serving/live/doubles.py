"""Views over made-up sources, restored by a made-up plane, on an event loop of their own."""

from __future__ import annotations

import asyncio
import io

import numpy as np

from spair.runtime.live.sources.addresses import parse_source
from spair.serving.access_log import AccessLog
from spair.serving.live.feeds import Feeds
from spair.serving.live.views import View
from spair.serving.options import Limits
from spair.serving.plane.messages import InferAnswer
from spair.serving.tensors import Tensor
from tests.patience import PATIENCE, wait_until
from tests.runtime.live.doubles import Frames, open_in_turn

TILES = {"tiles_skipped": 1, "tiles_packed": 2, "tiles_dense": 3}


class Plane:
    """Plane that inverts pictures, finds their upper half distorted, and raises what it is told to."""

    def __init__(self, *errors):
        self.errors, self.asked = list(errors), []

    async def infer(self, request):
        self.asked.append(request)
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        values = request.inputs[0].values
        mask = np.zeros((1, 1, *values.shape[2:]), np.uint8)
        mask[:, :, : values.shape[2] // 2] = 1
        outputs = Tensor("restored", "UINT8", 255 - values), Tensor("mask", "UINT8", mask)
        density = Tensor("density", "FP32", np.array([mask.mean()], np.float32))
        return InferAnswer(request.model, "1", "", (*outputs, density), TILES)


def go_on_for_ever(numbers, **options):
    """Make a reader that yields frames, and then hangs until it is stopped."""
    left = list(numbers)

    def hang(stop):
        if left:
            left.pop()
        else:
            wait_until(stop, "the source was stopped")

    return Frames(numbers, finite=False, taken=hang, **options)


def make_feeds(*readers, plane=None, names=("yard",), linger=0.0, **limits):
    """Make views whose sources are the readers in turn; return them with the list of log lines."""
    stream = io.StringIO()
    opened = []
    turns = open_in_turn(*readers)

    def make_opener(source, pixels, clock):
        def open_source(stop):
            opened.append(source.shown)
            return turns(stop)

        return open_source

    views = [View(name, "rain", parse_source("camera:0")) for name in names]
    feeds = Feeds(views, plane or Plane(), Limits(**limits), AccessLog(stream), linger=linger, open_source=make_opener)
    feeds.opened, feeds.stream = opened, stream
    return feeds


def run(work):
    """Run a coroutine to its end; one that hangs fails."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def wait_for(condition, words):
    """Wait on the loop until something holds."""
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it never came that {words}")
