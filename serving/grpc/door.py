"""Door of the server, which answers the calls of gRPC."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import grpc

from ..access_log import AccessLog
from ..errors import BadRequestError, DeadlineError
from ..options import Limits
from ..plane.plane import DataPlane
from ..tokens import Tokens
from .bounds import Bounds
from .call import Call, begin_call, describe_failure, read_metadata
from .health import CHECK, check_health
from .inference import Inference
from .methods import METHODS, OPEN, PREFIX, parse_message, refuse_method


class CallHandler:
    """Handler of every path, known or not.

    Each call is taken as a stream of bytes, whatever its method is. So a caller without a token, or with an unknown
    method, is refused before its message is read, and a message that cannot be parsed is answered with a sentence.
    """

    def __init__(self, plane: DataPlane, tokens: Tokens, limits: Limits, log: AccessLog) -> None:
        """Take what all calls share.

        Args:
            plane: models.
            tokens: check of the metadata `authorization`.
            limits: bounds on requests.
            log: log of the server.
        """
        self._plane, self._tokens, self._limits, self._log = plane, tokens, limits, log
        self._bounds = Bounds(limits)
        self._inference = Inference(plane, self._bounds, log)

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        """Return the handler of a path."""
        return grpc.stream_stream_rpc_method_handler(functools.partial(self._answer, details.method))

    def leave(self) -> None:
        """End streams, which would not end by themselves.

        Other calls are finished.
        """
        self._inference.leave()

    async def _answer(self, path: str, messages: Any, context: Any) -> None:
        """Answer a call, and write its line."""
        call = begin_call(path, context)
        try:
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            await self._serve(path, call, messages, context)
            call.write(self._log, "OK")
        except asyncio.CancelledError:
            call.write(self._log, "DEADLINE_EXCEEDED" if context.time_remaining() == 0 else "CANCELLED")
            raise
        except grpc.aio.BaseError:  # the connection is gone, or a stream ended itself by its status
            call.write(self._log, call.status or "CANCELLED")
            raise
        except Exception as error:
            failure = describe_failure(error, call.request_id)
            call.write(self._log, failure.code.name, failure)
            await context.abort(failure.code, failure.sentence, failure.metadata)

    async def _serve(self, path: str, call: Call, messages: Any, context: Any) -> None:
        name = path.removeprefix(PREFIX) if path.startswith(PREFIX) else ""
        if path != CHECK and name not in OPEN:
            self._tokens.check(read_metadata(context).get("authorization"))
        if name == "ModelStreamInfer":
            with self._bounds.hold_call():
                await self._inference.answer_stream(call, messages, context)
        elif name == "ModelInfer":
            with self._bounds.hold_call():
                raw = await self._answer_one(call, context)
                await context.write(raw)
        elif name in METHODS or path == CHECK:
            await context.write(self._describe(name, call, await self._read(context)))
        else:
            raise refuse_method(path)

    async def _answer_one(self, call: Call, context: Any) -> bytes:
        """Answer one ModelInfer.

        Its message is freed before the answer is sent.
        """
        response = await self._inference.answer(call, await self._read(context), context.time_remaining())
        raw = bytes(response.SerializeToString())
        call.bytes_out = len(raw)
        return raw

    def _describe(self, name: str, call: Call, raw: bytes) -> bytes:
        """Answer a method that needs no waiting.

        No name stands for the health check.
        """
        call.bytes_in = len(raw)
        if not name:
            answer = check_health(self._plane, raw)
        else:
            message = parse_message(name, raw)
            call.model = getattr(message, "name", "")[:200] or None
            answer = bytes(METHODS[name](self._plane, message).SerializeToString())
        call.bytes_out = len(answer)
        return answer

    async def _read(self, context: Any) -> bytes:
        """Read the one message of a call.

        Raises:
            DeadlineError: it was not whole in time.
            BadRequestError: the call ended without one.
        """
        try:
            raw = await asyncio.wait_for(context.read(), self._limits.seconds)
        except asyncio.TimeoutError as error:  # another class than TimeoutError before Python 3.11
            raise DeadlineError(
                f"the message was not there in {self._limits.seconds:g} seconds; send it faster"
            ) from error
        if raw is grpc.aio.EOF:
            raise BadRequestError(  # gRPC itself tells the caller of a message that is too large
                f"the call ended without a message, expected one of at most {self._limits.body_bytes} bytes"
            )
        return bytes(raw)
