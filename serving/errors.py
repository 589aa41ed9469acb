"""Errors that a client sees.

Each class carries its HTTP status and the name of its gRPC status. The message is one sentence, as on the command line.
"""

from __future__ import annotations

LONGEST = 800
"""Characters of the longest message; a request's own values stand in messages, and may be of any length."""


class ServingError(Exception):
    """Answer to a request that cannot be served."""

    def __init__(self, sentence: str) -> None:
        """Keep a sentence for the client.

        Args:
            sentence: the message; the middle of one longer than `LONGEST` is left out.
        """
        half = LONGEST // 2
        super().__init__(sentence if len(sentence) <= LONGEST else f"{sentence[:half]} … {sentence[-half:]}")

    http_status = 500
    grpc_status = "INTERNAL"
    retry_after: int | None = None
    """Seconds after which a client may try again; None where that is no use."""


class BadRequestError(ServingError):
    """Request that no server could answer."""

    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class UnauthenticatedError(ServingError):
    """Request without a token."""

    http_status = 401
    grpc_status = "UNAUTHENTICATED"


class ForbiddenError(ServingError):
    """Request with a wrong token."""

    http_status = 403
    grpc_status = "PERMISSION_DENIED"


class UnknownModelError(ServingError):
    """Request for a model that is not served."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class UnknownViewError(ServingError):
    """Request for a camera or stream that is not shown."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class TooLargeError(ServingError):
    """Request beyond the limits of this server."""

    http_status = 413
    grpc_status = "INVALID_ARGUMENT"


class BusyError(ServingError):
    """Request to a full queue or an ending server."""

    http_status = 503
    grpc_status = "UNAVAILABLE"
    retry_after = 1


class DeadlineError(ServingError):
    """Request that waited longer than it may."""

    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"


class FailedError(ServingError):
    """Request that failed though nothing was wrong with it."""
