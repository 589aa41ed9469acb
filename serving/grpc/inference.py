"""Inference, one message or a stream of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tritonclient.grpc import service_pb2

from ..access_log import AccessLog
from ..errors import BusyError
from ..plane.plane import DataPlane
from .bounds import Bounds
from .call import Call, Failure, describe_failure, read_metadata
from .messages import read_request, write_answer
from .methods import parse_message

IN_FLIGHT = 8
"""Number of messages of a stream that are answered at once; the stream is read on when the first has its answer."""
STATUS_HEADER = "triton_grpc_error"
"""Metadata by which a caller asks that the first error ends the stream with its status, as with Triton."""


class Inference:
    """Answers of the plane to messages."""

    def __init__(self, plane: DataPlane, bounds: Bounds, log: AccessLog) -> None:
        """Take what all calls share.

        Args:
            plane: models.
            bounds: counters of all calls.
            log: log of the server.
        """
        self._plane, self._bounds, self._log = plane, bounds, log
        self._readers: set[asyncio.Task[None]] = set()

    async def answer(self, call: Call, raw: bytes, remaining: float | None) -> Any:
        """Answer a message.

        Args:
            call: record, which gets the model and the measured values.
            raw: serialized ModelInferRequest.
            remaining: seconds that the caller still waits; None for ever.

        Returns:
            The ModelInferResponse.

        Raises:
            ServingError: the request cannot be answered.
        """
        call.bytes_in = len(raw)
        with self._bounds.hold_bytes(len(raw)):
            message = parse_message("ModelInfer", raw)
            del raw
            call.model, call.id = message.model_name[:200], message.id
            request = read_request(message, time.monotonic(), remaining)
            del message
            answer = await self._plane.infer(request)
            call.measured = answer.measured
            return write_answer(answer)

    async def answer_stream(self, call: Call, messages: AsyncIterator[bytes], context: Any) -> None:
        """Answer the messages of a stream, in their order.

        An error is the answer to its message, and the stream goes on.

        Args:
            call: record of the stream.
            messages: serialized ModelInferRequests.
            context: context of grpc.aio.

        Raises:
            BusyError: the server is leaving, and what had come is answered.
        """
        await context.send_initial_metadata((("x-request-id", call.request_id),))
        stream = _Stream(call, context)
        reader = asyncio.create_task(self._read_stream(stream, messages))
        self._readers.add(reader)
        try:
            await self._write_stream(stream)
            await asyncio.wait({reader})
            if reader.cancelled():
                raise BusyError("the server is stopping; open the stream again, on another server")
            reader.result()
        finally:
            self._readers.discard(reader)
            for task in (reader, *stream.tasks):
                task.cancel()
            await asyncio.gather(reader, *stream.tasks, return_exceptions=True)

    def leave(self) -> None:
        """Read streams no further.

        Each ends after the answers to what had come.
        """
        for reader in self._readers:
            reader.cancel()

    async def _read_stream(self, stream: _Stream, messages: AsyncIterator[bytes]) -> None:
        """Begin an answer to each message."""
        call, count = stream.call, 0
        try:
            async for raw in messages:
                await stream.slots.acquire()
                count += 1
                call.bytes_in += len(raw)
                one = Call(call.method, f"{call.request_id}-{count}", call.client)
                task = asyncio.create_task(self._answer_one(one, raw, stream.context.time_remaining()))
                del raw
                stream.tasks.add(task)
                task.add_done_callback(stream.tasks.discard)
                stream.answers.put_nowait(task)
        finally:
            stream.answers.put_nowait(None)

    async def _write_stream(self, stream: _Stream) -> None:
        """Send the answers until the reader has ended."""
        ends_on_error = read_metadata(stream.context).get(STATUS_HEADER, "").lower() == "true"
        while (task := await stream.answers.get()) is not None:
            answer = await task
            failure = answer.failure
            if failure is not None and ends_on_error:
                stream.call.status = failure.code.name
                await stream.context.abort(failure.code, failure.sentence, failure.metadata)
            await stream.context.write(answer.raw)
            stream.call.bytes_out += len(answer.raw)
            stream.slots.release()

    async def _answer_one(self, call: Call, raw: bytes, remaining: float | None) -> _Answer:
        """Answer one message of a stream."""
        failure = None
        try:
            response = await self.answer(call, raw, remaining)
            message = service_pb2.ModelStreamInferResponse(infer_response=response)
        except asyncio.CancelledError:
            call.write(self._log, "CANCELLED")
            raise
        except Exception as error:
            failure = describe_failure(error, call.request_id)
            message = service_pb2.ModelStreamInferResponse(error_message=failure.sentence)
            message.infer_response.id = call.id  # by which the caller knows the message
        answer = bytes(message.SerializeToString())
        call.bytes_out = len(answer)
        call.write(self._log, "OK" if failure is None else failure.code.name, failure)
        return _Answer(answer, failure)


@dataclass(frozen=True)
class _Answer:
    """Answer to one message of a stream."""

    raw: bytes
    failure: Failure | None


@dataclass
class _Stream:
    """State of a stream."""

    call: Call
    context: Any
    answers: asyncio.Queue[asyncio.Task[_Answer] | None] = field(default_factory=asyncio.Queue)
    """Answers in the order of the messages, being made; None at the end."""
    tasks: set[asyncio.Task[_Answer]] = field(default_factory=set)
    """Answers that are not done."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
