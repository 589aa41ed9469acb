"""HTTP doors before a plane that inverts pictures, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from spair.serving.access_log import AccessLog
from spair.serving.addresses import bind_socket, resolve_host
from spair.serving.contract import ENCODED, PIXELS, Contract
from spair.serving.errors import BadRequestError, UnknownModelError
from spair.serving.http.app import make_app
from spair.serving.http.connection import Guard
from spair.serving.http.listener import Listener
from spair.serving.live.feeds import Feeds
from spair.serving.options import Limits
from spair.serving.plane.messages import InferAnswer, InferRequest, ModelMetadata, ModelState, ServerMetadata
from spair.serving.tensors import Tensor, pack_bytes
from spair.serving.tokens import Tokens
from tests.patience import PATIENCE, wait_until

CONTRACTS: Mapping[str, Contract] = {"rain": PIXELS, "rain_bytes": ENCODED}


class FakePlane:
    """A plane whose answers are known: inverted pictures, masks of ones, density 0.5."""

    def __init__(self) -> None:
        self.is_live = self.is_ready = True
        self.asked: list[InferRequest] = []
        self.error: Exception | None = None
        self.gate: threading.Event | None = None
        """Requests wait for it."""
        self.waiting, self.cancelled = threading.Event(), threading.Event()

    def _find(self, name: str, version: str) -> Contract:
        if name not in CONTRACTS or version not in ("", "1"):
            raise UnknownModelError(f"there is no model {name!r}")
        return CONTRACTS[name]

    def is_model_ready(self, name: str, version: str = "") -> bool:
        self._find(name, version)
        return self.is_ready

    def describe_server(self) -> ServerMetadata:
        return ServerMetadata("spair", "0", ("binary_tensor_data",))

    def list_models(self) -> tuple[ModelState, ...]:
        return (ModelState("rain", "1", "READY"), ModelState("rain_bytes", "1", "UNAVAILABLE", "it is opening"))

    def describe_model(self, name: str, version: str = "") -> ModelMetadata:
        return ModelMetadata(name, ("1",), "spair", self._find(name, version), {"task": "rain"})

    def configure_model(self, name: str, version: str = "") -> dict[str, Any]:
        self._find(name, version)
        return {"name": name, "max_batch_size": 0}

    def count(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        if name:
            self._find(name, version)
        return [{"name": one, "version": "1"} for one in CONTRACTS if name in ("", one)]

    def render_metrics(self) -> tuple[bytes, str]:
        return b"spair_up 1\n", "text/plain; version=0.0.4; charset=utf-8"

    async def infer(self, request: InferRequest) -> InferAnswer:
        self.asked.append(request)
        (spec,) = self._find(request.model, request.version).inputs
        found = [(one.name, one.datatype, one.values.ndim) for one in request.inputs]
        if found != [(spec.name, spec.datatype, len(spec.shape))] or request.inputs[0].values.size == 0:
            raise BadRequestError(f"the inputs are {found}")
        try:
            if self.gate is not None:
                self.waiting.set()
                while not self.gate.is_set():
                    await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        values = request.inputs[0].values
        density = Tensor("density", "FP32", np.full(len(values), 0.5, np.float32))
        if request.model.endswith("_bytes"):
            outputs = [pack_bytes("restored", [values[0][::-1]]), pack_bytes("mask", [b"\x89PNG"]), density]
        else:
            ones = np.ones((len(values), 1, *values.shape[2:]), np.uint8)
            outputs = [Tensor("restored", "UINT8", 255 - values), Tensor("mask", "UINT8", ones), density]
        wanted = request.outputs or tuple(one.name for one in outputs)
        ordered = tuple(one for name in wanted for one in outputs if one.name == name)
        return InferAnswer(
            request.model, "1", request.id, ordered, {"queue_ms": 0.5, "compute_ms": 2.0, "density": 0.5}
        )


@dataclass
class Log:
    """Stream that the access log writes to."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    def read(self, event: str = "request") -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def plane() -> FakePlane:
    return FakePlane()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def make_client(plane: FakePlane, log: Log) -> Callable[..., TestClient]:
    def make(token: str | None = None, limits: Limits | None = None) -> TestClient:
        app = make_app(plane, tokens=Tokens(token), limits=limits or Limits(), log=AccessLog(log.stream))  # type: ignore[arg-type]
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return make


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client()


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 3, 5, 7), np.uint8)


@dataclass
class RunningDoor:
    """A door on a free port, in a thread of its own."""

    address: str
    end: Callable[..., bool]
    """Drain it, within a number of seconds; whether all requests were answered."""
    listener: Listener
    loop: asyncio.AbstractEventLoop

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let the door do nothing in a block; what clients send in it is there when the door looks."""
        go_on = threading.Event()
        self.loop.call_soon_threadsafe(go_on.wait, PATIENCE)
        try:
            yield
        finally:
            go_on.set()

    def wait_until_left(self) -> None:
        """Wait until no connection is open on the door's side."""
        wait_until(lambda: not self.listener._server.server_state.connections, "the door has closed all connections")

    def connect(self) -> socket.socket:
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)


@pytest.fixture
def listen(plane: FakePlane, log: Log) -> Iterator[Callable[..., RunningDoor]]:
    with contextlib.ExitStack() as stack:

        def start(guard: Guard | None = None, limits: Limits | None = None, feeds: Feeds | None = None) -> RunningDoor:
            access_log = AccessLog(log.stream)
            app = make_app(
                plane,  # type: ignore[arg-type]
                tokens=Tokens(None),
                limits=limits or Limits(),
                log=access_log,
                feeds=feeds,
            )
            bound = bind_socket(resolve_host("127.0.0.1"), 0, "--port")
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()

            def run(work: Any) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

            listener = Listener(app, bound, log=access_log, guard=guard)
            ended: list[bool] = []

            def end(seconds: float = PATIENCE) -> bool:
                if not ended:
                    if feeds is not None:
                        run(feeds.close())
                    ended.append(run(listener.drain(seconds)))
                return ended[0]

            def close() -> None:
                if plane.gate is not None:
                    plane.gate.set()
                end(1)
                loop.call_soon_threadsafe(loop.stop)
                thread.join(PATIENCE)
                loop.close()

            stack.callback(close)
            run(listener.start())
            return RunningDoor(f"127.0.0.1:{bound.getsockname()[1]}", end, listener, loop)

        yield start
