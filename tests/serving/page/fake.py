"""Server of the page with a made-up data plane, which refuses, waits and breaks off on demand."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from PIL import Image, ImageOps
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from spair.serving.page.files import SECURITY_HEADERS, list_page_files

TIMES = {
    "queue_ms": 1.25,
    "compute_ms": 431.0,
    "pre_ms": 4.0,
    "net_l_ms": 123.4,
    "net_r_ms": 301.0,
    "odd_thing_ms": 2.0,
}
DENSITY = 0.1234
LIVE_COLORS = {"restored": (55, 215, 225), "mask": (255, 45, 120), "before": (200, 40, 30)}
"""Colour of all frames of a camera by the picture that is asked for."""
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Seen:
    """Request as it came."""

    path: str
    headers: Mapping[str, str]
    head: dict[str, Any] = field(default_factory=dict)
    """JSON part of a request for an inference."""
    file: bytes = b""
    """Picture file in it."""


Answer = Callable[["FakeServer", Seen, Request], Any]


class FakeServer:
    """Server on a free port of the loopback device.

    `plan` holds what becomes of the next inferences: a function `(server, seen, request)` that returns a response or
    a coroutine of one. Without a plan the picture is inverted.
    """

    def __init__(self) -> None:
        self.models: dict[str, dict[str, str]] = {
            "rain": {"task": "rain", "preset": "tiny", "precision": "fp32", "backend": "onnxruntime"},
            "blur": {"task": "blur", "preset": "base", "precision": "int8", "backend": "onnxruntime"},
        }
        self.views: list[dict[str, Any]] = []
        """Cameras and streams that are shown."""
        self.token: str | None = None
        self.plan: list[Answer] = []
        self.seen: list[Seen] = []
        self.release = threading.Event()
        """Lets held requests go on."""
        self.given_up = threading.Event()
        """Is set once the client of a held request has gone."""
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self._make_app(), log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> FakeServer:
        self._socket.listen()  # connections wait until the server takes them
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away, as a server that was killed; may be called twice."""
        self.release.set()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def inferences(self) -> list[Seen]:
        """Requests for inferences so far."""
        return [one for one in self.seen if one.path.endswith("/infer")]

    def _make_app(self) -> ASGIApp:
        routes = [
            Route(path, _serve_file(content, content_type))
            for path, (content_type, content) in list_page_files().items()
        ]
        routes += [
            Route("/v2/repository/index", self._index, methods=["POST"]),
            Route("/v2/models/{model}", self._describe),
            Route("/live", self._list_live),
            Route("/live/{view}", self._show_live),
            Route("/v2/models/{model}/infer", self._infer, methods=["POST"]),
        ]
        return _quietly(Starlette(routes=routes))

    def _refuse(self, request: Request) -> Response | None:
        given = request.headers.get("authorization")
        if self.token is None or given == f"Bearer {self.token}":
            return None
        if given is None:
            return refusal(401, "this server wants a token; send the header Authorization: Bearer TOKEN")
        return refusal(403, "the token is not this server's; ask who runs it")

    async def _index(self, request: Request) -> Response:
        self.seen.append(Seen(request.url.path, request.headers))
        names = [name + suffix for name in self.models for suffix in ("", "_bytes")]
        entries = [{"name": name, "version": "1", "state": "READY", "reason": ""} for name in names]
        entries.append({"name": "broken_bytes", "version": "1", "state": "UNAVAILABLE", "reason": "it has no graph"})
        return self._refuse(request) or JSONResponse(entries)

    async def _list_live(self, request: Request) -> Response:
        return self._refuse(request) or JSONResponse(self.views)

    async def _show_live(self, request: Request) -> Response:
        """Show one frame in a colour for each kind of picture, and end once released."""
        self.seen.append(Seen(f"{request.url.path}?{request.url.query}", request.headers))
        refused = self._refuse(request)
        if refused is not None:
            return refused
        if self.plan:
            answer: Response = self.plan.pop(0)(self, self.seen[-1], request)
            return answer
        color = LIVE_COLORS[request.query_params["show"]]

        async def send_parts() -> AsyncIterator[bytes]:
            for number in range(3):
                file = encode(Image.new("RGB", (320, 180), color), "JPEG")
                head = f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(file)}\r\n"
                part = f"{head}X-Latency-Ms: {40 + number}\r\nX-Density: {DENSITY}\r\n\r\n".encode() + file + b"\r\n"
                for place in (slice(0, 50), slice(50, -1), slice(-1, None)):  # parts end anywhere
                    yield part[place]
            while not self.release.is_set():
                await asyncio.sleep(0.01)
            yield b"--x--\r\n"

        return StreamingResponse(send_parts(), media_type="multipart/x-mixed-replace; boundary=x")

    async def _describe(self, request: Request) -> Response:
        self.seen.append(Seen(request.url.path, request.headers))
        name = request.path_params["model"]
        return self._refuse(request) or JSONResponse({"name": name, "parameters": self.models[name]})

    async def _infer(self, request: Request) -> Response:
        body = await request.body()
        size = int(request.headers[LENGTH])
        head = json.loads(body[:size])
        (length,) = struct.unpack_from("<I", body, size)
        file = body[size + 4 :]
        assert head["inputs"][0]["parameters"]["binary_data_size"] == 4 + length == 4 + len(file)
        seen = Seen(request.url.path, request.headers, head, file)
        self.seen.append(seen)
        refused = self._refuse(request)
        if refused is not None:
            return refused
        answer = (self.plan.pop(0) if self.plan else restore)(self, seen, request)
        return await answer if asyncio.iscoroutine(answer) else answer


def restore(server: FakeServer, seen: Seen, request: Request) -> Response:
    """Answer with the inverted picture, whose left half is the mask."""
    picture = Image.open(io.BytesIO(seen.file))
    restored = ImageOps.invert(picture.convert("RGB"))
    mask = Image.new("L", restored.size, 0)
    mask.paste(255, (0, 0, restored.width // 2, restored.height))
    kind = picture.format if seen.head["parameters"]["format"] == "input" else "PNG"
    parts = {
        "restored": pack(encode(restored, kind)),
        "mask": pack(encode(mask)),
        "density": struct.pack("<f", DENSITY),
    }
    return answer_with(parts, [one["name"] for one in seen.head["outputs"]])


def answer_with(parts: Mapping[str, bytes], names: list[str]) -> Response:
    """Make an answer of raw outputs."""
    outputs = [
        {
            "name": name,
            "datatype": "FP32" if name == "density" else "BYTES",
            "shape": [1],
            "parameters": {"binary_data_size": len(parts[name])},
        }
        for name in names
    ]
    head = json.dumps({"model_name": "rain_bytes", "parameters": TIMES, "outputs": outputs}).encode()
    return Response(
        head + b"".join(parts[name] for name in names),
        media_type="application/octet-stream",
        headers={LENGTH: str(len(head))},
    )


def refusal(status: int, sentence: str, **headers: str) -> Response:
    """Make a refusal as the server does; `Retry_After="1"` adds a header."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"error": sentence}, status, headers=names)


def refuse(status: int, sentence: str, **headers: str) -> Answer:
    """Plan a refusal."""
    return lambda server, seen, request: refusal(status, sentence, **headers)


def reply(status: int, body: bytes, content_type: str) -> Answer:
    """Plan an answer that does not follow the protocol."""
    return lambda server, seen, request: Response(body, status, media_type=content_type)


async def hold(server: FakeServer, seen: Seen, request: Request) -> Response:
    """Answer only once the server releases, and note whether the client leaves before."""
    while not server.release.is_set():
        if await request.is_disconnected():
            server.given_up.set()
            return Response()
        await asyncio.sleep(0.01)
    return restore(server, seen, request)


def cut(server: FakeServer, seen: Seen, request: Request) -> Response:
    """Break off in the middle of an answer."""

    async def send_some() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionAbortedError

    return StreamingResponse(send_some(), headers={"Content-Length": "1000", LENGTH: "500"})


def pack(file: bytes) -> bytes:
    """Put the length before an element of BYTES."""
    return struct.pack("<I", len(file)) + file


def draw_photo(width: int = 301, height: int = 187) -> Image.Image:
    """Draw a picture of an awkward size: brightness grows to the right, colour changes downwards."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - down], axis=2).astype(np.uint8))


def encode(picture: Image.Image, kind: str | None = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _serve_file(content: bytes, content_type: str) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        return Response(content, headers={**SECURITY_HEADERS, "Content-Type": content_type})

    return serve


def _quietly(app: ASGIApp) -> ASGIApp:
    """Wrap an app whose answers break off on purpose, so that no traceback is printed."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except ConnectionAbortedError:
            return  # the server closes the connection, because the answer is not complete

    return run
