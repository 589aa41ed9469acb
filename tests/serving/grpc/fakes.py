"""A plane with scripted answers, and a door on it in a thread of its own."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from spair.runtime import UserError
from spair.serving.access_log import AccessLog
from spair.serving.contract import PIXELS, VERSION
from spair.serving.errors import BusyError, DeadlineError, FailedError, TooLargeError, UnknownModelError
from spair.serving.grpc.service import make_grpc_server
from spair.serving.options import Limits
from spair.serving.plane.messages import InferAnswer, InferRequest, ModelMetadata, ModelState, ServerMetadata
from spair.serving.tensors import Tensor
from spair.serving.tokens import Tokens
from tests.patience import PATIENCE

ERRORS = {
    "busy": BusyError("the queue is full"),
    "late": DeadlineError("it waited too long"),
    "failed": FailedError("the worker ended"),
    "large": TooLargeError("too many pixels"),
    "user": UserError("the tile is 0 pixels"),
    "bug": KeyError("secret"),
    "long": FailedError("ä" * 5000),
}


class FakePlane:
    """A plane whose models are named after what they do; `echo` gives its inputs back."""

    is_live = True
    is_ready = True

    def __init__(self) -> None:
        self.requests: list[InferRequest] = []
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self.gate = asyncio.Event()
        self.running = self.most_running = 0

    def list_models(self) -> tuple[ModelState, ...]:
        return (ModelState("echo", VERSION, "READY"), ModelState("broken", VERSION, "UNAVAILABLE", "no worker"))

    def is_model_ready(self, name: str, version: str = "") -> bool:
        return self._find(name, version).state == "READY"

    def describe_server(self) -> ServerMetadata:
        return ServerMetadata("spair", "1.2.3", ("statistics", "parameters"))

    def describe_model(self, name: str, version: str = "") -> ModelMetadata:
        self._find(name, version)
        return ModelMetadata(name, (VERSION,), "spair", PIXELS, {"task": "rain"})

    def configure_model(self, name: str, version: str = "") -> dict[str, Any]:
        self._find(name, version)
        image = {"name": "image", "data_type": "TYPE_UINT8", "dims": [-1, 3, -1, -1]}
        return {"name": name, "platform": "spair", "max_batch_size": 0, "input": [image]}

    def count(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        names = [self._find(name, version).name] if name else [one.name for one in self.list_models()]
        success = {"success": {"count": 3, "ns": 5_000_000_000}}
        return [{"name": one, "version": VERSION, "inference_count": 3, "inference_stats": success} for one in names]

    async def infer(self, request: InferRequest) -> InferAnswer:
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.cancelled.release()
            raise
        finally:
            self.running -= 1

    async def _answer(self, request: InferRequest) -> InferAnswer:
        self.entered.release()
        if request.model in ERRORS:
            raise ERRORS[request.model]
        if request.model == "slow":
            await self.gate.wait()
        elif request.model != "echo":
            raise UnknownModelError(f"there is no model {request.model!r}; served are echo")
        density = Tensor("density", "FP32", np.array([0.25, 0.75], np.float32))
        parameters = {"compute_ms": 1.5, "density": 0.5, "queue_ms": 0.25, "tiles": 3, "packed": True, "path": "dense"}
        return InferAnswer(request.model, VERSION, request.id, (*request.inputs, density), parameters)

    def _find(self, name: str, version: str) -> ModelState:
        for one in self.list_models():
            if one.name == name and version in ("", one.version):
                return one
        raise UnknownModelError(f"there is no model {name!r} of version {version or VERSION}")


class Running:
    """A door on a plane, with its event loop in a thread."""

    def __init__(self, *, token: str | None = None, plane: Any = None, **limits: Any) -> None:
        self._token, self._limits, self.stream = token, Limits(**limits), io.StringIO()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._given = plane

    def __enter__(self) -> Running:
        self._thread.start()
        self.run(self._start())
        self.channel = grpc.insecure_channel(self.address)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        return self

    async def _start(self) -> None:
        self.plane = self._given or FakePlane()
        log = AccessLog(self.stream)
        self.server = make_grpc_server(self.plane, tokens=Tokens(self._token), limits=self._limits, log=log)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
        self.run(self.server.stop(None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def wait_for_lines(self, count: int) -> list[dict[str, Any]]:
        """Return the lines of the log once there are as many; a caller may have its answer before the line is there."""
        return self.wait_for(lambda lines: len(lines) >= count)

    def wait_for(self, is_enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Return the lines of the log once they are enough."""

        async def wait() -> None:
            while not is_enough(self.lines):
                await asyncio.sleep(0.001)

        self.run(asyncio.wait_for(wait(), PATIENCE))
        return self.lines

    def begin(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the door's loop."""
        return self.begin(coroutine).result(PATIENCE)

    def open_gate(self) -> None:
        """Let the model `slow` answer."""
        self._loop.call_soon_threadsafe(self.plane.gate.set)


def ask_until_answered(call: Callable[..., Any], message: Any) -> Any:
    """Call a method, again while the door is being opened again; its answer."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call(message, wait_for_ready=True, timeout=PATIENCE)
        except grpc.RpcError as error:
            assert error.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
            assert time.monotonic() < end, "the door stays closed"
            time.sleep(0.01)


def make_message(model: str = "echo", **fields: Any) -> Any:
    """Make a ModelInferRequest with a picture of 7 x 5 pixels."""
    values = np.arange(105, dtype=np.uint8).reshape(1, 3, 5, 7)
    message = service_pb2.ModelInferRequest(model_name=model, **fields)
    message.inputs.add(name="image", datatype="UINT8", shape=values.shape)
    message.raw_input_contents.append(values.tobytes())
    return message
