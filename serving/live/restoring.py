"""Frames that the models of a server restore."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import numpy as np

from ...runtime.errors import UserError
from ...runtime.restorer import Result
from ...runtime.tiling.network import TileCounts
from ..errors import BusyError, ServingError
from ..plane.messages import InferAnswer, InferRequest
from ..plane.plane import DataPlane
from ..tensors import Tensor
from .moments import to_bytes


class PlaneRestorer:
    """Restorer for a thread.

    Its frames are requests like all others: they wait in the model's queue, and its limits, statistics and metrics
    count them.
    """

    def __init__(self, plane: DataPlane, model: str, loop: asyncio.AbstractEventLoop) -> None:
        """Stand before a plane.

        Args:
            plane: models that answer.
            model: name of the one.
            loop: loop that the plane belongs to.
        """
        self._plane, self._model, self._loop = plane, model, loop
        self._stopping = threading.Event()
        self._future: concurrent.futures.Future[InferAnswer] | None = None

    def __call__(self, image: np.ndarray) -> Result:
        """Restore a frame.

        It waits while the model has too much to do.

        Raises:
            UserError: the model cannot restore it.
            BrokenPipeError: `stop` was called.
        """
        planes = np.ascontiguousarray(to_bytes(image).transpose(2, 0, 1)[None])
        request = InferRequest(self._model, (Tensor("image", "UINT8", planes),), door="live")
        while not self._stopping.is_set():
            try:
                return _read(self._ask(request))
            except BusyError as error:
                self._stopping.wait(error.retry_after)
            except concurrent.futures.CancelledError:
                break
            except ServingError as error:
                raise UserError(str(error)) from error
        raise BrokenPipeError

    def stop(self) -> None:
        """Give the request up, and take no more.

        Any thread may call it.
        """
        self._stopping.set()
        if self._future is not None:
            self._future.cancel()

    def _ask(self, request: InferRequest) -> InferAnswer:
        self._future = asyncio.run_coroutine_threadsafe(self._plane.infer(request), self._loop)
        if self._stopping.is_set():  # after `stop` looked for a request
            self._future.cancel()
        return self._future.result()


def _read(answer: InferAnswer) -> Result:
    values = {one.name: one.values for one in answer.outputs}
    return Result(
        image=values["restored"][0].transpose(1, 2, 0),
        mask=values["mask"][0, 0].astype(bool),
        density=float(values["density"][0]),
        timings={},
        tiles=TileCounts(**{path: int(answer.parameters[f"tiles_{path}"]) for path in ("skipped", "packed", "dense")}),
    )
