"""Answers to each route of the HTTP door."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ..budget import BODIES, Budget
from ..contract import TensorSpec
from ..errors import BadRequestError, BusyError, ForbiddenError
from ..live.feeds import Feed, Feeds
from ..live.moments import SHOWN
from ..live.session import Session
from ..options import Limits
from ..plane.plane import DataPlane
from .answers import check_choice, write_answer
from .body import read_body
from .door import RECORD, Record
from .errors import ClientGoneError
from .requests import Target, parse_infer, parse_object, read_header_length

BOUNDARY = "spair-frame"
"""Words between two frames of an endless answer."""
SMALL = 64 * 1024
"""Largest number of bytes of JSON that is parsed without a thread."""

Result = TypeVar("Result")


class Endpoints:
    """Functions behind the routes."""

    def __init__(self, plane: DataPlane, limits: Limits, feeds: Feeds) -> None:
        """Stand before a plane.

        Args:
            plane: models that answer.
            limits: bounds on requests.
            feeds: cameras and streams that are shown.
        """
        self._plane, self._limits, self._feeds = plane, limits, feeds
        self._budget = Budget(BODIES * limits.body_bytes)

    async def tell_live(self, request: Request) -> Response:
        """Say that the process answers."""
        if not self._plane.is_live:
            raise BusyError("the server is not alive; restart it")
        return Response()

    async def tell_ready(self, request: Request) -> Response:
        """Say that every model answers."""
        if not self._plane.is_ready:
            raise BusyError("the server is not ready: models are opening or have stopped, or the server is ending")
        return Response()

    async def describe_server(self, request: Request) -> Response:
        """Return name, version and extensions of the server."""
        return JSONResponse(_to_json(self._plane.describe_server()))

    async def describe_model(self, request: Request) -> Response:
        """Return the inputs and outputs of a model."""
        found = self._plane.describe_model(*_name_model(request))
        return JSONResponse(
            {
                "name": found.name,
                "versions": list(found.versions),
                "platform": found.platform,
                "inputs": [_spec_to_json(one) for one in found.contract.inputs],
                "outputs": [_spec_to_json(one) for one in found.contract.outputs],
                "parameters": dict(found.facts),
            }
        )

    async def tell_model_ready(self, request: Request) -> Response:
        """Say that a model answers."""
        name, version = _name_model(request)
        if not self._plane.is_model_ready(name, version):
            raise BusyError(f"the model {name} is not ready: it is opening, or it has stopped")
        return Response()

    async def configure_model(self, request: Request) -> Response:
        """Return the configuration of a model."""
        return JSONResponse(self._plane.configure_model(*_name_model(request)))

    async def count_model(self, request: Request) -> Response:
        """Return the statistics of a model."""
        return JSONResponse({"model_stats": self._plane.count(*_name_model(request))})

    async def count_all(self, request: Request) -> Response:
        """Return the statistics of every model."""
        return JSONResponse({"model_stats": self._plane.count()})

    async def list_models(self, request: Request) -> Response:
        """Return the index of models, all or the ready ones."""
        only_ready: Any = False
        body = await self._read(request)
        if body.strip():
            only_ready = parse_object(body).get("ready", False)
        if not isinstance(only_ready, bool):
            raise BadRequestError(f"ready is a JSON {type(only_ready).__name__}, expected true or false")
        states = self._plane.list_models()
        return JSONResponse([_to_json(one) for one in states if one.state == "READY" or not only_ready])

    async def render_metrics(self, request: Request) -> Response:
        """Return the metrics for Prometheus."""
        content, kind = self._plane.render_metrics()
        return Response(content, headers={"Content-Type": kind})

    async def infer(self, request: Request) -> Response:
        """Restore the pictures of a request."""
        name, version = _name_model(request)
        record: Record = request.scope[RECORD]
        record.facts["model"] = name
        contract = self._plane.describe_model(name, version).contract
        target = Target(name, version, contract, record.arrived + self._limits.seconds)
        length = read_header_length(request.headers)
        with self._budget.hold() as take:
            body = await read_body(request.headers, request.receive, self._limits, record.arrived, take)
            if (len(body) if length is None else length) <= SMALL:
                asked, choice = parse_infer(target, body, length)
            else:
                asked, choice = await asyncio.to_thread(parse_infer, target, body, length)
            check_choice(contract, asked, choice)
            answer = await answer_unless_gone(request.receive, self._plane.infer(asked))
            record.facts |= answer.measured
            return await write_answer(answer, choice, request.headers.get("accept-encoding"))

    async def list_live(self, request: Request) -> Response:
        """Return the cameras and streams that are shown."""
        return JSONResponse([feed.describe() for feed in self._feeds])

    async def show_live(self, request: Request) -> Response:
        """Show a camera or stream as JPEG files without end.

        Other web pages may not show it, since a look opens the camera.
        """
        feed = self._feeds.find(request.path_params["view"])
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise ForbiddenError("another web page asks for the picture, and this server shows it on its own page only")
        show = request.query_params.get("show", SHOWN[0])
        if show not in SHOWN:
            raise BadRequestError(f"show is {show!r}, expected one of {', '.join(SHOWN)}")
        return LiveResponse(feed, show, request.scope[RECORD])

    async def _read(self, request: Request) -> bytes | bytearray:
        record: Record = request.scope[RECORD]
        with self._budget.hold() as take:
            return await read_body(request.headers, request.receive, self._limits, record.arrived, take)


class LiveResponse(Response):
    """Answer that goes on from frame to frame.

    The next frame is taken when the client has taken the one before, so a slow one misses frames and delays nobody.
    """

    media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

    def __init__(self, feed: Feed, show: str, record: Record) -> None:
        """Prepare to show a feed.

        Args:
            feed: the feed.
            show: one of `SHOWN`.
            record: facts of the request, which counts frames.
        """
        super().__init__(None, 200, {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"})
        del self.headers["content-length"]
        self._feed, self._show, self._record = feed, show, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send frames until one side ends.

        Raises:
            BusyError: no frame came, or too many look.
            ClientGoneError: the client has left.
        """
        if scope["method"] == "HEAD":
            await self._start(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        self._record.facts |= {"live": self._feed.view.name, "frames": 0}
        async with self._feed.join() as session:
            await answer_unless_gone(receive, self._send_frames(session, send))

    async def _send_frames(self, session: Session, send: Send) -> None:
        moment = await session.take(None)
        if moment is None:
            raise BusyError(session.reason or "the server is ending, and shows nothing more")
        await self._start(send)
        while moment is not None:
            picture = await moment.encode(self._show)
            latency = 1000 * (time.monotonic() - moment.captured)
            head = (
                f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n"
                f"X-Latency-Ms: {latency:.1f}\r\nX-Density: {moment.density:.6f}\r\n\r\n"
            )
            await send({"type": "http.response.body", "body": head.encode() + picture + b"\r\n", "more_body": True})
            self._record.facts["frames"] += 1
            moment = await session.take(moment)
        await send({"type": "http.response.body", "body": f"--{BOUNDARY}--\r\n".encode(), "more_body": False})

    async def _start(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def answer_unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Await work as long as the client waits for it.

    Args:
        receive: function of ASGI, after the whole body was received.
        work: coroutine whose task is cancelled when the client goes.

    Raises:
        ClientGoneError: the client went before the work was done.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_await_end(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError("the client ended the connection before the answer")
        return task.result()
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _await_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _name_model(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _to_json(value: Any) -> dict[str, Any]:
    return dataclasses.asdict(value)


def _spec_to_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
